"""The caller's trace in the headers of a request: W3C's traceparent, and B3's b3 and x-b3-…. The one reader of them.

In the flow: Tracing.begin → **headers** (does the caller record this?), and log lines, which name the caller's trace
whether or not anything is recorded here. So nothing of OpenTelemetry is needed for it.

What is well-formed is read as OpenTelemetry's SDK reads it. What is not, has no ids for log lines, and is left to the
SDK where the SDK is asked.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from model_manager.traces.request_trace import RequestTrace

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
"""Names, in lower case, and values."""
Caller: TypeAlias = tuple[bytes, bytes, bool]
"""The ids of the caller's trace and span, in hexadecimal as they were sent, and whether the caller records them."""

UNCLEAR: Final[Caller] = (b"unclear", b"", False)
"""There are headers that are not well-formed."""
DENIED: Final[Caller] = (b"denied", b"", False)
"""The caller wants no trace and names none: B3 allows it, the SDK overlooks it."""

READ: Final = frozenset((b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags"))
"""The headers that may name a caller's trace: in a request without any of them nothing has to be looked for."""

_IDS_AND_FLAGS: Final = rb"-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(rb"00" + _IDS_AND_FLAGS)
_LATER_TRACEPARENT: Final = re.compile(rb"(?!00|ff)[0-9a-f]{2}" + _IDS_AND_FLAGS + rb"(?:-.*)?")  # may say more
_B3: Final = re.compile(
    rb"(?!0+-)([0-9a-fA-F]{16}|[0-9a-fA-F]{32})-(?!0{16})([0-9a-fA-F]{16})(?:-([01d])(?:-[0-9a-fA-F]{16})?)?"
)
_B3_TRACE_ID: Final = re.compile(rb"(?!0+$)(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})")
_B3_SPAN_ID: Final = re.compile(rb"(?!0+$)[0-9a-fA-F]{16}")
_LAST_FLAG: Final = 54
_ODD_DIGITS: Final = frozenset(b"13579bdf")
_FLAGS: Final = frozenset((None, b"0", b"1"))
_SAMPLED: Final = {None: False, b"0": False, b"1": True, b"false": False, b"true": True}


def trace_fields(headers: Headers, trace: "RequestTrace | None") -> dict[str, str]:
    """The trace and span of a request for its log lines: its own where it is recorded, else its caller's if any.

    Both as a collector knows them: 32 and 16 digits in lower case. Where headers of both formats are well-formed, W3C
    holds.
    """
    if trace is not None:
        return {"trace_id": trace.trace_id, "span_id": trace.span_id}
    found = present(headers)
    if found is not None:
        for caller in (w3c(found), b3(found)):
            if caller is not None and caller is not UNCLEAR and caller is not DENIED:
                trace_id, span_id = (sent.decode().lower() for sent in caller[:2])
                return {"trace_id": trace_id.zfill(32), "span_id": span_id}
    return {}


def name_a_trace(headers: Headers) -> bool:
    """Whether any of these may name the caller's trace."""
    return any(name in READ for name, _ in headers)


def present(headers: Headers) -> Mapping[bytes, bytes] | None:
    """Those headers of READ that are there; of one that is there twice, the first."""
    found: dict[bytes, bytes] | None = None
    for name, value in headers:
        if name in READ:
            if found is None:
                found = {name: value}
            else:
                found.setdefault(name, value)
    return found


def w3c(found: Mapping[bytes, bytes]) -> Caller | None:
    """Read traceparent; None without it."""
    header = found.get(b"traceparent")
    if header is None:
        return None
    parent = _TRACEPARENT.fullmatch(header) or _LATER_TRACEPARENT.fullmatch(header)
    if parent is None:
        return UNCLEAR
    return parent[1], parent[2], header[_LAST_FLAG] in _ODD_DIGITS


def b3(found: Mapping[bytes, bytes]) -> Caller | None:
    """Read b3, or x-b3-… where that is absent; None without either. A decision that b3 leaves open counts as yes."""
    single = found.get(b"b3")
    if single is not None:
        parent = _B3.fullmatch(single)
        if parent is not None:
            return parent[1], parent[2], parent[3] != b"0"
        return DENIED if single == b"0" else UNCLEAR
    return _several(found.get)


def _several(header: Callable[[bytes], bytes | None]) -> Caller | None:
    """Read x-b3-…; None without them."""
    trace_id, span_id, sampled = header(b"x-b3-traceid"), header(b"x-b3-spanid"), header(b"x-b3-sampled")
    flags = header(b"x-b3-flags")
    if trace_id is None and span_id is None and flags is None:
        return DENIED if sampled == b"0" else None
    if trace_id is None or span_id is None or sampled not in _SAMPLED or flags not in _FLAGS:
        return UNCLEAR
    if _B3_TRACE_ID.fullmatch(trace_id) is None or _B3_SPAN_ID.fullmatch(span_id) is None:
        return UNCLEAR
    return trace_id, span_id, _SAMPLED[sampled] or flags == b"1"
