"""Which exporter the OTEL_… variables ask for: OTLP over HTTP or gRPC, or the console. Each is imported when asked for.

What they say about endpoint, headers, certificates, compression and timeout, the SDK's exporters read themselves.
"""

import sys
from collections.abc import Mapping

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from model_manager.errors import StartRefused
from model_manager.version import pip_install

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def exporter_from_environment(environ: Mapping[str, str]) -> SpanExporter:
    """Make the exporter. Raises StartRefused for one that is not known, not installed, or refuses its variables."""
    name = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if name == "console":
        return ConsoleSpanExporter(out=sys.stdout)
    if name != "otlp":
        raise StartRefused(f"OTEL_TRACES_EXPORTER={name}: traces are sent by one exporter: otlp, console or none")
    variable, protocol = _first(environ, _PROTOCOLS) or (_PROTOCOLS[1], "http/protobuf")
    try:
        if protocol == "grpc":
            return _otlp_grpc()
        if protocol == "http/protobuf":
            return _otlp_http(environ)
    except ImportError as error:
        raise StartRefused(
            f"traces are asked for by OTEL_…, and the exporters are not installed ({error.name}): "
            f"{pip_install('otlp')}, or set OTEL_TRACES_EXPORTER=none"
        ) from None
    except StartRefused:
        raise
    except Exception as error:  # their own, one for each kind of bad value
        raise StartRefused(f"OTEL_EXPORTER_OTLP_…: {error}") from error
    raise StartRefused(f"{variable}={protocol}: traces are sent by http/protobuf or grpc")


def _otlp_grpc() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _otlp_http(environ: Mapping[str, str]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    for variable, endpoint in filter(None, [_first(environ, _ENDPOINTS)]):
        if not endpoint.startswith(("http://", "https://")):
            raise StartRefused(f"{variable}={endpoint}: not a URL; give http://host:4318 (or set the protocol to grpc)")
    return OTLPSpanExporter()


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """The first variable that is set, and its value."""
    return next(((name, environ[name]) for name in names if environ.get(name)), None)
