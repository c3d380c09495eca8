"""Traces of requests and loads, made with OpenTelemetry's SDK; only imported once tracing is on.

A request that is not recorded costs a look at its headers. One that is holds a server span; its stages become child
spans when they are over, from readings of perf_counter that the request path takes anyway. Spans are begun and ended
on the event loop; they are sent from a thread (span_export.py).
"""

import asyncio
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from random import getrandbits

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from server import __version__
from server.errors import LoadFailed
from server.telemetry.exporters import exporter_from_environment
from server.telemetry.propagation import DENIED, UNCLEAR, Headers, Propagation
from server.telemetry.sampling import closed_form
from server.telemetry.span_export import BoundedExport


class Tracing:
    """Everything that records spans in this process."""

    def __init__(self, export: BoundedExport, propagation: Propagation, sampler: Sampler | None = None) -> None:
        """Without a sampler, the SDK takes the one that OTEL_TRACES_SAMPLER names."""
        self._ids = _Ids()
        self._provider = TracerProvider(sampler, resource=_resource(), shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(export)
        self._tracer = self._provider.get_tracer("model-manager", __version__)
        self._form = closed_form(self._provider.sampler)
        self._propagation = propagation
        self._export = export

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Tracing":
        """Trace as the OTEL_… variables say. Raises StartRefused for those that cannot be met."""
        propagation = Propagation.from_environment(environ)
        return cls(BoundedExport.from_environment(exporter_from_environment(environ), environ), propagation)

    def begin(self, headers: Headers, *, route: str, method: str, path: str, began: float) -> "RequestTrace | None":
        """Begin the trace of a request that arrived at `began` (perf_counter); None when it is not recorded.

        Header names are in lower case. Headers that are malformed count as absent.
        """
        form = self._form
        if form is not None:
            seen = self._propagation.glance(headers)
            if seen is None:
                trace_id = getrandbits(128)
                if not form.samples(trace_id):
                    return None
                self._ids.planned = trace_id
            elif seen is DENIED:
                if form.follows_parent:
                    return None
            elif seen is not UNCLEAR and not (seen[1] if form.follows_parent else form.samples(int(seen[0], 16))):
                return None
        clock = _Clock()
        span = self._tracer.start_span(
            f"{method} {route}",
            self._propagation.extract(headers),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": route, "url.path": path, "url.scheme": "http"},
            start_time=clock.at(began),
        )
        self._ids.planned = 0
        return RequestTrace(self._tracer, span, clock) if span.get_span_context().trace_flags.sampled else None

    def load(self, model: str, version: str, began: float) -> "LoadTrace | None":
        """Begin the trace of a load that started at `began` (perf_counter); None when the sampler drops it."""
        clock = _Clock()
        span = self._tracer.start_span(
            "load model",
            Context(),
            attributes={"model.name": model, "model.version": version},
            start_time=clock.at(began),
        )
        return LoadTrace(self._tracer, span, clock) if span.get_span_context().trace_flags.sampled else None

    @property
    def spans_exported(self) -> int:
        """Spans that the collector took."""
        return self._export.exported

    @property
    def spans_dropped(self) -> Mapping[str, int]:
        """Spans that were lost, by reason: queue_full, export_failed."""
        return self._export.dropped

    def shutdown(self, timeout_s: float) -> None:
        """Send what is left and end the export's thread. Blocks, for at most `timeout_s`."""
        self._export.stop(timeout_s)


class _Trace:
    """One recorded span and its children, timed by perf_counter."""

    def __init__(self, tracer: Tracer, span: Span, clock: "_Clock") -> None:
        self._tracer = tracer
        self._span = span
        self._clock = clock
        self._context = set_span_in_context(span, Context())

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return format_span_id(self._span.get_span_context().span_id)

    def stage(self, name: str, started: float, ended: float) -> None:
        """Record a stage that is over as a child span; times are readings of perf_counter."""
        self._child(name, started).end(self._clock.at(ended))

    def _child(
        self,
        name: str,
        started: float,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        return self._tracer.start_span(
            name, self._context, attributes=attributes, links=links, start_time=self._clock.at(started)
        )


class RequestTrace(_Trace):
    """The trace of one recorded request."""

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
        span = self._span
        known = {"model.name": model, "model.version": version, "model.rows": rows}
        span.set_attributes({"http.response.status_code": status} | {k: v for k, v in known.items() if v is not None})
        if status >= 500:
            reason = str(status) if error is None else _type_name(error)
            span.set_attribute("error.type", reason)
            span.set_status(StatusCode.ERROR, reason)
            if status == 500 and error is not None:
                at = self._clock.at(ended)
                span.add_event(
                    "exception", {"exception.type": _type_name(error), "exception.stacktrace": _places(error)}, at
                )
        span.end(self._clock.at(ended))

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
        links = [Link(trace._span.get_span_context()) for trace in served]
        batch = self._child("batch", started, attributes, links)
        to_batch = Link(batch.get_span_context())
        spans = [batch, *(trace._child("batch", started, attributes, [to_batch]) for trace in others)]
        for trace, span in zip(served, spans, strict=True):
            if error is not None:
                span.set_attribute("error.type", _type_name(error))
                span.set_status(StatusCode.ERROR, _type_name(error))
            span.end(trace._clock.at(ended))
            if trace._span.is_recording():  # its client may have left
                trace._span.add_link(to_batch.context)


class LoadTrace(_Trace):
    """The trace of one version's load; its stages are fetch, load, prove and compile."""

    def finish(self, *, error: BaseException | None, ended: float) -> None:
        """End the root span; a load that failed says why, one that was abandoned that it was."""
        span = self._span
        if isinstance(error, asyncio.CancelledError):
            span.set_attribute("load.abandoned", True)
        elif error is not None:
            reason = error.reason if isinstance(error, LoadFailed) else "internal"
            span.set_attributes({"load.failure_reason": reason, "error.type": _type_name(error)})
            span.set_status(StatusCode.ERROR, f"{reason}: {error}")
        span.end(self._clock.at(ended))


class _Clock:
    """Turns readings of perf_counter into Unix time, by the distance between the two when it was made."""

    __slots__ = ("_distance",)

    def __init__(self) -> None:
        self._distance = time.time_ns() - time.perf_counter_ns()

    def at(self, reading: float) -> int:
        """Unix time in nanoseconds."""
        return self._distance + int(reading * 1e9)


class _Ids(RandomIdGenerator):
    """Random ids, but for a trace id that was sampled before there was a span to carry it."""

    planned = 0

    def generate_trace_id(self) -> int:
        return self.planned or super().generate_trace_id()


def _resource() -> Resource:
    """Who sends the spans: what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say, else this program by its name."""
    declared = OTELResourceDetector().detect().attributes
    ours = {SERVICE_NAME: "model-manager", SERVICE_VERSION: __version__}
    return Resource.create({name: value for name, value in ours.items() if name not in declared})


def _type_name(error: BaseException) -> str:
    return type(error).__qualname__


def _places(error: BaseException) -> str:
    """The traceback of an error and of what caused it, without the messages."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines += [*traceback.format_tb(cause.__traceback__), _type_name(cause) + "\n"]
        cause = cause.__cause__
    return "".join(lines)
