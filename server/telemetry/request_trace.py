"""The trace of one recorded request: a server span, its stages and its batch, handed over to be sent when it is over.

In the flow: Tracing.begin → stages and batch, as the request path and the batcher come by → finish → span_export.

Spans are made when they are over (the SDK's ReadableSpan): begun and ended one by one they cost several times as much,
and the requests beside this one wait for that.
"""

import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
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

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status()


class Export(Protocol):
    """Where ended spans go."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span."""
        ...


class Clock:
    """Turns readings of perf_counter into Unix time, by the distance between the two when it was made."""

    __slots__ = ("_distance",)

    def __init__(self) -> None:
        self._distance = time.time_ns() - time.perf_counter_ns()

    def at(self, reading: float) -> int:
        """Unix time in nanoseconds."""
        return self._distance + int(reading * 1e9)


class SpanFactory:
    """Makes ended spans of this process and hands them over."""

    def __init__(self, resource: Resource, scope: InstrumentationScope, ids: IdGenerator, export: Export) -> None:
        self._resource = resource
        self._scope = scope
        self._ids = ids
        self._export = export

    def context(self, trace_id: int, parent: SpanContext) -> SpanContext:
        """The identity of a new span of a trace; it carries its parent's trace state on."""
        return SpanContext(trace_id, self._ids.generate_span_id(), False, _SAMPLED, parent.trace_state)

    def end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        started: int,
        ended: int,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] = (),
        events: Sequence[Event] = (),
        status: Status = _UNSET,
    ) -> None:
        """Hand over a span that is over; times in Unix nanoseconds."""
        self._export.on_end(
            ReadableSpan(
                name,
                context,
                parent,
                self._resource,
                attributes or {},
                events,
                links,
                kind,
                status=status,
                start_time=started,
                end_time=ended,
                instrumentation_scope=self._scope,
            )
        )


class RequestTrace:
    """The trace of one recorded request; times are readings of perf_counter."""

    def __init__(
        self,
        spans: SpanFactory,
        trace_id: int,
        parent: SpanContext,
        *,
        route: str,
        method: str,
        path: str,
        began: float,
    ) -> None:
        self._spans = spans
        self._parent = parent
        self._context = spans.context(trace_id, parent)
        self._clock = Clock()
        self._name = f"{method} {route}"
        self._attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "http.route": route,
            "url.path": path,
            "url.scheme": "http",
        }
        self._began = began
        self._links: list[Link] = []

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format_trace_id(self._context.trace_id)

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return format_span_id(self._context.span_id)

    def stage(self, name: str, started: float, ended: float) -> None:
        """Record a stage that is over as a child span."""
        self._child(name, self._new_context(), started, ended)

    def finish(
        self,
        *,
        status: int,
        model: str | None,
        version: str | None,
        rows: int | None,
        error: BaseException | None,
        ended: float,
    ) -> None:
        """End the server span. 5xx are errors; what raised is told by its type and place, never by its message.

        An estimator's message may quote the rows that it was given.
        """
        attributes = self._attributes
        attributes["http.response.status_code"] = status
        known = {"model.name": model, "model.version": version, "model.rows": rows}
        attributes |= {name: value for name, value in known.items() if value is not None}
        outcome, events = _UNSET, []
        at = self._clock.at(ended)
        if status >= 500:
            reason = str(status) if error is None else type_name(error)
            attributes["error.type"] = reason
            outcome = Status(StatusCode.ERROR, reason)
            if status == 500 and error is not None:
                told = {"exception.type": type_name(error), "exception.stacktrace": _places(error)}
                events.append(Event("exception", told, at))
        self._spans.end(
            self._name,
            self._context,
            self._parent if self._parent.is_valid else None,
            self._clock.at(self._began),
            at,
            kind=SpanKind.SERVER,
            attributes=attributes,
            links=self._links,
            events=events,
            status=outcome,
        )

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
        """Record the batch that served this request and `others` (batch_span in tracing.py)."""
        served = (self, *others)
        attributes: dict[str, AttributeValue] = {
            "model.name": model,
            "model.version": version,
            "batch.rows": rows,
            "batch.requests": requests,
        }
        outcome = _UNSET
        if error is not None:
            attributes["error.type"] = type_name(error)
            outcome = Status(StatusCode.ERROR, type_name(error))
        batch = self._new_context()
        to_batch = Link(batch)
        for trace in served:
            leads = trace is self
            trace._child(
                "batch",
                batch if leads else trace._new_context(),
                started,
                ended,
                attributes=attributes,
                links=[Link(each._context) for each in served] if leads else [to_batch],
                status=outcome,
            )
            trace._links.append(to_batch)  # in vain if its client left before

    def _new_context(self) -> SpanContext:
        return self._spans.context(self._context.trace_id, self._parent)

    def _child(
        self,
        name: str,
        context: SpanContext,
        started: float,
        ended: float,
        *,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] = (),
        status: Status = _UNSET,
    ) -> None:
        at = self._clock.at
        self._spans.end(
            name, context, self._context, at(started), at(ended), attributes=attributes, links=links, status=status
        )


def type_name(error: BaseException) -> str:
    """The name under which a trace knows an error."""
    return type(error).__qualname__


def _places(error: BaseException) -> str:
    """The traceback of an error and of what caused it, without the messages."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines += [*traceback.format_tb(cause.__traceback__), type_name(cause) + "\n"]
        cause = cause.__cause__
    return "".join(lines)
