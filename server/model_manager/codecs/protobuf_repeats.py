"""Messages that repeat an earlier one but for the values of their tensors, read without being parsed again.

Beside protobuf.py. A client that asks for one row after the other sends the same bytes each time, up to the raw
contents, which stand last in what every library writes. So the message is parsed once, and of those that follow only
the values are read, where they lie. Nothing else may differ but the id, which stands at a known place too.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from model_manager.codecs.protobuf_tensors import Plan, head_of
from model_manager.errors import InvalidInput
from model_manager.signature import Array

_MODEL, _VERSION, _ID, _RAW = 0x0A, 0x12, 0x1A, 0x3A
"""The tags of a ModelInferRequest's fields of text and bytes."""
Asked: TypeAlias = tuple[tuple[str, ...], tuple[float | None, int | None]]
"""What a message asks for beside its rows: outputs, and in how many seconds and how urgently, if it says so."""
_LONGEST: Final = 8192  # bytes that are kept of one


class Repeated:
    """One message as it was parsed; `what` came of it, less rows and id. `values` reads another one of its length."""

    __slots__ = ("_contents", "_id", "_opening", "_rest", "_tags", "plan", "what")

    def __init__(self, opening: bytes, id: slice, rest: bytes, lengths: list[int], plan: Plan, what: Asked) -> None:
        self._opening = opening
        self._id = id
        self._rest = rest
        self._contents: list[tuple[np.dtype[Any], int, int]] = []
        self._tags: list[tuple[bytes, int]] = []
        self.plan = plan
        self.what = what
        at = id.stop + len(rest)
        for reading, length in zip(plan.readings, lengths, strict=True):
            tag = head_of(_RAW, length)
            self._tags.append((tag, at))
            self._contents.append((reading.raw_dtype, reading.size, at + len(tag)))
            at += len(tag) + length
        self._rest += self._tags.pop(0)[0]

    def values(self, body: bytes) -> tuple[list[Array], str] | None:
        """The flat values of each tensor, and the id; None for a message that is not like this one."""
        if not (body.startswith(self._opening) and body.startswith(self._rest, self._id.stop)):
            return None
        for tag, at in self._tags:
            if not body.startswith(tag, at):
                return None
        id = ""
        if self._id.stop != self._id.start:
            try:
                id = body[self._id].decode()
            except UnicodeDecodeError:
                return None
        return [np.frombuffer(body, dtype, count, at) for dtype, count, at in self._contents], id


def repeated(body: bytes, request: Any, plan: Plan, what: Asked, parse: Callable[[bytes], Any]) -> Repeated | None:
    """Keep a message with raw contents for those that repeat it; None where its fields stand in another order."""
    raws = request.raw_input_contents
    tail = b"".join([head_of(_RAW, len(raw)) + raw for raw in raws])
    opening, id = b"", request.id.encode()
    for tag, text in ((_MODEL, request.model_name.encode()), (_VERSION, request.model_version.encode())):
        if text:
            opening += head_of(tag, len(text)) + text
    if id:
        opening += head_of(_ID, len(id))
    place = slice(len(opening), len(opening) + len(id))
    ends = len(body) - len(tail)
    if not place.stop <= ends <= _LONGEST or not body.startswith(opening + id) or not body.endswith(tail):
        return None
    rest = body[place.stop : ends]
    try:
        said = parse(rest)
    except InvalidInput:
        return None
    if said.model_name or said.model_version or said.id or said.raw_input_contents:
        return None  # a field that is written twice means what is written last
    return Repeated(opening, place, rest, [len(raw) for raw in raws], plan, what)
