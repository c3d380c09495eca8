"""The door to tracing: nothing of OpenTelemetry is imported before the environment asks for traces.

In the flow: system starts it; predict.py begins a trace for each request that is recorded; the batcher records batches.
What they hold is in spans.py, to be imported for type checking only.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from model_manager.settings import tracing_wanted

if TYPE_CHECKING:
    from model_manager.traces.request_trace import RequestTrace
    from model_manager.traces.spans import Tracing


def start_tracing(environ: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Start tracing as OpenTelemetry's OTEL_… variables say; None when they do not ask for it.

    Raises StartRefused when they cannot be met, or when the exporters are not installed.
    """
    if not tracing_wanted(environ):
        return None
    from model_manager.traces.spans import Tracing

    return Tracing.from_environment(environ)


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
