"""`GET /` of both ports: what this is, and where to look.

In the flow: app → **root**.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.api.front import Front, prefers_page
from model_manager.serving.system import System
from model_manager.version import __version__


class Root:
    """`GET /`: what this is and where to look."""

    def __init__(self, system: System) -> None:
        self._registry = system.registry
        self._front = Front(system)

    async def describe(self, request: Request) -> Response:
        """Name the server, its models and its routes; a page for browsers. `status`: what V1 reads as liveness."""
        if prefers_page(request.headers.get("accept", "")):
            return await self._front.page(request)
        models = sorted(name for name in self._registry.models if may_see(request, name))
        return JSONResponse(
            {
                "name": "model-manager",
                "version": __version__,
                "status": "alive",
                "models": models,
                "routes": {
                    "predict": "POST /v1/models/{model}[/versions/{version}]:predict",
                    "explain": "POST /v1/models/{model}[/versions/{version}]:explain",
                    "of TensorFlow Serving": "…/labels/{label}…, POST …:classify, POST …:regress, GET …/metadata",
                    "of MLflow": "POST /invocations, GET /ping, GET /health, GET /version",
                    "infer": "POST /v2/models/{model}[/versions/{version}]/infer",
                    "labels that came later": "POST /v1/models/{model}:feedback",
                    "models": "GET /v2/models",
                    "inputs and outputs of a model": "GET /v2/models/{model}[/versions/{version}]",
                    "statistics": "GET /v2/models/stats, GET /v2/models/{model}[/versions/{version}]/stats",
                    "configuration": "GET /v2/models/{model}[/versions/{version}]/config",
                    "states and reasons": "GET or POST /v2/repository/index",
                    "health": "GET /v2/health/live, GET /v2/health/ready",
                    "description": "GET /openapi.json, GET /docs (for a browser)",
                    "metrics": "GET /metrics on the admin port",
                },
            },
            headers={"vary": "accept"},
        )


async def describe_admin(debug_routes: bool, request: Request) -> Response:
    """Name the routes of the admin port."""
    routes = ["GET /console (for a browser)", "GET /metrics", "GET /v2/health/live", "GET /v2/health/ready"]
    routes += ["GET or POST /v2/repository/index"]
    routes += ["POST /v2/repository/models/{model}/load", "POST /v2/repository/models/{model}/unload"]
    routes += ["GET /v2/models/stats", "GET /v2/models/{model}[/versions/{version}]/stats"]
    routes += ["GET /v2/models/{model}[/versions/{version}]/drift"]
    routes += ["GET /v2/models/{model}/feedback"]
    routes += ["GET /ledger?at=&model=&since=&until=", "GET /ledger/last-good"]
    if debug_routes:
        routes += ["GET /debug/tasks", "GET /debug/queues", "GET /debug/batches", "GET /debug/profile?seconds=5"]
    return JSONResponse({"name": "model-manager admin", "version": __version__, "routes": routes})
