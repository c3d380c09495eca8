"""Whether anything is traced, and what costs nothing where nothing is: no import of OpenTelemetry.

In the flow: system → **start** → Tracing, once the environment asks for it; the batcher's batches → their traces.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_manager.traces.request_trace import RequestTrace
    from model_manager.traces.tracing import Tracing


def start_tracing(environ: Mapping[str, str]) -> "Tracing | None":
    """Start tracing as OpenTelemetry's OTEL_… variables say; None when they do not ask for it.

    `environ` holds those of this process, since the SDK reads some of them itself. Raises StartRefused when they cannot
    be met, or when the exporters are not installed.
    """
    if not _wanted(environ):
        return None
    from model_manager.traces.tracing import Tracing

    return Tracing.from_environment(environ)


def _wanted(environ: Mapping[str, str]) -> bool:
    """An endpoint or an exporter turns tracing on; OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none turn it off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return exporter != "none"
    return any(environ.get(name) for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))


def batch_span(
    traces: "Sequence[RequestTrace]",
    started: float,
    ended: float,
    *,
    model: str,
    version: str,
    rows: int,
    requests: int,
    error: BaseException | None = None,
) -> None:
    """Record one batch in the traces of all recorded requests that it served; `requests` counts every one it served.

    Times are readings of perf_counter. The batch is a span of the first trace, linked to every request's; each other
    trace has a span of its own for it, linked to the first's; every request's span links the batch.
    """
    if traces:
        traces[0].lead_batch(
            traces[1:], started, ended, model=model, version=version, rows=rows, requests=requests, error=error
        )
