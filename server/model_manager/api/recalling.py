"""What a connection reads without its parser: requests whose head, byte for byte, was read before.

In the flow: connection → **recalling** → direct → the flow. Such a head is looked up (known_heads.py), and says how
long its body is. Of a body that comes in parts the parser is told nothing either, so it stays where it was: between two
requests. What is not whole counts against the same limits, whoever reads it.
"""

from typing import Final

from model_manager.api.direct import Direct
from model_manager.api.known_heads import Head
from model_manager.api.lifetime import BETWEEN, BODY, DEAF, HEAD, OVER, Lifetime
from model_manager.api.refusal import chunks_too_small, too_long, too_many_headers, too_much_beside

_CHUNKED_AT_WORST: Final = 8  # bytes received for a byte of a body, of a client that sends each in a chunk of its own


class Recalling(Lifetime):
    """A connection that knows heads again. `_missing`: what is still to come of a body that the parser does not see."""

    def _answer_known(self, head: Head, data: bytes) -> bool:
        """Answer a request of a head that was read before, if that may still be done past the app.

        Not where something is behind its body: one request after the other is for the parser.
        """
        known, missing = self._door.known, head.size + head.length - len(data)
        destination = known.get(head.path) if known.direct and missing >= 0 else None
        if destination is None or head.length > destination.limit:
            return False
        self._new_heads = 0
        request = Direct(self, destination, head.path, head.headers, not self._door.closing, head.plain)
        self.cycle = self._running = request
        request.body = data[head.size :]
        if missing:
            self._stage = BODY
            self._since = self._door.sweeps
            self._await(missing, len(data))
        else:
            request.start()
        return True

    def _receive_known(self, data: bytes) -> None:
        """Take more of the body of a known head; what is behind it is another request."""
        request = self.cycle
        assert isinstance(request, Direct), "nothing else is known"
        part, rest = data[: self._missing], data[self._missing :]
        request.take(part)
        missing = self._missing - len(part)
        if missing:
            self._await(missing, len(part))
            return
        self._missing = 0
        self._stage = BETWEEN
        self._forget_body()
        request.start()
        if rest:
            self.data_received(rest)

    def _await(self, missing: int, received: int) -> None:
        self._missing = missing
        self._quiet = -1
        self._count_unfinished(received, whole=True)

    def _remember(self, data: bytes) -> None:
        """Know the head that these bytes begin with again, if its request was begun past the app."""
        begun = self.cycle
        if type(begun) is Direct and begun.keep_alive and self._stage < DEAF:
            self._door.known_heads.remember(data, begun.call.path, begun.call.headers, self._length)

    def _start_direct(self) -> None:
        """Have the request that became whole answered, now that the parser is left: that may end the connection."""
        whole, self._whole = self._whole, None
        if whole is not None and not whole.response_complete and self._stage != OVER:
            whole.start()

    def _count_unfinished(self, size: int, *, whole: bool) -> None:
        """Hold what arrived against the limits of a head or a body. `whole`: all of it belongs to this request."""
        limits = self._limits
        if self._stage == HEAD:
            if len(self.headers) > limits.headers:
                self._refuse(too_many_headers(limits.headers))
                return
            if whole:
                self._room -= size
            if self._room <= 0:
                self._refuse(too_long(self.url if not self.headers else b"", limits.header_bytes))
        elif self._stage == BODY:
            self.held += size
            self._door.receiving += size
            self._quiet = 0 if self._quiet < 0 else self._quiet + size
            if self._quiet > limits.header_bytes:
                self._fail_body(too_much_beside)
            elif self.held > limits.header_bytes + _CHUNKED_AT_WORST * limits.body_bytes:
                self._fail_body(chunks_too_small)
            else:
                self._door.relieve()
