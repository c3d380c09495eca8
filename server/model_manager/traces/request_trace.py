"""The trace of one recorded request: a server span, its stages and its batch.

In the flow: Tracing.begin → **request_trace**, as the request path and the batcher come by → finish → span_export.

What is recorded is only noted down; the spans are made by the thread that sends them (the SDK's ReadableSpan). At one
request in a hundred, code that makes spans is never in the processor's caches: between two requests it costs several
times what it costs on a heap of traces.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import getrandbits
from typing import Final, TypeAlias

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
)
from opentelemetry.util.types import AttributeValue

from model_manager.logs import places
from model_manager.traces.span_making import UNSET, Clock, SpanMaker, type_name

Stage: TypeAlias = tuple[str, float, float]
"""What becomes a child span: its name, and when it started and ended (perf_counter)."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class RequestTrace:
    """The trace of one recorded request; times are readings of perf_counter."""

    __slots__ = (
        "_began", "_ended", "_error", "_events", "_maker", "_method", "_model", "_parent", "_path", "_route", "_rows",
        "_span_id", "_stages", "_status", "_version", "batch", "trace_number",
    )  # fmt: skip

    def __init__(
        self, maker: SpanMaker, trace_id: int, parent: SpanContext, route: str, method: str, path: str, began: float
    ) -> None:
        self._maker = maker
        self.trace_number = trace_id
        self._span_id = getrandbits(64) or 1
        self._parent = parent
        self._route = route
        self._method = method
        self._path = path
        self._began = began
        self.batch: BatchTrace | None = None

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format_trace_id(self.trace_number)

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return format_span_id(self._span_id)

    def finish(
        self,
        stages: Iterable[Stage],
        *,
        status: int,
        model: str | None,
        version: str | None,
        rows: int | None,
        error: BaseException | None,
        ended: float,
    ) -> None:
        """End the request; stages that it did not go through have 0 for one of their times.

        5xx are errors; what raised is told by its type and place, never by its message.
        An estimator's message may quote the rows that it was given.
        """
        self._stages = [stage for stage in stages if stage[1] and stage[2]]
        self._status = status
        self._model = model
        self._version = version
        self._rows = rows
        self._ended = ended
        self._error = ""
        self._events: Mapping[str, str] | None = None
        if status >= 500:
            self._error = str(status) if error is None else type_name(error)
            if status == 500 and error is not None:
                self._events = {"exception.type": self._error, "exception.stacktrace": places(error)}
        self._maker.export.add(self)

    def lead_batch(
        self,
        others: Sequence["RequestTrace"],
        started: float,
        ended: float,
        *,
        model: str,
        version: str,
        rows: int,
        requests: int,
        error: BaseException | None,
    ) -> None:
        """Record the batch that served this request and `others` (batch_span in start.py)."""
        batch = BatchTrace(self._maker, (self, *others), started, ended, model, version, rows, requests, error)
        for trace in batch.served:
            trace.batch = batch  # in vain if its client left before
        self._maker.export.add(batch)

    def context(self) -> SpanContext:
        """The identity of the server span."""
        return self.child_context(self._span_id)

    def child_context(self, span_id: int) -> SpanContext:
        """The identity of a span of this trace; it carries the caller's trace state on."""
        return SpanContext(self.trace_number, span_id, False, _SAMPLED, self._parent.trace_state)

    @property
    def span_count(self) -> int:
        """The server span and the stages."""
        return 1 + len(self._stages)

    def spans(self) -> list[ReadableSpan]:
        """Make the server span and its stages; the batch makes its own."""
        make, at, context = self._maker.make, Clock().at, self.context()
        attributes: dict[str, AttributeValue] = {
            "http.request.method": self._method,
            "http.route": self._route,
            "url.path": self._path,
            "url.scheme": "http",
            "http.response.status_code": self._status,
        }
        known = {"model.name": self._model, "model.version": self._version, "model.rows": self._rows}
        attributes |= {name: value for name, value in known.items() if value is not None}
        if self._error:
            attributes["error.type"] = self._error
        server = make(
            f"{self._method} {self._route}",
            context,
            self._parent if self._parent.is_valid else None,
            at(self._began),
            at(self._ended),
            kind=SpanKind.SERVER,
            attributes=attributes,
            links=() if self.batch is None else (Link(self.batch.context()),),
            events=() if self._events is None else (Event("exception", self._events, at(self._ended)),),
            status=Status(StatusCode.ERROR, self._error) if self._error else UNSET,
        )
        stages = [
            make(name, self.child_context(getrandbits(64) or 1), context, at(started), at(ended))
            for name, started, ended in self._stages
        ]
        return [server, *stages]


class BatchTrace:
    """One batch, told in the trace of each recorded request that it served; the first of them leads."""

    __slots__ = (
        "_ended", "_error", "_maker", "_model", "_requests", "_rows", "_span_id", "_started", "_version", "served",
    )  # fmt: skip

    def __init__(
        self,
        maker: SpanMaker,
        served: Sequence[RequestTrace],
        started: float,
        ended: float,
        model: str,
        version: str,
        rows: int,
        requests: int,
        error: BaseException | None,
    ) -> None:
        self._maker = maker
        self._span_id = getrandbits(64) or 1
        self._started = started
        self._ended = ended
        self._model = model
        self._version = version
        self._rows = rows
        self._requests = requests
        self._error = type_name(error) if error is not None else ""
        self.served = served

    def context(self) -> SpanContext:
        """The identity of the leader's batch span, which every other span of the batch links."""
        return self.served[0].child_context(self._span_id)

    @property
    def span_count(self) -> int:
        """One for each recorded request."""
        return len(self.served)

    def spans(self) -> list[ReadableSpan]:
        """Make a span in the trace of every request."""
        at, context = Clock().at, self.context()
        attributes: dict[str, AttributeValue] = {
            "model.name": self._model,
            "model.version": self._version,
            "batch.rows": self._rows,
            "batch.requests": self._requests,
        }
        if self._error:
            attributes["error.type"] = self._error
        status = Status(StatusCode.ERROR, self._error) if self._error else UNSET
        requests = [trace.context() for trace in self.served]
        own = [context, *(trace.child_context(getrandbits(64) or 1) for trace in self.served[1:])]
        to_requests, to_leader = [Link(request) for request in requests], (Link(context),)
        return [
            self._maker.make(
                "batch",
                span,
                request,
                at(self._started),
                at(self._ended),
                attributes=attributes,
                links=to_leader if place else to_requests,
                status=status,
            )
            for place, (span, request) in enumerate(zip(own, requests, strict=True))
        ]
