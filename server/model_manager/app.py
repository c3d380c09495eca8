"""The table of contents: every route, middleware and error handler of the server, as literal lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.api import docs, problems
from model_manager.api.authentication import KeyCheck, TokenCheck, may_see
from model_manager.api.console import Console
from model_manager.api.cors import Cors
from model_manager.api.debug import Debug
from model_manager.api.dispatch import Dispatch, KnownPaths
from model_manager.api.drift import DriftRoutes
from model_manager.api.feedback import AccuracyRoutes, Labels
from model_manager.api.front import Front, prefers_page
from model_manager.api.health import Health
from model_manager.api.ledger import LedgerRoutes
from model_manager.api.mlflow import Invocations, MLflow
from model_manager.api.openapi import OpenApi
from model_manager.api.predict import Predict
from model_manager.api.repository import RepositoryControl
from model_manager.api.routes import Route
from model_manager.api.scrape import Scrape
from model_manager.api.triton import Configuration, Statistics
from model_manager.api.v1 import V1
from model_manager.api.v2 import V2, Index
from model_manager.drift import Tally
from model_manager.errors import ModelManagerError
from model_manager.feedback import AccuracyTally, Label, Status
from model_manager.ledger import GoodState
from model_manager.metrics import Family
from model_manager.repository.wanted import NAME_PATTERN
from model_manager.serving.admin_token import AdminToken
from model_manager.serving.attempt import Attempt
from model_manager.serving.index import IndexRow
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.profile import Profile
from model_manager.serving.system import System
from model_manager.version import __version__


class NameConvertor(StringConvertor):
    """A model's or version's name in a path: without it `iris:predict` would be the name of a model."""

    regex = NAME_PATTERN


register_url_convertor("name", NameConvertor())


class AcceptTrailingSlash:
    """Serve `/v2/` as `/v2`: the protocol's own texts use both, and a redirect would lose a POST's body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable that answers, instead of awaiting it: one coroutine less for every request."""
        if scope["type"] == "http" and scope["path"].endswith("/") and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        return self._app(scope, receive, send)


MIDDLEWARE: Final = (Middleware(AcceptTrailingSlash),)
"""What every request passes, the outermost first, whichever route answers it and however fast that is found."""

_ONE_VERSION: Final = ("/versions/{version:name}", "/labels/{label:name}")
"""How a path of V1 names a version."""

_LONGEST_WAIT_S: Final = 60.0


def create_app(
    system: System,
    *,
    crashed: Callable[[BaseException], None] | None = None,
    middleware: Sequence[Middleware] = MIDDLEWARE,
    replaces: bool = False,
    known: KnownPaths | None = None,
    beside: AbstractAsyncContextManager[None] | None = None,
) -> ASGIApp:
    """The prediction API. Its lifespan runs the system; `crashed` is told when converging ended by our own bug.

    `replaces`: other processes serve on the same port, so connections are accepted only when the models are there.
    `known`: where connections look for paths that they may answer past this app, while nothing in it minds.
    `beside`: another port over the same system, open while that runs.

    `middleware` is folded around the routes and the fast way past them, so none of it is ever passed by.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with system.running(crashed=crashed):
            if replaces:
                await system.loaded(limit_s=_LONGEST_WAIT_S)
            async with beside or nullcontext():
                yield

    settings = system.settings
    limit = settings.max_body_bytes
    v1, v2, mlflow, health, index = (
        V1(system),
        V2(system),
        MLflow(system.waiting_for),
        Health(system.waiting_for, system.not_alive, told=system.keyring is None),
        Index(system.index, limit=limit),
    )
    labels = Labels(system.labelling, system.registry, limit=limit)
    known = known or KnownPaths()
    known.direct = middleware is MIDDLEWARE and system.keyring is None and not settings.cors_origins
    statistics, configuration = Statistics(system.current_metrics, system.index), Configuration(system)
    compress_from = settings.compress_from_bytes
    endpoint = partial(Predict, system.answering, system.registry, known, limit=limit, compress_from=compress_from)
    openapi = OpenApi(system.registry, by_key=system.keyring is not None)
    predict = endpoint(protocol="v1", route="/v1/models/{model}:predict")
    classify = endpoint(protocol="v1-classify", route="/v1/models/{model}:classify")
    regress = endpoint(protocol="v1-regress", route="/v1/models/{model}:regress")
    invocations = Invocations(
        endpoint(protocol="mlflow", route="/invocations"), system.registry, settings.invocations_model
    )
    infer = endpoint(protocol="v2", route="/v2/models/{model}/infer")
    pages: list[Route] = []
    if settings.console_on_api:
        pages = Console(system, ledger=settings.ledger_folder, actions=False, limit=limit).routes()
    starlette = Starlette(
        routes=[
            Route("/", Root(system).describe),
            Route("/openapi.json", openapi.describe),
            Route("/docs", docs.page),
            Route("/docs/{asset}", docs.asset),
            *pages,
            Route("/v1/models", v1.models),
            *(
                Route(f"/v1/models/{{model:name}}{one}:{verb}", ask, methods=["POST"])
                for verb, ask in (("predict", predict), ("classify", classify), ("regress", regress))
                for one in ("", *_ONE_VERSION)
            ),
            Route("/v1/models/{model:name}:feedback", labels.take, methods=["POST"]),
            *(Route(f"/v1/models/{{model:name}}{one}", v1.model) for one in ("", *_ONE_VERSION)),
            *(Route(f"/v1/models/{{model:name}}{one}/metadata", v1.metadata) for one in ("", *_ONE_VERSION)),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/ping", mlflow.ping),
            Route("/health", mlflow.ping),
            Route("/version", mlflow.version),
            Route("/v2", v2.server),
            Route("/v2/health/live", health.live),
            Route("/v2/health/ready", health.ready),
            Route("/v2/models", v2.models),
            Route("/v2/models/stats", statistics.all),
            Route("/v2/models/{model:name}", v2.model),
            Route("/v2/models/{model:name}/versions/{version:name}", v2.model),
            Route("/v2/models/{model:name}/ready", v2.model_ready),
            Route("/v2/models/{model:name}/versions/{version:name}/ready", v2.model_ready),
            Route("/v2/models/{model:name}/stats", statistics.model),
            Route("/v2/models/{model:name}/versions/{version:name}/stats", statistics.model),
            Route("/v2/models/{model:name}/config", configuration.model),
            Route("/v2/models/{model:name}/versions/{version:name}/config", configuration.model),
            Route("/v2/models/{model:name}/infer", infer, methods=["POST"]),
            Route("/v2/models/{model:name}/versions/{version:name}/infer", infer, methods=["POST"]),
            Route("/v2/repository/index", index.index, methods=["GET", "POST"]),
            *(_control(system, limit=limit, alone=settings.workers == 1) if settings.repository_control else ()),
        ],
        exception_handlers=_ERROR_HANDLERS,
        lifespan=lifespan,
    )
    openapi.routes = starlette.routes
    app: ASGIApp = Dispatch(starlette, known)
    if system.keyring is not None:
        app = KeyCheck(app, system.keyring)
    if settings.cors_origins:
        app = Cors(app, settings.cors_origins)
    for wrap, arguments, options in reversed(middleware):
        app = wrap(app, *arguments, **options)
    return app


