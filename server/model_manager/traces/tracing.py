"""Everything that records in this process, made with OpenTelemetry's SDK; only imported once tracing is on.

In the flow: start → **tracing** → traces of requests and loads → span_export. A request that is not recorded costs a
look at its headers; one that is gets a trace (request_trace.py), told from readings of perf_counter that the request
path takes anyway.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from random import getrandbits

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from model_manager.errors import LoadFailed
from model_manager.traces.exporters import exporter_from_environment
from model_manager.traces.headers import DENIED, READ, UNCLEAR, Headers
from model_manager.traces.propagation import Propagation
from model_manager.traces.request_trace import RequestTrace
from model_manager.traces.sampling import rule_of
from model_manager.traces.span_export import BoundedExport
from model_manager.traces.span_making import Clock, SpanMaker, type_name
from model_manager.version import __version__


class Tracing:
    """Everything that records spans in this process."""

    def __init__(self, export: BoundedExport, propagation: Propagation, sampler: Sampler | None = None) -> None:
        """Without a sampler, the SDK takes the one that OTEL_TRACES_SAMPLER names."""
        self._ids = RandomIdGenerator()
        self._provider = TracerProvider(sampler, resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(export)
        self._tracer = self._provider.get_tracer("model-manager", __version__)
        self._rule = rule = rule_of(self._provider.sampler)
        self._drawn = rule if propagation.reads_only_known else None
        self.passing = 0 if self._drawn is None else self._drawn.draw_passing()
        """So many requests whose headers name no trace pass before one is recorded: whoever lets one pass counts it."""
        self._propagation = propagation
        self._export = export
        scope = InstrumentationScope("model-manager", __version__)
        self._maker = SpanMaker(self._provider.resource, scope, export)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Tracing":
        """Trace as the OTEL_… variables say. Raises StartRefused for those that cannot be met."""
        propagation = Propagation.from_environment(environ)
        return cls(BoundedExport.from_environment(exporter_from_environment(environ), environ), propagation)

    def begin(self, headers: Headers, method: str, path: str, route: str, began: float) -> RequestTrace | None:
        """Begin the trace of a request that arrived at `began` (perf_counter); None when it is not recorded.

        Names of headers are in lower case. Headers that are malformed count as absent.
        """
        for name, _ in headers:
            if name in READ:
                return self._continue(headers, method, path, route, began)
        drawn = self._drawn
        if drawn is None:
            return self._ask_sampler(headers, method, path, route, began)
        if self.passing:
            self.passing -= 1
            return None
        self.passing = drawn.draw_passing()
        return RequestTrace(self._maker, drawn.draw_recorded(), INVALID_SPAN_CONTEXT, route, method, path, began)

    def _continue(self, headers: Headers, method: str, path: str, route: str, began: float) -> RequestTrace | None:
        """Begin the trace of a request that has headers which may name a parent."""
        rule = self._rule
        seen = UNCLEAR if rule is None else self._propagation.glance(headers)
        if rule is None or seen is UNCLEAR:
            return self._ask_sampler(headers, method, path, route, began)
        trace_id, parent = getrandbits(128), INVALID_SPAN_CONTEXT
        if seen is None:
            if not rule.samples(trace_id):
                return None
        elif seen is DENIED:
            if rule.follows_parent or not rule.samples(trace_id):
                return None
        else:
            if not (seen[2] if rule.follows_parent else rule.samples(int(seen[0], 16))):
                return None
            parent = get_current_span(self._propagation.extract(headers)).get_span_context()
            trace_id = parent.trace_id
        return RequestTrace(self._maker, trace_id, parent, route, method, path, began)

    def _ask_sampler(self, headers: Headers, method: str, path: str, route: str, began: float) -> RequestTrace | None:
        """Leave to the SDK what no rule or glance can tell."""
        context = self._propagation.extract(headers)
        parent = get_current_span(context).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else self._ids.generate_trace_id()
        name = f"{method} {route}"
        chosen = self._provider.sampler.should_sample(context, trace_id, name, SpanKind.SERVER)
        if chosen.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        return RequestTrace(self._maker, trace_id, parent, route, method, path, began)

    def load(self, model: str, version: str, began: float) -> "LoadTrace | None":
        """Begin the trace of a load that started at `began` (perf_counter); None when the sampler drops it."""
        clock = Clock()
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


class LoadTrace:
    """The trace of one version's load; its stages are fetch, load, prove and compile."""

    def __init__(self, tracer: Tracer, span: Span, clock: "Clock") -> None:
        self._tracer = tracer
        self._span = span
        self._clock = clock
        self._context = set_span_in_context(span, Context())

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return format_trace_id(self._span.get_span_context().trace_id)

    def stage(self, name: str, started: float, ended: float) -> None:
        """Record a stage that is over as a child span; times are readings of perf_counter."""
        child = self._tracer.start_span(name, self._context, start_time=self._clock.at(started))
        child.end(self._clock.at(ended))

    def finish(self, *, error: BaseException | None, ended: float) -> None:
        """End the root span; a load that failed says why, one that was abandoned that it was."""
        span = self._span
        if isinstance(error, asyncio.CancelledError):
            span.set_attribute("load.abandoned", True)
        elif error is not None:
            reason = error.reason if isinstance(error, LoadFailed) else "internal"
            span.set_attributes({"load.failure_reason": reason, "error.type": type_name(error)})
            span.set_status(StatusCode.ERROR, f"{reason}: {error}")
        span.end(self._clock.at(ended))


def _resource() -> Resource:
    """Who sends the spans: what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say, else this program by its name."""
    declared = OTELResourceDetector().detect().attributes
    ours = {SERVICE_NAME: "model-manager", SERVICE_VERSION: __version__}
    made = Resource.create({name: value for name, value in ours.items() if name not in declared})
    return _HashedOnce(made.attributes, made.schema_url)


class _HashedOnce(Resource):
    """A resource that works out its hash, that of a JSON document, once: the exporter asks for it with every span."""

    __eq__ = Resource.__eq__

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return Resource.__hash__(self)
