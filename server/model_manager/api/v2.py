"""V2 (Open Inference Protocol, REST): server and model metadata, readiness, the repository index. Infer: predict.py."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.api.body import SMALL_BODY, read_body
from model_manager.call import pinned_version
from model_manager.codecs.v2_metadata import describe_inputs, describe_outputs
from model_manager.errors import InvalidInput
from model_manager.repository.wanted import version_order
from model_manager.serving.index import IndexRow
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.serving.views import ModelView
from model_manager.version import __version__

EXTENSIONS: Final = ("binary_tensor_data", "classification", "model_repository", "statistics", "model_configuration")
"""Of the protocol, by the names that Triton has for them."""


def describe(view: ModelView, servable: Servable) -> dict[str, Any]:
    """One version's inputs and outputs, and where it comes from: V2's model metadata."""
    traffic = ", ".join(f"{version}: {weight}" for version, weight in view.weights.items())
    provenance = servable.provenance
    body: dict[str, Any] = {
        "name": servable.id.model,
        "versions": sorted(view.ready, key=version_order),
        "platform": "sklearn_joblib",
        "inputs": describe_inputs(servable.signature, provenance.metadata.public_categories or {}),
        "outputs": describe_outputs(servable.signature),
        "properties": {"version": servable.id.version, **provenance.properties(), **servable.form.properties()},
    }
    if traffic:
        body["properties"]["traffic"] = traffic
    return body


class _IndexRequest(msgspec.Struct):
    ready: bool = False


class V2:
    """The routes of V2 that predict nothing."""

    def __init__(self, system: System) -> None:
        self._registry = system.registry

    def _named(self, request: Request) -> Servable:
        """The version that a request names, by its path or a header, or the model's default."""
        version = request.path_params.get("version") or pinned_version(request.scope["headers"])
        return self._registry.servable(request.path_params["model"], version)

    async def server(self, request: Request) -> Response:
        """Name the server, its version and the protocol extensions it speaks."""
        return JSONResponse({"name": "model-manager", "version": __version__, "extensions": EXTENSIONS})

    async def models(self, request: Request) -> Response:
        """List the names of all known models that the caller may use."""
        return JSONResponse({"models": sorted(name for name in self._registry.models if may_see(request, name))})

    async def model(self, request: Request) -> Response:
        """Describe the inputs and outputs of a model's default or named version, and where it comes from."""
        servable = self._named(request)
        name = servable.id.model
        body = describe(self._registry.model(name), servable)
        return JSONResponse(body, headers={"x-model-name": name, "x-model-version": servable.id.version})

    async def model_ready(self, request: Request) -> Response:
        """200 when the model's default or named version can answer; 404 or 503 with the reason when not."""
        name = request.path_params["model"]
        servable = self._named(request)
        return JSONResponse({"name": name, "ready": True}, headers={"x-model-version": servable.id.version})


class Index:
    """The repository index: every known version with its state and the reason for it. `rows` gives them all.

    `limit`: the most bytes of a body, of which no more are read than such a small one needs."""

    def __init__(self, rows: Callable[[], Awaitable[list[IndexRow]]], *, limit: int) -> None:
        self._rows = rows
        self._limit = min(limit, SMALL_BODY)

    async def index(self, request: Request) -> Response:
        """List every version of what the caller may use; `{"ready": true}` lists those that are ready."""
        body = await read_body(request.scope["headers"], request.receive, limit=self._limit)
        try:
            wanted = msgspec.json.decode(body, type=_IndexRequest) if body.strip() else _IndexRequest()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f'repository index takes {{"ready": true|false}}: {error}') from None
        except RecursionError:
            raise InvalidInput('repository index takes {"ready": true|false}: the body is nested too deeply') from None
        rows = await self._rows()
        shown = [row for row in rows if (row.state == "READY" or not wanted.ready) and may_see(request, row.name)]
        return Response(msgspec.json.encode(shown), media_type="application/json")
