"""Which trace a request belongs to: the formats of headers that OTEL_PROPAGATORS names.

Without that variable W3C and B3 are read, because a mesh may speak either; where a request has both, W3C holds.
`extract` is the SDK's own reading, and any propagator's that is installed. `glance` is ours (headers.py), which tells a
well-formed parent from none for next to nothing, and leaves everything odd to `extract`.
"""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from model_manager.errors import StartRefused
from model_manager.traces.headers import UNCLEAR, Caller, Headers, b3, present, w3c

_DEFAULT = ("b3", "tracecontext")  # of two that find a parent, the later one holds
_KNOWN: Mapping[str, type[TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
}


class Propagation:
    """Reads the caller's trace from request headers, in the formats given by name; the later one holds.

    `reads_only_known`: in those of W3C and B3, so that no header beside READ matters. Raises StartRefused for a name
    that no installed propagator has.
    """

    def __init__(self, names: Sequence[str]) -> None:
        used = [name for name in names if name != "baggage"]  # which this server neither reads nor passes on
        self._propagator = CompositePropagator([_load(name) for name in used])
        self.reads_only_known = all(name in _KNOWN for name in used)
        self._readings = [w3c if name == "tracecontext" else b3 for name in reversed(used)]
        # a caller's malformed headers are worth a line each to these loggers: a client must not fill the log
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Propagation":
        """Read OTEL_PROPAGATORS. Raises StartRefused when it names what is not installed."""
        names = [name.strip() for name in environ.get("OTEL_PROPAGATORS", "").split(",") if name.strip()]
        if not names:
            return cls(_DEFAULT)
        return cls([] if "none" in names else names)

    def extract(self, headers: Headers) -> Context:
        """The context of the caller's span; an empty one when the headers name none. Malformed headers name none."""
        carrier: dict[str, list[str]] = {}
        for name, value in headers:
            carrier.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return self._propagator.extract(carrier, Context())

    def glance(self, headers: Headers) -> Caller | None:
        """The caller's trace where that is plain to see: None when no header names one.

        UNCLEAR: ask `extract`. DENIED: the caller wants no trace and names none.
        """
        if not self.reads_only_known:
            return UNCLEAR
        found = present(headers)
        if found is None:
            return None
        for read in self._readings:
            if (seen := read(found)) is not None:
                return seen
        return None


def _load(name: str) -> TextMapPropagator:
    known = _KNOWN.get(name)
    if known is not None:
        return known()
    for entry in entry_points(group="opentelemetry_propagator", name=name):
        propagator: TextMapPropagator = entry.load()()
        return propagator
    raise StartRefused(
        f"OTEL_PROPAGATORS: there is no propagator called {name!r}; tracecontext, b3 and b3multi are at hand"
    )
