"""`GET /ledger` on the admin port: what served when, and who changed it; `GET /ledger/last-good`: what to return to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.errors import InvalidInput, LedgerUnreadable
from model_manager.ledger import GoodState, History, Moment, history_of, moment_of, read_time

_OFF = "no ledger is kept here; start the server with --ledger FOLDER, or with --state FOLDER (MODEL_MANAGER_LEDGER)"


class LedgerRoutes:
    """Answers from the ledger in `folder`, None where none is kept, and from the good states that `good` gives."""

    def __init__(self, folder: Path | None, good: Callable[[], Awaitable[Sequence[GoodState]]]) -> None:
        self._folder = folder
        self._good = good
        self._reading = asyncio.Lock()  # one at a time: to read takes processor time from predictions

    async def ledger(self, request: Request) -> Response:
        """Tell what served `?at=`, or what happened `?since=&until=`, of `?model=` (and `&version=`) or of all."""
        if self._folder is None:
            return JSONResponse({"error": _OFF}, 404)
        given = request.query_params
        model, version, at = given.get("model") or None, given.get("version") or None, _time(request, "at")
        query: Callable[[], Moment | History]
        if at is not None:
            query = partial(moment_of, self._folder, at, model=model, version=version)
        else:
            since, until = _time(request, "since"), _time(request, "until")
            query = partial(history_of, self._folder, model=model, version=version, since=since, until=until)
        try:
            async with self._reading:
                answer = await asyncio.to_thread(query)
                body = await asyncio.to_thread(msgspec.json.encode, answer)
        except LedgerUnreadable as error:
            return JSONResponse({"error": str(error)}, 503)
        return Response(body, media_type="application/json")

    async def last_good(self, request: Request) -> Response:
        """Answer the manifest of the last wanted state that was in force and in which no version has failed since."""
        states = await self._good()
        if not states:
            why = "no wanted state has been in force yet, or a version has failed in each one that was"
            return JSONResponse({"error": f"there is no good state to return to: {why}"}, 404)
        state = states[0]
        if state.manifest is None:
            why = "it was that of a folder without models.yaml: take out or put back the folders of versions instead"
            return JSONResponse({"error": f"the last good state has no manifest: {why}"}, 404)
        headers = {"x-generation": state.generation, "x-good-since": state.at.isoformat()}
        return Response(state.manifest, headers=headers, media_type="application/yaml")


def _time(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name, "")
    try:
        return read_time(text) if text else None
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}") from None
