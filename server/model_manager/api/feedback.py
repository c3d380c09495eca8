"""`POST /v1/models/{model}:feedback`: labels that came later. On the admin port: how right each version was.

In the flow: app's list of routes → **feedback** → serving.labelling.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.body import read_body
from model_manager.api.compression import plain_body
from model_manager.feedback import STATUSES, AccuracyTally, Label, Status, read_labels, report_accuracy
from model_manager.serving.labelling import Labelling
from model_manager.serving.registry import Registry

_OFF = "labels are not taken here: --feedback-window-s is 0"


async def _labels_in(request: Request, limit: int) -> list[Label]:
    body = await read_body(request.scope["headers"], request.receive, limit=limit)
    _, body = await plain_body(request.scope["headers"], body, limit=limit)
    return await asyncio.to_thread(read_labels, body)


class Labels:
    """Takes labels of callers. `limit`: the most bytes of a body."""

    def __init__(self, labelling: Labelling, registry: Registry, *, limit: int) -> None:
        self._labelling = labelling
        self._registry = registry
        self._limit = limit

    async def take(self, request: Request) -> Response:
        """Tell what was true of rows that were answered, by the ids of their requests."""
        model = request.path_params["model"]
        self._registry.model(model)
        labels = await _labels_in(request, self._limit)
        if not self._labelling.is_on:
            return JSONResponse({"error": f"{model}: {_OFF}"}, 404)
        statuses, unanswered = await self._labelling.give(model, labels)
        counts = Counter(statuses)
        told = {
            "counts": {status: counts[status] for status in STATUSES if counts[status]},
            "unanswered": unanswered,
            "labels": [
                {"id": one.id, "row": one.row, "status": status} for one, status in zip(labels, statuses, strict=True)
            ],
        }
        return Response(msgspec.json.encode(told), media_type="application/json")


class AccuracyRoutes:
    """What the admin port says of live accuracy, and where other pods bring labels; of one process or a whole pod."""

    def __init__(
        self,
        tallies: Callable[[], Awaitable[Sequence[AccuracyTally]]],
        join: Callable[[str, list[Label]], Awaitable[list[Status]]],
        *,
        limit: int,
    ) -> None:
        self._tallies = tallies
        self._join = join
        self._limit = limit

    async def model(self, request: Request) -> Response:
        """How right each version of a model was, and how many of its answers have a label."""
        model = request.path_params["model"]
        found = [report_accuracy(one) for one in await self._tallies() if one.model == model]
        if not found:
            return JSONResponse({"error": f"{model}: it does not serve here, or {_OFF}"}, 404)
        found.sort(key=lambda one: str(one["model_version"]))
        return JSONResponse({"versions": found})

    async def join(self, request: Request) -> Response:
        """Join labels with the answers of this pod alone."""
        labels = await _labels_in(request, self._limit)
        return JSONResponse({"statuses": await self._join(request.path_params["model"], labels)})
