"""What is recorded of requests, batches and loads, as a real OTLP receiver gets it over HTTP and gRPC."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from model_manager.errors import LoadFailed, Overloaded, PredictionFailed, StartRefused
from model_manager.settings import opentelemetry_variables
from model_manager.traces import batch_span, start_tracing
from model_manager.traces.request_trace import RequestTrace
from model_manager.traces.tracing import Tracing

from tools.otlp_receiver import OtlpReceiver, Span
from tools.processes import without_server_settings

ROUTE = "/v1/models/{model}:predict"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM_W3C = [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"tracestate", b"vendor=1")]
Headers = list[tuple[bytes, bytes]]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def tracing(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracing]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    yield from started()


def started() -> Iterator[Tracing]:
    tracing = start_tracing(opentelemetry_variables())
    assert tracing is not None
    yield tracing
    tracing.shutdown(20)


def begin(tracing: Tracing, headers: Headers | None = None) -> RequestTrace | None:
    return tracing.begin(headers or [], "POST", "/v1/models/iris:predict", ROUTE, perf_counter())


def recorded(tracing: Tracing, headers: Headers | None = None) -> RequestTrace:
    trace = begin(tracing, headers)
    assert trace is not None
    return trace


def finish(trace: RequestTrace, status: int = 200, error: BaseException | None = None) -> None:
    trace.finish((), status=status, model="iris", version="2", rows=3, error=error, ended=perf_counter())


def received(tracing: Tracing, receiver: OtlpReceiver) -> list[Span]:
    tracing.shutdown(20)
    return receiver.spans()


def named(spans: list[Span], name: str) -> Span:
    (span,) = [span for span in spans if span["name"] == name]
    return span


def place(span: Span) -> dict[str, str]:
    """How a link names a span."""
    return {"trace_id": span["trace_id"], "span_id": span["span_id"]}


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


@pytest.mark.parametrize(
    "headers",
    [
        FROM_W3C,
        [(b"b3", f"{TRACE}-{PARENT}-1".encode())],
        [(b"b3", f"{TRACE}-{PARENT}-d".encode())],
        [(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-sampled", b"1")],
        [(b"x-b3-traceid", TRACE.upper().encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-flags", b"1")],
        [(b"b3", b"00000000000000010000000000000002-0000000000000003-0"), *FROM_W3C],
    ],
    ids=["W3C", "b3", "b3 debug", "x-b3", "x-b3 debug in capitals", "W3C holds over b3"],
)
def test_a_request_joins_its_callers_trace(tracing: Tracing, receiver: OtlpReceiver, headers: Headers) -> None:
    finish(recorded(tracing, headers))
    (span,) = received(tracing, receiver)
    assert (span["trace_id"], span["parent_span_id"]) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())],
        [(b"b3", f"{TRACE}-{PARENT}-0".encode())],
        [(b"b3", b"0")],
        [(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-sampled", b"0")],
        [(b"x-b3-sampled", b"0")],
        [(b"b3", f"{TRACE.upper()}-{PARENT}-0".encode())],
    ],
    ids=["W3C", "b3", "b3 alone", "x-b3", "x-b3-sampled alone", "b3 in capitals"],
)
def test_a_trace_that_the_caller_does_not_record_is_not_recorded(
    tracing: Tracing, receiver: OtlpReceiver, headers: Headers
) -> None:
    assert begin(tracing, headers) is None
    assert received(tracing, receiver) == []


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"")],
        [(b"traceparent", b"\xff\xfe")],
        [(b"traceparent", f"00-{'0' * 32}-{PARENT}-01".encode())],
        [(b"traceparent", f"ff-{TRACE}-{PARENT}-01".encode())],
        [(b"traceparent", b"0" * 4096)],
        [(b"tracestate", b"=,=,=")],
        [(b"b3", b"-"), (b"x-b3-traceid", b"x")],
        [(b"b3", f"{'0' * 32}-{PARENT}-1".encode())],
        [(b"x-b3-spanid", PARENT.encode())],
    ],
)
def test_malformed_headers_begin_a_trace_of_their_own_and_fill_no_log(
    tracing: Tracing, receiver: OtlpReceiver, headers: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    finish(recorded(tracing, headers))
    (span,) = received(tracing, receiver)
    assert span["parent_span_id"] == ""
    assert span["trace_id"] != TRACE
    assert caplog.records == []


def test_every_trace_of_its_own_has_an_id_of_its_own(tracing: Tracing) -> None:
    load = tracing.load("iris", "2", perf_counter())
    assert load is not None
    traces = [recorded(tracing, headers) for headers in ([], [(b"traceparent", b"?")], [], [(b"b3", b"?")])]
    later = tracing.load("iris", "3", perf_counter())
    assert later is not None
    ids = {load.trace_id, later.trace_id, *(trace.trace_id for trace in traces)}
    assert len(ids) == 6


def test_a_malformed_tracestate_costs_only_itself(
    tracing: Tracing, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    finish(recorded(tracing, [FROM_W3C[0], (b"tracestate", b"=,\xff=,a" * 1000)]))
    (span,) = received(tracing, receiver)
    assert span["trace_id"] == TRACE
    assert caplog.records == []


def test_otel_propagators_decides_what_is_read(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    b3 = [(b"b3", f"{TRACE}-{PARENT}-1".encode())]
    for propagators, w3c_is_read, b3_is_read in [("tracecontext,baggage", 1, 0), ("b3", 0, 1), ("none", 0, 0)]:
        monkeypatch.setenv("OTEL_PROPAGATORS", propagators)
        tracing = next(started())
        for headers, is_read in ((FROM_W3C, w3c_is_read), (b3, b3_is_read)):
            trace = recorded(tracing, headers)
            assert (trace.trace_id == TRACE) == bool(is_read)
            finish(trace)
        tracing.shutdown(20)


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_the_ratio_that_is_asked_for_is_recorded(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")
    tracing = next(started())
    traces = [trace for trace in (begin(tracing) for _ in range(20_000)) if trace is not None]
    assert 1700 < len(traces) < 2300  # seven standard deviations
    assert all(int(trace.trace_id[16:], 16) < 0.1 * 2**64 for trace in traces)
    assert len({trace.trace_id for trace in traces}) == len(traces)
    unlucky = [(b"traceparent", f"00-{'f' * 32}-{PARENT}-01".encode())]
    assert (begin(tracing, unlucky) is None) == (sampler == "traceidratio")
    tracing.shutdown(20)


def test_a_batch_and_the_requests_it_served_link_each_other(tracing: Tracing, receiver: OtlpReceiver) -> None:
    traces = [recorded(tracing) for _ in range(3)]
    at = perf_counter()
    batch_span(traces, at, at + 0.002, model="iris", version="2", rows=12, requests=5)
    for trace in traces:
        finish(trace)
    spans = received(tracing, receiver)
    servers = {span["trace_id"]: span for span in spans if span["kind"] == "SERVER"}
    batches = {span["trace_id"]: span for span in spans if span["name"] == "batch"}
    first = batches[traces[0].trace_id]
    assert first["links"] == [place(servers[trace.trace_id]) for trace in traces]
    for trace in traces:
        server, batch = servers[trace.trace_id], batches[trace.trace_id]
        assert batch["parent_span_id"] == server["span_id"]
        assert server["links"] == [place(first)]
        assert batch is first or batch["links"] == [place(first)]
        assert abs(batch["end"] - batch["start"] - 2_000_000) < 10_000
        assert batch["attributes"] == {
            "model.name": "iris",
            "model.version": "2",
            "batch.rows": 12,
            "batch.requests": 5,
        }


def test_a_batch_that_served_no_recorded_request_leaves_no_span(tracing: Tracing, receiver: OtlpReceiver) -> None:
    batch_span([], 0.0, 1.0, model="iris", version="2", rows=1, requests=1)
    assert received(tracing, receiver) == []


def test_a_batch_may_end_after_its_client_left(
    tracing: Tracing, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    left, stayed = recorded(tracing), recorded(tracing)
    finish(left, 499, asyncio.CancelledError())
    at = perf_counter()
    failed = PredictionFailed("the model failed on this input")
    batch_span([left, stayed], at, at + 1, model="iris", version="2", rows=2, requests=2, error=failed)
    finish(stayed)
    spans = received(tracing, receiver)
    assert [span["status"] for span in spans if span["name"] == "batch"] == ["ERROR", "ERROR"]
    assert [span["status"] for span in spans if span["kind"] == "SERVER"] == ["UNSET", "UNSET"]
    assert caplog.records == []


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


def test_a_load_is_a_trace_of_its_phases(tracing: Tracing, receiver: OtlpReceiver) -> None:
    at = perf_counter()
    load = tracing.load("iris", "2", at)
    assert load is not None
    for number, phase in enumerate(("fetch", "load", "prove", "compile")):
        load.stage(phase, at + number, at + number + 1)
    load.finish(error=None, ended=at + 4)
    spans = received(tracing, receiver)
    root = named(spans, "load model")
    assert (root["parent_span_id"], root["status"]) == ("", "UNSET")
    assert root["attributes"] == {"model.name": "iris", "model.version": "2"}
    phases = sorted((span for span in spans if span is not root), key=lambda span: int(span["start"]))
    assert [span["name"] for span in phases] == ["fetch", "load", "prove", "compile"]
    assert {span["parent_span_id"] for span in phases} == {root["span_id"]}


@pytest.mark.parametrize(
    ("error", "status", "attributes"),
    [
        (
            LoadFailed("golden_mismatch", "row 1 differs"),
            ("ERROR", "golden_mismatch: row 1 differs"),
            {"load.failure_reason": "golden_mismatch", "error.type": "LoadFailed"},
        ),
        (KeyError("x"), ("ERROR", "internal: 'x'"), {"load.failure_reason": "internal", "error.type": "KeyError"}),
        (asyncio.CancelledError(), ("UNSET", ""), {"load.abandoned": True}),
    ],
    ids=["failed", "our own bug", "abandoned"],
)
def test_a_load_that_fails_says_why(
    tracing: Tracing, receiver: OtlpReceiver, error: BaseException, status: Any, attributes: dict[str, Any]
) -> None:
    load = tracing.load("iris", "2", perf_counter())
    assert load is not None
    load.finish(error=error, ended=perf_counter())
    (span,) = received(tracing, receiver)
    assert (span["status"], span["status_message"]) == status
    assert {"model.name": "iris", "model.version": "2", **attributes} == span["attributes"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_of_opentelemetry_is_imported_while_tracing_is_off(environ: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys, model_manager.serving.system, model_manager.process\n"
        "from model_manager.settings import opentelemetry_variables\n"
        "from model_manager.traces import start_tracing, trace_fields\n"
        "assert start_tracing(opentelemetry_variables()) is None\n"
        "assert trace_fields([(b'b3', b'0af7651916cd43dd-b7ad6b7169203331-1')], None)\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry', 'grpc'))]"
    )
    subprocess.run([sys.executable, "-c", program], env={**without_server_settings(), **environ}, check=True)


def test_the_console_shows_spans_where_no_collector_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    tracing = next(started())
    trace = recorded(tracing)
    finish(trace)
    tracing.shutdown(20)
    assert trace.trace_id in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json: traces are sent by http/"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "udp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=udp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318: not a URL"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER=zipkin: .* otlp, console or none"),
        ("OTEL_PROPAGATORS", "tracecontext,b4", "OTEL_PROPAGATORS: there is no propagator called 'b4'"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "OTEL_BSP_MAX_QUEUE_SIZE=many: not a whole number"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "OTEL_BSP_SCHEDULE_DELAY=0: not a whole number above 0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8", "OTEL_BSP_MAX_QUEUE_SIZE=8: less than one batch .*EXPORT_BATCH_SIZE, 512"),
    ],
)
def test_a_variable_that_cannot_be_met_refuses_the_start_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    with pytest.raises(StartRefused, match=says):
        start_tracing(opentelemetry_variables())


def test_what_an_exporter_refuses_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")
    with pytest.raises(StartRefused, match=r'OTEL_EXPORTER_OTLP_…: .*"zip"'):
        start_tracing(opentelemetry_variables())


def test_exporters_that_are_not_installed_refuse_the_start_and_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for protocol in ("http", "grpc"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter", None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for protocol in ("http/protobuf", "grpc"):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        with pytest.raises(StartRefused, match=r"pip install model-manager\[otlp\]"):
            start_tracing(opentelemetry_variables())


def test_exporters_log_as_before_once_tracing_has_ended(tracing: Tracing, receiver: OtlpReceiver) -> None:
    exporters = logging.getLogger("opentelemetry.exporter")
    assert not exporters.propagate
    received(tracing, receiver)
    assert exporters.propagate