class Pod(Protocol):
    """What the admin port asks: one process, or all workers of a pod as one."""

    async def waiting_for(self) -> str:
        """Why there should be no traffic; empty when there should."""
        ...

    async def not_alive(self) -> str:
        """Why it should be started again; empty while it works."""
        ...

    async def current_metrics(self) -> Sequence[Family]:
        """What a scrape shows now."""
        ...

    async def index(self) -> list[IndexRow]:
        """Every known version and its state."""
        ...

    async def load(self, model: str) -> bool:
        """Take up a model that was unloaded, and try again what failed of it; whether there is one."""
        ...

    async def unload(self, model: str) -> bool:
        """Stop serving a model until the folder wants it otherwise; whether there is one."""
        ...

    async def last_good(self) -> list[GoodState]:
        """The last wanted states that were in force, the newest first."""
        ...

    async def drift(self) -> list[Tally]:
        """How many sampled rows of the last hour fell into which bins, by version."""
        ...

    async def accuracy(self) -> list[AccuracyTally]:
        """How right each version was, by the labels that came."""
        ...

    async def join(self, model: str, labels: list[Label]) -> list[Status]:
        """Join labels with the answers that are here."""
        ...

    async def profiles(self, model: str) -> list[Profile]:
        """What the ready versions of a model say of themselves."""
        ...

    async def attempt(self, model: str, version: str, body: str) -> Attempt:
        """Ask one version for what a body of V1 asks for."""
        ...

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What each process is doing now."""
        ...


def create_admin_app(
    pod: Pod,
    *,
    max_body_bytes: int,
    debug_routes: bool = False,
    console_actions: bool = False,
    token: AdminToken | None = None,
    ledger: Path | None = None,
) -> Starlette:
    """What operators and Prometheus need, on a port of its own that a mesh does not expose.

    `debug_routes`: whether it shows what the server is doing now. `console_actions`: whether its pages load and unload.
    `token`: what it asks for, but for health. `ledger`: the folder it is kept in, if it is.
    """
    health, index = Health(pod.waiting_for, pod.not_alive), Index(pod.index, limit=max_body_bytes)
    statistics = Statistics(pod.current_metrics, pod.index)
    debug = Debug(pod.inspect, on=debug_routes)
    console = Console(pod, ledger=ledger, actions=console_actions, limit=max_body_bytes)
    log, drift = LedgerRoutes(ledger, pod.last_good), DriftRoutes(pod.drift)
    accuracy = AccuracyRoutes(pod.accuracy, pod.join, limit=max_body_bytes)
    return Starlette(
        routes=[
            Route("/", partial(_describe_admin, debug_routes)),
            *console.routes(),
            Route("/metrics", Scrape(pod.current_metrics).metrics),
            Route("/v2/health/live", health.live),
            Route("/v2/health/ready", health.ready),
            Route("/v2/repository/index", index.index, methods=["GET", "POST"]),
            *_control(pod, limit=max_body_bytes),
            Route("/v2/models/stats", statistics.all),
            Route("/v2/models/{model:name}/stats", statistics.model),
            Route("/v2/models/{model:name}/versions/{version:name}/stats", statistics.model),
            Route("/v2/models/{model:name}/drift", drift.model),
            Route("/v2/models/{model:name}/versions/{version:name}/drift", drift.model),
            Route("/v2/models/{model:name}/feedback", accuracy.model),
            Route("/v2/models/{model:name}/feedback", accuracy.join, methods=["POST"]),
            Route("/ledger", log.ledger),
            Route("/ledger/last-good", log.last_good),
            Route("/debug/tasks", debug.tasks),
            Route("/debug/queues", debug.queues),
            Route("/debug/batches", debug.batches),
            Route("/debug/profile", debug.profile),
        ],
        middleware=MIDDLEWARE if token is None else (*MIDDLEWARE, Middleware(TokenCheck, token)),
        exception_handlers=_ERROR_HANDLERS,
    )


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


def _control(pod: Pod, *, limit: int, alone: bool = True) -> list[Route]:
    """The routes of orders for single models: of the admin port, and of the API port where the operator opens them."""
    control = RepositoryControl(pod.load, pod.unload, limit=limit, alone=alone)
    return [
        Route("/v2/repository/models/{model:name}/load", control.load, methods=["POST"]),
        Route("/v2/repository/models/{model:name}/unload", control.unload, methods=["POST"]),
    ]


async def _describe_admin(debug_routes: bool, request: Request) -> Response:
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


_ERROR_HANDLERS = {
    HTTPException: problems.on_http_exception,
    ModelManagerError: problems.on_error,
    Exception: problems.on_error,
}
