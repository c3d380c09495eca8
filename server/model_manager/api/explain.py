"""`POST /v1/models/{model}:explain`: answers, and which column moved each by how much.

In the flow: app's list of routes → **explain** → serving.explaining.
"""

from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response

from model_manager.api.authentication import CLIENT
from model_manager.api.body import read_body
from model_manager.api.compression import plain_body
from model_manager.call import Call, heed_headers
from model_manager.serving.explaining import Explaining
from model_manager.serving.registry import Registry


class Explain:
    """Explains to callers. `limit`: the most bytes of a body."""

    def __init__(self, explaining: Explaining, registry: Registry, *, limit: int) -> None:
        self._explaining = explaining
        self._registry = registry
        self._limit = limit

    async def explain(self, request: Request) -> Response:
        """Answer rows as `:predict` does, and explain each answer by the columns of its row."""
        names, scope = request.path_params, request.scope
        model, label = names["model"], names.get("label")
        version = names.get("version") if label is None else self._registry.version_of(model, label)
        route = "/v1/models/{model}:explain"
        call = Call("v1", route, "POST", scope["path"], scope["headers"], model, version, perf_counter())
        if CLIENT in scope:
            call.client = scope[CLIENT].id
        heed_headers(call)
        body = await read_body(call.headers, request.receive, limit=self._limit)
        call.headers, body = await plain_body(call.headers, body, limit=self._limit)
        headers, answer = await self._explaining.explain(call, body)
        response = Response(answer)
        response.raw_headers.extend(headers)
        return response
