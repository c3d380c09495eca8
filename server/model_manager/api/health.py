"""Liveness and readiness, the same on both ports; judged by status, with a body for people."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Health:
    """The probes. `waiting_for` says why there should be no traffic, `not_alive` why to start anew; empty if not so.

    `told`: whether anybody may be told why: it names models.
    """

    def __init__(
        self,
        waiting_for: Callable[[], Awaitable[str]],
        not_alive: Callable[[], Awaitable[str]],
        *,
        told: bool = True,
    ) -> None:
        self._waiting_for = waiting_for
        self._not_alive = not_alive
        self._told = told

    async def live(self, request: Request) -> Response:
        """200 as long as the event loop turns, and any of the workers works if there are several."""
        why = await self._not_alive()
        if why:
            return JSONResponse({"live": False, "error": why}, 503)
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """200 once the first wanted state was reached, until the server stops; 503 says what it waits for."""
        waiting_for = await self._waiting_for()
        if waiting_for:
            if not self._told:
                waiting_for = "the admin port and the log say what this waits for"
            return JSONResponse({"ready": False, "error": waiting_for}, 503, {"retry-after": "1"})
        return JSONResponse({"ready": True})
