"""`GET /debug/…` on the admin port: what the server is doing now. For people; never on the port that a mesh exposes.

Off unless asked for: a profile and the lines of tasks tell of the code that runs.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from model_manager.errors import InvalidInput
from model_manager.serving.inspection import Inspection, Topic

_MOST_SECONDS: Final = 60.0
_SECONDS: Final = 5.0


class Debug:
    """Shows what `look` finds in each process: a topic, and the seconds that a profile takes. `on`: whether it does."""

    def __init__(self, look: Callable[[Topic, float], Awaitable[list[Inspection]]], *, on: bool) -> None:
        self._look = look
        self._on = on
        self._profiling = False

    async def tasks(self, request: Request) -> Response:
        """Every task of every event loop, and the line at which it waits."""
        return await self._show("tasks")

    async def queues(self, request: Request) -> Response:
        """What waits and runs, by version."""
        return await self._show("queues")

    async def batches(self, request: Request) -> Response:
        """The last batches by version: rows, requests, and how long they took."""
        return await self._show("batches")

    async def profile(self, request: Request) -> Response:
        """Sample all threads for `?seconds=5`, and answer collapsed stacks: what flame graph tools take."""
        self._check_on()
        seconds = _seconds(request.query_params.get("seconds", ""))
        if self._profiling:
            raise InvalidInput("a profile is being taken; one at a time")
        self._profiling = True
        try:
            processes = await self._look("profile", seconds)
        finally:
            self._profiling = False
        several = len(processes) > 1
        lines = [
            f"{'process ' + str(process['pid']) + ';' if several else ''}{stack} {count}\n"
            for process in processes
            for stack, count in process["profile"]["stacks"].items()
        ]
        return PlainTextResponse("".join(lines))

    def _check_on(self) -> None:
        if not self._on:
            message = "debug routes are off; start the server with --debug-routes (MODEL_MANAGER_DEBUG_ROUTES=true)"
            raise HTTPException(403, message)

    async def _show(self, topic: Topic) -> Response:
        self._check_on()
        return JSONResponse({"processes": await self._look(topic, 0.0)})


def _seconds(text: str) -> float:
    try:
        seconds = float(text or _SECONDS)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _MOST_SECONDS:
        raise InvalidInput(f"seconds: {text!r} is no number above 0 and up to {_MOST_SECONDS:g}")
    return seconds
