"""One request and its answer on a connection, as ASGI sees it: uvicorn's cycle, told what is wrong with a body."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGIVersions, HTTPScope

_ASGI: "Final[ASGIVersions]" = {"version": "3.0", "spec_version": "2.3"}
BYTES_PER_SECOND: Final = 64 * 1024
"""What a client has to send or take for another second, once its time is up."""


class Outlet:
    """The transport as an exchange sees it: closing it leaves the client time to read the answer."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: "asyncio.Transport", close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Flow(FlowControl):
    """Reads no further while answers are not taken, or while requests wait for the one before them."""

    def __init__(self, transport: "asyncio.Transport", waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._unsent = 0
        self._unsent_since = 0

    def stuck(self, sweeps: int, patience: int) -> bool:
        """Whether the client has taken too little of what is written, asked at every sweep."""
        size = self._transport.get_write_buffer_size()
        if not size:
            self._unsent = 0
        elif not self._unsent:
            self._unsent, self._unsent_since = size, sweeps
        else:
            return sweeps - self._unsent_since > patience + max(0, self._unsent - size) // BYTES_PER_SECOND
        return False

    def resume_reading(self) -> None:
        """Read on, unless something else speaks against it."""
        if self.read_paused and not self.write_paused and not self._waiting and not self._transport.is_closing():
            super().resume_reading()

    def pause_writing(self) -> None:
        """The client does not take what is written."""
        super().pause_writing()
        if not self._transport.is_closing():
            self.pause_reading()

    def resume_writing(self) -> None:
        """It does, or has left."""
        super().resume_writing()
        self.resume_reading()


class Exchange(RequestResponseCycle):
    """A request, from its headers to the last byte of its answer. `failure` makes what the app gets for a body."""

    failure: Callable[[], Exception] | None = None

    @property
    def http_version(self) -> str:
        """The version that the request came in."""
        version: str = self.scope["http_version"]
        return version

    def fail(self, failure: Callable[[], Exception]) -> None:
        """Let the app answer with this error, as the last of its connection."""
        self.failure = failure
        self.keep_alive = False
        self.message_event.set()

    def leave(self) -> None:
        """Tell the app that the client has left."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    async def receive(self) -> "ASGIReceiveEvent":
        """As ASGI has it, but raise what the connection has against the body."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            if self.flow.read_paused:
                self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if self.failure is not None:
            raise self.failure()
        body = bytes(self.body)
        self.body = bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}


def exchange_of(
    connection: HttpToolsProtocol, outlet: Outlet, asked: tuple[str, str, str, bytes, bytes], *, keep_alive: bool
) -> Exchange:
    """What the app is given of a request whose head is there: `asked` are method, version, path, raw path and query."""
    method, version, path, raw_path, query = asked
    scope: HTTPScope = {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "method": method,
        "root_path": connection.root_path,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": connection.headers,
        "state": connection.app_state.copy(),
    }
    return Exchange(
        scope=scope,
        transport=outlet,  # type: ignore[arg-type]  # all of a transport that it uses
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=connection.access_log,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=connection.expect_100_continue,
        keep_alive=keep_alive,
        on_response=connection.on_response_complete,
    )
