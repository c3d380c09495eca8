"""One port from its start to its end: uvicorn's server with our connections, and a stop that loses no request.

Order of a stop: answers say `connection: close` while everybody is still served (the lame duck) → nobody new is let
in, and who is in the queue is accepted → idle connections close, with nothing unread → what was accepted is finished,
within the time for it → (lifespan) the system drains.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, Final, cast

import uvicorn

from model_manager.api.connection import Connection
from model_manager.api.door import Door
from model_manager.api.sockets import accept_the_last

logger = logging.getLogger(__name__)

_QUIET_S: Final = 0.5
_TURN_S: Final = 0.02


def connections_of(door: Door) -> type[asyncio.Protocol]:
    """What uvicorn's configuration takes as `http`."""
    return cast("type[asyncio.Protocol]", partial(Connection, door))


class Port(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it. `last`: whether no other process listens on its socket.

    `drain_s`: how long a stop waits for answers. Stop it by `leave`, or at once by `should_exit`.
    """

    def __init__(
        self, config: uvicorn.Config, door: Door, *, drain_s: float, last: Callable[[], bool] = lambda: True
    ) -> None:
        super().__init__(config)
        self._door = door
        self._drain_s = drain_s
        self._last = last
        self._leave_by: float | None = None
        self._begun = 0
        self._quiet_since = 0.0
        self.server_state.connections = cast("set[Any]", door.connections)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield

    def leave(self, lame_duck_s: float) -> None:
        """Stop after this long, or sooner once no request comes; until then everybody is served a last time."""
        self._leave_by = monotonic() + lame_duck_s
        self._quiet_since = monotonic()
        self._door.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and begin to hold connections against their limits."""
        await super().startup(sockets)
        self._door.watch()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, as uvicorn has it."""
        if self._leave_by is not None and self._has_left():
            self.should_exit = True
        return await super().on_tick(counter)

    def _has_left(self) -> bool:
        """Whether the lame duck has served long enough, or has nobody to serve."""
        now, begun = monotonic(), self.server_state.total_requests + len(self.server_state.tasks)
        if begun != self._begun:
            self._begun, self._quiet_since = begun, now
        quiet = now - self._quiet_since >= _QUIET_S
        return quiet or not self._door.connections or now >= (self._leave_by or 0.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in, finish what was accepted, and stop the app; what is not finished in time is cancelled."""
        self._door.close()
        await self._close_listeners(sockets or [])
        limit = monotonic() + self._drain_s
        while (self._door.connections or self.server_state.tasks) and not self.force_exit and monotonic() < limit:
            for connection in list(self._door.connections):
                connection.close_if_idle()
            await asyncio.sleep(_TURN_S)
        if not self.force_exit and self.server_state.tasks:
            logger.error("%d requests were not finished in time and are given up", len(self.server_state.tasks))
        for task in self.server_state.tasks:
            task.cancel()
        self._door.unwatch()
        if not self.force_exit:
            await self.lifespan.shutdown()
        for connection in list(self._door.connections):
            connection.transport.abort()

    async def _close_listeners(self, sockets: list[socket.socket]) -> None:
        listening = [bound.dup() for bound in sockets] if self._last() and not self.force_exit else []
        for server in self.servers:
            server.close()
        for bound in sockets:
            bound.close()
        for bound in listening:
            with bound:
                await accept_the_last(bound, self._new_connection, self.config.ssl)

    def _new_connection(self) -> asyncio.Protocol:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
