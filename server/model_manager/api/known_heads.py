"""Heads that were read before, byte for byte: clients that keep their connections send the same one again and again.

Beside recalling: what has such a head, and nothing behind its body, is a prediction that a connection answers itself,
and needs no parser a second time. The bytes decide, so nothing is taken for a head that the
parser, between two requests, would read as anything else. Only heads that passed every check are kept, and what may
have changed since is asked anew: whether the path is known still, and whether the port closes.
"""

from typing import Final, NamedTuple

from model_manager.call import Headers, are_heeded
from model_manager.codecs.content import is_plain_json
from model_manager.traces import name_a_trace

LONGEST: Final = 2048
_MOST: Final = 512
"""Heads that are kept; where more come, they begin anew. Those that differ by a length have a place each."""
GIVEN_UP: Final = 16
"""After so many new heads in a row a connection is asked no more: its client puts an id into each, or the time."""


class Head(NamedTuple):
    """What a head says: `size` are its own bytes, `length` those of the body. The connection is kept after it.

    `plain`: it says nothing else that matters for an answer, but that the body is JSON.
    """

    size: int
    path: str
    headers: Headers
    length: int
    plain: bool


class KnownHeads:
    """Heads by their bytes, of all connections of a port."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, data: bytes) -> Head | None:
        """The head that these bytes begin with, if it is known."""
        return self._heads.get(data[: data.find(b"\r\n\r\n", 0, LONGEST) + 4])

    def remember(self, data: bytes, path: str, headers: Headers, length: int) -> None:
        """Keep the head of these bytes, if nothing in them is behind its body: it was read, and passed."""
        size = data.find(b"\r\n\r\n", 0, LONGEST) + 4
        if size > 4 and len(data) <= size + length:
            if len(self._heads) >= _MOST:
                self._heads.clear()
            plain = is_plain_json(headers) and not are_heeded(headers) and not name_a_trace(headers)
            self._heads[data[:size]] = Head(size, path, tuple(headers), length, plain)
