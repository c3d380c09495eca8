"""A request's span, as a real OTLP receiver gets it over HTTP and gRPC: its stages, its attributes, its errors."""

import time
from time import perf_counter

import pytest
from model_manager.errors import Overloaded, PredictionFailed
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import FROM_W3C, PARENT, ROUTE, TRACE, finish, named, received, recorded, started
from tools.otlp_receiver import OtlpReceiver


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_request_is_a_server_span_with_its_stages_for_children(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=iris-0,service.namespace=shop")
    tracing = next(started())
    before = time.time_ns()
    trace = recorded(tracing, FROM_W3C)
    at = perf_counter()
    stages = [("decode", at, at + 0.001), ("queue", at + 0.001, 0), ("encode", at + 0.002, at + 0.003)]
    trace.finish(stages, status=200, model="iris", version="2", rows=3, error=None, ended=at + 0.004)
    spans = received(tracing, receiver)
    server = named(spans, f"POST {ROUTE}")
    assert (server["trace_id"], server["parent_span_id"], server["kind"]) == (TRACE, PARENT, "SERVER")
    assert (server["trace_id"], server["span_id"]) == (trace.trace_id, trace.span_id)
    assert server["attributes"] == {
        "http.request.method": "POST",
        "http.route": ROUTE,
        "url.path": "/v1/models/iris:predict",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "model.name": "iris",
        "model.version": "2",
        "model.rows": 3,
    }
    assert server["status"] == "UNSET"
    for stage, started_after_ms in (("decode", 0), ("encode", 2)):
        child = named(spans, stage)
        assert (child["trace_id"], child["parent_span_id"]) == (TRACE, server["span_id"])
        assert abs(child["end"] - child["start"] - 1_000_000) < 10_000
        assert server["start"] + started_after_ms * 1_000_000 <= child["start"] < child["end"] <= server["end"]
    assert before <= server["start"] <= time.time_ns()
    resource = server["resource"]
    assert resource["service.name"] == "model-manager"
    assert resource["service.namespace"] == "shop"
    assert resource["k8s.pod.name"] == "iris-0"
    assert {"service.version", "service.instance.id"} <= resource.keys()
    assert tracing.spans_exported == 3
    assert tracing.spans_dropped == {"queue_full": 0, "export_failed": 0}


def test_the_service_is_called_what_the_operator_calls_it(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.http_endpoint}/v1/traces")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "flowers")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=iris-0,service.version=7")
    tracing = next(started())
    finish(recorded(tracing))
    (span,) = received(tracing, receiver)
    said = {name: span["resource"][f"service.{name}"] for name in ("name", "instance.id", "version")}
    assert said == {"name": "flowers", "instance.id": "iris-0", "version": "7"}


def test_a_failed_prediction_tells_where_and_never_what_it_was_given(tracing: Tracing, receiver: OtlpReceiver) -> None:
    row = "the secret row"

    def predict() -> None:
        float(row)

    try:
        try:
            predict()
        except ValueError as cause:
            raise PredictionFailed(f"the model failed on {row}") from cause
    except PredictionFailed as error:
        finish(recorded(tracing), 500, error)
    (span,) = received(tracing, receiver)
    assert (span["status"], span["attributes"]["error.type"]) == ("ERROR", "PredictionFailed")
    ((name, said),) = [(event["name"], event["attributes"]) for event in span["events"]]
    assert name == "exception"
    assert said["exception.type"] == "PredictionFailed"
    assert "in predict" in said["exception.stacktrace"]
    assert "ValueError" in said["exception.stacktrace"]
    assert row not in str(span)


@pytest.mark.parametrize(("status", "error"), [(503, Overloaded("the queue is full")), (502, None)])
def test_other_server_errors_are_errors_without_a_traceback(
    tracing: Tracing, receiver: OtlpReceiver, status: int, error: Exception | None
) -> None:
    finish(recorded(tracing), status, error)
    (span,) = received(tracing, receiver)
    assert span["status"] == "ERROR"
    assert span["attributes"]["error.type"] == ("Overloaded" if error else "502")
    assert span["events"] == []


@pytest.mark.parametrize("status", [400, 404, 499])
def test_a_callers_mistake_is_no_error_of_the_server(tracing: Tracing, receiver: OtlpReceiver, status: int) -> None:
    trace = recorded(tracing)
    trace.finish((), status=status, model=None, version=None, rows=None, error=ValueError(), ended=perf_counter())
    (span,) = received(tracing, receiver)
    assert span["status"] == "UNSET"
    assert not [name for name in span["attributes"] if name.startswith(("model.", "error."))]
