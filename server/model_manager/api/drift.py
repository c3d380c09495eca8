"""`GET /v2/models/{model}/drift` on the admin port: how far what its versions are asked lies from the training data."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.drift import Tally, report


class DriftRoutes:
    """Tells what `tallies` gives: the counts of each version, of one process or of all of a pod."""

    def __init__(self, tallies: Callable[[], Awaitable[Sequence[Tally]]]) -> None:
        self._tallies = tallies

    async def model(self, request: Request) -> Response:
        """Every column of each version of a model, or of one, with its bins; those that drifted most first."""
        model, version = request.path_params["model"], request.path_params.get("version")
        found = [one for one in await self._tallies() if one.model == model and version in (None, one.version)]
        if not found:
            named = model if version is None else f"{model}/{version}"
            why = "nothing is counted of it: it does not serve here, or --drift-rows-per-s is 0"
            return JSONResponse({"error": f"{named}: {why}"}, 404)
        body = await asyncio.to_thread(_written, found)
        return Response(body, media_type="application/json")


def _written(tallies: Sequence[Tally]) -> bytes:
    return msgspec.json.encode({"versions": [report(tally) for tally in sorted(tallies, key=lambda one: one.version)]})
