"""What OpenTelemetry's variables ask for at the start: nothing, the console, an exporter, or a refusal by name."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from model_manager.errors import StartRefused
from model_manager.settings import opentelemetry_variables
from model_manager.traces import start_tracing
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import finish, received, recorded, started
from tools.otlp_receiver import OtlpReceiver
from tools.processes import without_server_settings


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
        with pytest.raises(StartRefused, match=r"pip install 'model-manager-server\[otlp\]'"):
            start_tracing(opentelemetry_variables())


def test_exporters_log_as_before_once_tracing_has_ended(tracing: Tracing, receiver: OtlpReceiver) -> None:
    exporters = logging.getLogger("opentelemetry.exporter")
    assert not exporters.propagate
    received(tracing, receiver)
    assert exporters.propagate
