"""One trace from a proxy through the server to a collector: real Envoy, real server process, real OTLP receiver."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.tracing_proxy import tracing_proxy
from tests.live import live_server, wait_until
from tests.models import dump, put
from tests.moody_model import MoodyRegressor
from tests.slow_model import SlowRegressor
from tools.otlp_receiver import OtlpReceiver, Span

IRIS = [[5.1, 3.5, 1.4, 0.2]]
BODY = {"instances": IRIS}
PATH = "/v1/models/iris:predict"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGES = {"decode", "queue", "batch", "encode"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A collector that the server under test sends its spans to, soon."""
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield receiver


def of(spans: list[Span], trace_id: str) -> list[Span]:
    return [span for span in spans if span["trace_id"] == trace_id]


def servers(spans: list[Span]) -> list[Span]:
    """The server spans of requests, less the proxy's."""
    return [span for span in spans if span["kind"] == "SERVER" and span["resource"]["service.name"] == "model-manager"]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_trace_goes_through_envoy_and_the_server_under_one_id(
    samples: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: str
) -> None:
    collector = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    caller = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with (
        live_server(samples) as server,
        tracing_proxy(tmp_path, str(server.api.base_url).rstrip("/"), collector, protocol=protocol) as proxy,
    ):
        assert httpx.post(proxy.api + PATH, json=BODY, headers=caller).status_code == 200
        spans = of(receiver.wait_for(lambda spans: {"envoy", "model-manager"} <= whose(of(spans, TRACE))), TRACE)
    (through,) = [span for span in spans if span["resource"]["service.name"] == "envoy"]
    spans = of(receiver.spans(), TRACE)  # all of them: the server sent what it had when it stopped
    (served,) = servers(spans)
    assert through["parent_span_id"] == PARENT
    assert served["parent_span_id"] == through["span_id"]
    assert served["name"] == "POST /v1/models/{model}:predict"
    assert served["attributes"]["model.name"] == "iris"
    assert served["attributes"]["http.response.status_code"] == 200
    stages = [span for span in spans if span["parent_span_id"] == served["span_id"]]
    assert {span["name"] for span in stages} == STAGES
    assert through["start"] <= served["start"] < served["end"]
    for stage in stages:
        assert served["start"] <= stage["start"] <= stage["end"] <= served["end"]


def whose(spans: list[Span]) -> set[str]:
    return {span["resource"]["service.name"] for span in spans}


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": f"{TRACE}-{PARENT}-1"},
        {"X-B3-TraceId": TRACE, "X-B3-SpanId": PARENT, "X-B3-Sampled": "1"},
    ],
    ids=["single", "multi"],
)
def test_a_caller_that_speaks_b3_is_joined(samples: Path, receiver: OtlpReceiver, headers: dict[str, str]) -> None:
    with live_server(samples) as server:
        assert server.api.post(PATH, json=BODY, headers=headers).status_code == 200
        unrecorded = {**headers, **({"b3": f"{TRACE}-{PARENT}-0"} if "b3" in headers else {"X-B3-Sampled": "0"})}
        assert server.api.post(PATH, json=BODY, headers=unrecorded).status_code == 200
    (served,) = servers(receiver.spans())
    assert (served["trace_id"], served["parent_span_id"]) == (TRACE, PARENT)


def test_the_batch_links_the_requests_it_served_and_they_link_it(tmp_path: Path, receiver: OtlpReceiver) -> None:
    slow = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "announcement"))
    slow.open()
    repository = tmp_path / "models"
    put(repository, "slow", "1", dump(slow.fit([[0.0], [1.0]], [0.0, 1.0])))
    with live_server(repository, compile="off") as server, ThreadPoolExecutor(5) as clients:
        slow.shut()
        first = clients.submit(server.predict, "slow", [[0.0]])
        wait_until(slow.entered, "the first batch to run")
        others = [clients.submit(server.predict, "slow", [[float(number)]]) for number in range(1, 5)]
        wait_until(lambda: server.metric("model_manager_queue_rows") == 4, "the others to wait")
        slow.open()
        assert [answer.result().json()["predictions"] for answer in (first, *others)] == [
            [float(number)] for number in range(5)
        ]
    spans = receiver.spans()
    requests = {span["span_id"]: span for span in servers(spans)}
    batches = {span["span_id"]: span for span in spans if span["name"] == "batch"}
    assert len(requests) == len(batches) == 5
    (together,) = [span for span in batches.values() if len(span["links"]) == 4]
    assert together["attributes"]["batch.requests"] == together["attributes"]["batch.rows"] == 4
    linked = [requests[link["span_id"]] for link in together["links"]]
    assert together["parent_span_id"] in {span["span_id"] for span in linked}
    for request in linked:
        assert request["links"] == [{"trace_id": together["trace_id"], "span_id": together["span_id"]}]
    own = [span for span in batches.values() if span["parent_span_id"] in {span["span_id"] for span in linked}]
    assert len(own) == 4
    assert all((span["start"] - together["start"]) < 1_000_000 for span in own)


def test_a_load_is_a_trace(samples: Path, receiver: OtlpReceiver) -> None:
    with live_server(samples, compile="off"):
        pass
    spans = receiver.spans()
    loads = [span for span in spans if span["name"] == "load model"]
    assert {span["attributes"]["model.name"] for span in loads} >= {"iris", "churn"}
    for load in loads:
        phases = {span["name"] for span in spans if span["parent_span_id"] == load["span_id"]}
        assert phases >= {"fetch", "load", "prove"}


def test_one_percent_of_requests_is_recorded_and_every_one_that_its_caller_records(
    samples: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")
    requests, together = 2000, threading.Semaphore(8)
    with live_server(samples) as server, ThreadPoolExecutor(8) as clients:
        content = json.dumps(BODY).encode()

        def ask(_: int) -> int:
            with together:
                return server.api.post(PATH, content=content).status_code

        assert set(clients.map(ask, range(requests))) == {200}
        recorded = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert server.api.post(PATH, content=content, headers=recorded).status_code == 200
    spans = servers(receiver.spans())
    assert len(of(spans, TRACE)) == 1
    assert 0 < len(spans) - 1 < 60  # 20 are expected, with a deviation of 4.4


@pytest.mark.parametrize("answered", [200, 500])
def test_log_lines_name_the_callers_trace_though_nothing_is_recorded(tmp_path: Path, answered: int) -> None:
    repository = tmp_path / "models"
    put(repository, "moody", "1", dump(MoodyRegressor().fit([[0.0]], [0.0])))
    with live_server(repository, log_requests=1, compile="off") as server:
        row = [1.0] if answered == 200 else [666.0]
        headers = {"b3": f"{TRACE[16:]}-{PARENT}-1"}
        answer = server.api.post("/v1/models/moody:predict", json={"instances": [row]}, headers=headers)
        assert answer.status_code == answered
        wait_until(lambda: [line for line in server.log if line.get("status") == answered], "the line of the request")
        lines = [line for line in server.log if "request_id" in line]
    assert len(lines) == (1 if answered == 200 else 2)  # a failure has a line of its own
    for line in lines:
        assert (line["trace_id"], line["span_id"]) == (TRACE[16:].zfill(32), PARENT)
