"""Which trace a request belongs to: the headers of W3C (traceparent) and B3 (b3, x-b3-…), as OTEL_PROPAGATORS says.

Without that variable both are read, because a mesh may speak either; where a request has both, W3C holds. `extract` is
the SDK's own reading. `glance` is a fast one of what proxies really send: it tells a well-formed parent from none, and
leaves everything odd to `extract`.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from model_manager.errors import StartRefused

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Glance: TypeAlias = tuple[bytes, bool]
"""The trace id in hexadecimal, and whether the caller records the trace."""

UNCLEAR: Final[Glance] = (b"unclear", False)
DENIED: Final[Glance] = (b"denied", False)

_DEFAULT = ("b3", "tracecontext")  # of two that find a parent, the later one holds
_KNOWN: Mapping[str, type[TextMapPropagator]] = {
    "tracecontext": TraceContextTextMapPropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
}
READ: Final = frozenset((b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags"))
"""The headers that may name a parent, by W3C and B3: in a request without any of them nothing has to be looked for."""
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]([0-9a-f])")
_B3 = re.compile(rb"(?!0+-)([0-9a-f]{16}|[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([01d])(?:-[0-9a-f]{16})?")
_B3_TRACE_ID = re.compile(rb"(?!0+$)(?:[0-9a-f]{16}|[0-9a-f]{32})")
_B3_SPAN_ID = re.compile(rb"(?!0+$)[0-9a-f]{16}")
_ODD_DIGITS = frozenset(b"13579bdf")


class Propagation:
    """Reads the caller's trace from request headers, in the formats given by name; the later one holds.

    `reads_only_known`: in those of W3C and B3, so that no header beside READ matters. Raises StartRefused for a name
    that no installed propagator has.
    """

    def __init__(self, names: Sequence[str]) -> None:
        used = [name for name in names if name != "baggage"]  # which this server neither reads nor passes on
        self._propagator = CompositePropagator([_load(name) for name in used])
        glances = [_glance_w3c if name == "tracecontext" else _glance_b3 for name in reversed(used)]
        self.reads_only_known = all(name in _KNOWN for name in used)
        self._glances = glances if self.reads_only_known else None
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

    def glance(self, headers: Headers) -> Glance | None:
        """The caller's trace where that is plain to see: None when no header names one.

        UNCLEAR: ask `extract`. DENIED: the caller wants no trace and names none (B3 allows it, the SDK overlooks it).
        """
        found: dict[bytes, bytes] | None = None
        for name, value in headers:
            if name in READ:
                if found is None:
                    found = {name: value}
                else:
                    found.setdefault(name, value)
        if self._glances is None:
            return UNCLEAR
        if found is None:
            return None
        for glance in self._glances:
            if (seen := glance(found)) is not None:
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


def _glance_w3c(found: Mapping[bytes, bytes]) -> Glance | None:
    header = found.get(b"traceparent")
    if header is None:
        return None
    parent = _TRACEPARENT.fullmatch(header)
    return UNCLEAR if parent is None else (parent[1], parent[2][0] in _ODD_DIGITS)


def _glance_b3(found: Mapping[bytes, bytes]) -> Glance | None:
    single = found.get(b"b3")
    if single is not None:
        parent = _B3.fullmatch(single)
        if parent is not None:
            return parent[1], parent[2] != b"0"
        return DENIED if single == b"0" else UNCLEAR
    trace_id, span_id, sampled = found.get(b"x-b3-traceid"), found.get(b"x-b3-spanid"), found.get(b"x-b3-sampled")
    if b"x-b3-flags" in found:
        return UNCLEAR
    if trace_id is None and span_id is None:
        return DENIED if sampled == b"0" else None
    if trace_id is None or span_id is None or sampled not in (b"0", b"1", None):
        return UNCLEAR
    if _B3_TRACE_ID.fullmatch(trace_id) is None or _B3_SPAN_ID.fullmatch(span_id) is None:
        return UNCLEAR
    return trace_id, sampled == b"1"
