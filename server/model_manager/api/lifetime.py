"""How a connection begins, keeps to time limits, and ends; what is read of it in between is in connection.py.

Made of uvicorn's httptools protocol, which lends the parser's callbacks and the scope: what is relied on of its
internals is here, in connection.py and in exchange.py, and tests/unit/test_uvicorn_internals.py says what has moved.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_manager.api.direct import Direct
from model_manager.api.door import Door
from model_manager.api.exchange import BYTES_PER_SECOND, Exchange, Flow, Outlet
from model_manager.api.refusal import Refusal, body_too_late, receiving_too_much, written
from model_manager.api.sockets import unread_bytes

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from uvicorn._types import ASGI3Application

logger = logging.getLogger(__name__)

BETWEEN, HEAD, BODY, DEAF, OVER = range(5)
"""What is read next: the start of a request, the rest of its head, its body; nothing, for an answer is still to come;
nothing, for the last answer was written, and the client is given time to read it."""

_LINGER: Final = 2
_FRESH: Final = 1


class Lifetime(HttpToolsProtocol):
    """What a connection is beside its requests. `held`: the bytes of a body that is not whole."""

    cycle: "Exchange | Direct"  # type: ignore[assignment]
    flow: Flow
    pipeline: "deque[tuple[Exchange, ASGI3Application]]"  # type: ignore[assignment]

    def __init__(self, door: Door, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._door = door
        self._limits = door.limits
        self._stage = BETWEEN
        self._since = door.sweeps
        self._room = door.limits.header_bytes
        self._quiet = 0  # bytes since the last of a body; -1: none since
        self._offered = False
        self._host: bytes | None = None
        self._last_words: Refusal | None = None
        self._running: Exchange | Direct | None = None
        self._whole: Direct | None = None
        self._new_heads = 0  # in a row
        self._length = -1
        self._missing = 0
        self.default_head = door.default_head
        self._outlet: Outlet = None  # type: ignore[assignment]  # there is none before the transport
        self.held = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a client in, or tell it that there is no room."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._outlet = Outlet(transport, self.finish)
        if self._door.overfull():
            transport.abort()
        elif self._door.full():
            self._refuse(Refusal(503, f"{self._limits.connections} connections are open already (max_connections)"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers that the client has left."""
        self.connections.discard(self)
        self._forget_body()
        self._stage = OVER
        for exchange in (self._running, *(waiting for waiting, _ in self.pipeline), self.cycle):
            if exchange is not None:
                exchange.leave()
        self.pipeline.clear()
        self.flow.resume_writing()
        self._outlet.close = self.transport.close  # and nothing leads from an exchange to here and back any more
        self._running = None
        self.parser = None  # type: ignore[assignment]

    def refuse_held_body(self) -> None:
        """Refuse the body under way, for all of them together are too many bytes."""
        self._fail_body(receiving_too_much)

    def _fail_body(self, failure: "Callable[[], Exception]") -> None:
        """Read no further; the app tells the client why, if it has not answered yet."""
        exchange = self.cycle
        self._stage = DEAF
        self._forget_body()
        if exchange.response_started:
            self.finish()
        else:
            exchange.fail(failure)

    def _refuse(self, refusal: Refusal) -> None:
        """Read no further, and say why after the answers that are under way."""
        self._stage = DEAF
        self._door.refused(refusal.code)
        logger.debug("refused: %s", refusal.message, extra={"code": refusal.code, "client": self.client})
        if self._busy():
            self._last_words = refusal
        else:
            self._say(refusal)

    def _say(self, refusal: Refusal) -> None:
        self.transport.write(written(refusal, self.server_state.default_headers))
        self.finish()

    def _forget_body(self) -> None:
        self._door.receiving -= self.held
        self.held = 0

    # What ends it

    def _busy(self) -> bool:
        """Whether an answer is still to be written."""
        exchange: Exchange | Direct | None = self.cycle
        return exchange is not None and not exchange.response_complete

    def finish(self) -> None:
        """Say that nothing more comes, and close once the client has read it all, or had time to."""
        if self._stage == OVER or self.transport.is_closing():
            return
        whole = self._stage == BETWEEN and not unread_bytes(self.transport)
        self._stage = OVER
        self._since = self._door.sweeps
        self._forget_body()
        self.pipeline.clear()
        if whole or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()  # a close now would be a reset, which takes the answer back
            self.flow.resume_reading()

    def announce_close(self) -> None:
        """Make the last answer that is under way the last one of the connection."""
        if self._busy() and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self) -> None:
        """Close unless there is something to answer, or about to be, or the client has not had a moment to ask."""
        fresh = self.cycle is None and self._door.sweeps - self._since <= _FRESH
        if self._stage == BETWEEN and not fresh and not self._busy() and not unread_bytes(self.transport):
            self.finish()

    def shutdown(self) -> None:
        """As uvicorn calls it."""
        self.close_if_idle()

    def sweep(self) -> None:
        """Hold the connection against its time limits; a limit that strikes is never early, and a sweep or two late."""
        limits, stage, sweeps = self._limits, self._stage, self._door.sweeps
        waited = sweeps - self._since
        if self.flow.stuck(sweeps, self._door.write_s):
            self.transport.abort()
            return
        if stage in (HEAD, BODY) and self.flow.read_paused:
            self._since += 1  # it is us who do not read
        elif stage == HEAD and waited > limits.header_s:
            self._refuse(Refusal(408, f"the headers were not there after {limits.header_s} s (header_timeout_s)"))
        elif stage == BODY and waited > limits.body_s + self.held // BYTES_PER_SECOND:
            self._fail_body(body_too_late)
        elif stage == BETWEEN and waited > limits.idle_s:
            self.close_if_idle()
        elif stage == OVER and waited > _LINGER:
            self._end()

    def _end(self) -> None:
        """Close, at last: over TLS that would wait for the client's goodbye, which an idle one does not send."""
        if not self.transport.is_closing():
            self.transport.close()
        elif not self.transport.get_write_buffer_size():
            self.transport.abort()
