"""A collector that is dead, hangs or comes back: requests never wait for it, and every span lost is counted."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest
from model_manager.settings import opentelemetry_variables
from model_manager.traces import start_tracing
from model_manager.traces.tracing import Tracing

from tests.live import wait_until
from tools.otlp_receiver import OtlpReceiver
from tools.processes import without_server_settings

PROTOCOLS = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
OUTAGE = "spans cannot be sent, and are dropped until they can"


@contextmanager
def hanging_collector() -> Iterator[socket.socket]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return port_of(listening)


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Small batches that leave at once, and exports that give up soon."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    return monkeypatch


def start(environ: pytest.MonkeyPatch, port: int, protocol: str = "http/protobuf") -> Tracing:
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    environ.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    tracing = start_tracing(opentelemetry_variables())
    assert tracing is not None
    return tracing


def record(tracing: Tracing, spans: int) -> None:
    for _ in range(spans):
        now = perf_counter()
        trace = tracing.begin([], "POST", "/", "/", now)
        assert trace is not None
        trace.finish((), status=200, model=None, version=None, rows=None, error=None, ended=now)


def wait_for_loss(tracing: Tracing, spans: int) -> None:
    wait_until(lambda: tracing.spans_dropped["export_failed"] == spans, f"the loss of {spans} spans")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("model_manager.")]


@PROTOCOLS
def test_a_dead_collector_costs_the_count_and_one_line(
    environ: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    environ.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")  # time for one more try, of which the exporter says why
    tracing = start(environ, free_port(), protocol)
    for lost in (8, 16, 24):
        record(tracing, 8)
        wait_for_loss(tracing, lost)
    assert tracing.spans_exported == 0
    before = perf_counter()
    tracing.shutdown(20)
    assert perf_counter() - before < 1  # it is known to be dead
    (line,) = said(caplog)
    assert line.startswith(OUTAGE)
    assert ("UNAVAILABLE" if protocol == "grpc" else "Connection refused") in line


def test_an_outage_that_ends_is_logged_with_what_it_cost(
    environ: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "model_manager")
    port = free_port()
    tracing = start(environ, port)
    record(tracing, 8)
    wait_for_loss(tracing, 8)
    with OtlpReceiver(port) as receiver:
        record(tracing, 3)
        receiver.wait_for(lambda spans: len(spans) == 3)
        wait_until(lambda: tracing.spans_exported == 3, "the count")
        tracing.shutdown(20)
    first, second = said(caplog)
    assert first.startswith(OUTAGE)
    assert second == "spans are sent again; 8 were lost"


@PROTOCOLS
def test_a_hanging_collector_fills_a_bounded_queue_and_no_request_waits(
    environ: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    environ.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    with hanging_collector() as listening:
        tracing = start(environ, port_of(listening), protocol)
        record(tracing, 8)
        connection, _ = listening.accept()  # the first batch is on its way
        with connection:
            before = perf_counter()
            record(tracing, 1000)
            assert perf_counter() - before < 1
            assert tracing.spans_dropped == {"queue_full": 1000 - 16, "export_failed": 0}
            before = perf_counter()
            tracing.shutdown(0.2)
            assert perf_counter() - before < 2
    assert said(caplog) == ["24 spans were not sent before the server stopped"]


@PROTOCOLS
def test_a_process_ends_in_time_though_its_collector_hangs(protocol: str) -> None:
    program = (
        "from time import perf_counter\n"
        "from model_manager.settings import opentelemetry_variables\n"
        "from model_manager.traces import start_tracing\n"
        "tracing = start_tracing(opentelemetry_variables())\n"
        "trace = tracing.begin([], 'POST', '/', '/', perf_counter())\n"
        "trace.finish((), status=200, model=None, version=None, rows=None, error=None, ended=perf_counter())\n"
        "tracing.shutdown(0.5)\n"
    )
    with hanging_collector() as listening:
        environ = without_server_settings() | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port_of(listening)}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "60",
        }
        ended = subprocess.run([sys.executable, "-c", program], env=environ, check=True, capture_output=True, text=True)
    assert "1 spans were not sent" in ended.stderr


def test_what_is_queued_is_sent_before_the_process_ends(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with OtlpReceiver() as receiver:
        tracing = start(environ, int(receiver.http_endpoint.rpartition(":")[2]))
        record(tracing, 5)
        assert receiver.spans() == []
        tracing.shutdown(20)
        assert len(receiver.spans()) == tracing.spans_exported == 5


def test_an_answer_that_is_no_success_counts_as_lost(
    environ: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with OtlpReceiver() as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.http_endpoint}/elsewhere")
        tracing = start(environ, 1)
        record(tracing, 2)
        tracing.shutdown(20)
    assert tracing.spans_dropped["export_failed"] == 2
    assert said(caplog) == [f"{OUTAGE}: Failed to export spans batch code: 404, reason: Not Found"]
