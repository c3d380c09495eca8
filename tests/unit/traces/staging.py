"""Begin, finish and receive what is traced, as the tests of traces do."""

from collections.abc import Iterator
from time import perf_counter

from model_manager.settings import opentelemetry_variables
from model_manager.traces import start_tracing
from model_manager.traces.request_trace import RequestTrace
from model_manager.traces.tracing import Tracing

from tools.otlp_receiver import OtlpReceiver, Span

ROUTE = "/v1/models/{model}:predict"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM_W3C = [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"tracestate", b"vendor=1")]
Headers = list[tuple[bytes, bytes]]


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
