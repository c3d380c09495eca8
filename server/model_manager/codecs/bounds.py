"""Count what a large body holds before it is read: whatever no request can need is refused at a fraction of the cost.

In front of the decoders of V1 and V2. Parsers hold the interpreter for as long as they run, on any thread, and build an
object for every value; counting commas and colons in numpy takes a hundredth of that.
"""

import re
from typing import Final

import numpy as np

from model_manager.errors import InvalidInput
from model_manager.signature import Layout, Signature

LARGE_BODY: Final = 256 * 1024
"""In bytes; larger ones are decoded on a thread, so that the event loop has turns in between."""

SMALLEST_COUNTED: Final = 32 * 1024
"""In bytes; a smaller body is decoded in a few milliseconds, whatever it holds."""

_COMMA, _COLON, _QUOTE = b",:" + b'"'
_PRIORITY: Final = b'"prio'  # a longer word is looked for in a way that takes twice as long
_MANY_QUOTES: Final = 256
_AROUND: Final = 16  # keys and values around one tensor, or for one output
_SLACK: Final = 1024  # parameters, whatever a gateway adds to them, and text around the values
_NAME_OF_TENSOR: Final = 1  # in every row, as some clients write it
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)


class Bounds:
    """The most that a body for one signature can need to hold. `indexed`: with a value beside each row."""

    def __init__(self, signature: Signature, *, max_rows: int, indexed: bool = False) -> None:
        columns = signature.columns
        text = signature.layout is Layout.TEXT
        width = 1 if text else None if columns is None else len(columns)
        around = _AROUND * ((width or 1) + len(signature.offered)) + _SLACK
        by_name = width is not None and not text and (signature.named or signature.layout is Layout.FRAME)
        self._max_rows, self._width = max_rows, width
        self._commas = max_rows * (width + indexed) + around if width is not None else None
        in_base64 = sum(column.datatype == "BYTES" for column in columns or ()) if not text else 1
        self._colons = around + max_rows * ((width or 0 if by_name else 0) + in_base64 + _NAME_OF_TENSOR)

    def check(self, body: bytes) -> None:
        """Raise InvalidInput for a body that holds more values or keys than any request can need."""
        self.check_values(body)
        if _count(body, _COLON) > self._colons:
            self._count_outside_strings(body, _COLON, self._colons, "keys")

    def check_values(self, body: bytes) -> None:
        """The same for values alone, of JSON or of CSV."""
        if self._commas is not None and len(body) > self._commas and _count(body, _COMMA) > self._commas:
            self._count_outside_strings(body, _COMMA, self._commas, "values")

    def _count_outside_strings(self, body: bytes, sign: int, most: int, what: str) -> None:
        text = np.frombuffer(_ESCAPED.sub(b"  ", body) if b"\\" in body else body, np.uint8)
        outside = np.cumsum(text == _QUOTE, dtype=np.uint8) % 2 == 0
        if np.count_nonzero((text == sign) & outside) > most:
            shape = "" if self._width is None else f" of {self._width} column{'s' if self._width != 1 else ''}"
            raise InvalidInput(
                f"the body holds more {what} than {self._max_rows} rows{shape} need, the most that this server takes "
                "in one request (max_rows_per_request); send what the model takes, or split the request"
            )


def may_say_priority(body: bytes) -> bool:
    """Whether a body may say how urgent it is: where nothing begins with that word behind a quote, it does not."""
    if len(body) < SMALLEST_COUNTED:
        return _PRIORITY in body
    # a search for the word takes as long as parsing half of a large body; one for quotes does not where they are few
    at = -1
    for _ in range(_MANY_QUOTES):
        at = body.find(_QUOTE, at + 1)
        if at < 0:
            return False
        if body.startswith(_PRIORITY, at):
            return True
    return _PRIORITY in body


def _count(body: bytes, sign: int) -> int:
    """How often a byte is there; `bytes.count` takes ten times as long where that is often."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == sign))
