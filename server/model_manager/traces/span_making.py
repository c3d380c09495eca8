"""What was noted down → ended spans of this process, as the SDK's exporters take them.

In the flow: request_trace (times, names, ids) → **span_making**, on the thread of span_export.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status
from opentelemetry.util.types import AttributeValue

UNSET: Final = Status()


class Recorded(Protocol):
    """Something that is over and is told in spans, which are only made when they are sent."""

    @property
    def span_count(self) -> int:
        """How many spans it is told in."""
        ...

    def spans(self) -> Sequence[ReadableSpan]:
        """Make them. Called on the thread of the export."""
        ...


class Export(Protocol):
    """Where it goes once it is over."""

    def add(self, recorded: Recorded) -> None:
        """Take it. Its spans are made later, on another thread."""
        ...


class Clock:
    """Turns readings of perf_counter into Unix time, by the distance between the two when it was made."""

    __slots__ = ("_distance",)

    def __init__(self) -> None:
        self._distance = time.time_ns() - time.perf_counter_ns()

    def at(self, reading: float) -> int:
        """Unix time in nanoseconds."""
        return self._distance + int(reading * 1e9)


class SpanMaker:
    """Makes ended spans of this process. `export` takes what they are made from."""

    def __init__(self, resource: Resource, scope: InstrumentationScope, export: Export) -> None:
        self._resource = resource
        self._scope = scope
        self.export = export

    def make(
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
        status: Status = UNSET,
    ) -> ReadableSpan:
        """A span that is over; times in Unix nanoseconds."""
        return ReadableSpan(
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


def type_name(error: BaseException) -> str:
    """The name under which a trace knows an error."""
    return type(error).__qualname__
