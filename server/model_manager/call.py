"""One call for a prediction, as any protocol puts it: what the flow and whoever observes it need to know of it.

In the flow: connection, ASGI or gRPC → adapter → **call** → serving.answering. Below every room, so that codecs and
traces read a call's headers without knowing where they came from.
"""

import logging
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from model_manager.errors import InvalidInput

logger = logging.getLogger(__name__)

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values; HTTP's headers, or another protocol's metadata."""


_is_request_id: Final = re.compile(rb"[!-~]{1,128}").fullmatch
HIGH, NORMAL, LOW = 0, 1, 2
PRIORITIES: Final[Mapping[str, int]] = {"high": HIGH, "normal": NORMAL, "low": LOW}
"""Which of the requests that wait leaves first, and, from the other end, which is shed first."""


class Urgency(NamedTuple):
    """How long a caller, or a proxy on its behalf, waits, and how urgent it is; None: it does not say."""

    timeout_s: float | None = None
    priority: int | None = None


UNHURRIED: Final = Urgency()


class Call(msgspec.Struct, gc=False):  # made for every request, and in no cycle
    """What is asked, and by which way it came.

    `protocol` names the codec. `route` is the path with the names of its parts in it, which is what traces and logs
    group by; `method` and `path` are as they came. `version` is None where the caller leaves the choice to the model.
    `began` is when it began to arrive, in perf_counter seconds; what `urgency` allows is counted from there. `client`
    is the id of its API key, never the key; empty where none was asked for. `plain`: it is known that its headers say
    nothing that matters here, but that the body is JSON.
    """

    protocol: str
    route: str
    method: str
    path: str
    headers: Headers
    model: str
    version: str | None
    began: float
    urgency: Urgency = UNHURRIED
    client: str = ""
    plain: bool = False


def sent_request_id(headers: Headers) -> str | None:
    """The caller's x-request-id, which a mesh sets; what no log or header should be made to carry is none."""
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode() if _is_request_id(value) else None
    return None


def request_id(headers: Headers) -> str:
    """The caller's x-request-id, or a new one."""
    return sent_request_id(headers) or uuid.uuid4().hex


_TIMEOUT: Final = b"x-request-timeout-ms"
_PROXY_TIMEOUT: Final = b"x-envoy-expected-rq-timeout-ms"
_PRIORITY: Final = b"x-priority"
_VERSION: Final = b"x-model-version"
_LONGEST_VERSION: Final = 128
_HEEDED: Final = frozenset({_TIMEOUT, _PROXY_TIMEOUT, _PRIORITY, _VERSION})


def are_heeded(headers: Headers) -> bool:
    """Whether `heed_headers` reads anything from these."""
    return any(name in _HEEDED for name, _ in headers)


def heed_headers(call: Call) -> None:
    """Read from a call's headers how long its caller waits and how urgent it is, and the version that it pins.

    Of several times allowed the shortest counts. A version that the call's route names goes before a pinned one. Raises
    InvalidInput for what a caller got wrong. What a proxy got wrong is left out: its clients cannot mend it.
    """
    said = [pair for pair in call.headers if pair[0] in _HEEDED]
    if said:
        call.urgency = _read_urgency(said)
        if call.version is None:
            call.version = pinned_version(said)


def pinned_version(headers: Headers) -> str | None:
    """The version that x-model-version asks for, for a request whose route names none; None: it does not say.

    Raises InvalidInput where it is empty, or says two things.
    """
    pinned = {value.decode("latin-1").strip() for name, value in headers if name == _VERSION}
    if not pinned:
        return None
    said = ", ".join(sorted(pinned))
    if len(pinned) > 1 or not 0 < len(said) <= _LONGEST_VERSION:
        _refuse(_VERSION, said, "one version, such as 2")
    return said


def _read_urgency(said: Headers) -> Urgency:
    timeout: float | None = None
    priority: int | None = None
    for name, value in said:
        if name == _VERSION:
            continue
        text = value.decode("latin-1").strip()
        if name == _PRIORITY:
            priority = _priority(text)
            continue
        seconds = _milliseconds(text) / 1000
        if not seconds > 0:
            if name == _TIMEOUT:
                _refuse(name, text, "milliseconds, a number above 0")
            logger.debug("%s: %r is no number of milliseconds above 0: left out", name.decode(), text)
        elif timeout is None or seconds < timeout:
            timeout = seconds
    return Urgency(timeout, priority)


def _priority(text: str) -> int:
    priority = PRIORITIES.get(text.lower())
    if priority is None:
        _refuse(_PRIORITY, text, "high, normal or low")
    return priority


def _milliseconds(text: str) -> float:
    """The number in a text; 0 where there is none."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _refuse(name: bytes, text: str, expected: str) -> NoReturn:
    shown = text if len(text) <= 40 else text[:40] + "…"
    raise InvalidInput(f"header {name.decode()}: expected {expected}, got {shown!r}")
