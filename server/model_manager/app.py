"""The table of contents: every route, middleware and error handler of the server, as literal lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.api import docs, problems
from model_manager.api.authentication import KeyCheck, TokenCheck
from model_manager.api.console import Console
from model_manager.api.cors import Cors
from model_manager.api.debug import Debug
from model_manager.api.dispatch import Dispatch, KnownPaths
from model_manager.api.drift import DriftRoutes
from model_manager.api.explain import Explain
from model_manager.api.feedback import AccuracyRoutes, Labels
from model_manager.api.health import Health
from model_manager.api.ledger import LedgerRoutes
from model_manager.api.mlflow import Invocations, MLflow
from model_manager.api.openapi import OpenApi
from model_manager.api.pod import Pod
from model_manager.api.predict import Predict
from model_manager.api.repository import RepositoryControl
from model_manager.api.root import Root, describe_admin
from model_manager.api.routes import Route
from model_manager.api.scrape import Scrape
from model_manager.api.triton import Configuration, Statistics
from model_manager.api.v1 import V1
from model_manager.api.v2 import V2, Index
from model_manager.errors import ModelManagerError
from model_manager.repository.wanted import NAME_PATTERN
from model_manager.serving.admin_token import AdminToken
from model_manager.serving.system import System


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
    explain = Explain(system.explaining, system.registry, limit=limit)
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
            *(
                Route(f"/v1/models/{{model:name}}{one}:explain", explain.explain, methods=["POST"])
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
            Route("/", partial(describe_admin, debug_routes)),
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


def _control(pod: Pod, *, limit: int, alone: bool = True) -> list[Route]:
    """The routes of orders for single models: of the admin port, and of the API port where the operator opens them."""
    control = RepositoryControl(pod.load, pod.unload, limit=limit, alone=alone)
    return [
        Route("/v2/repository/models/{model:name}/load", control.load, methods=["POST"]),
        Route("/v2/repository/models/{model:name}/unload", control.unload, methods=["POST"]),
    ]


_ERROR_HANDLERS = {
    HTTPException: problems.on_http_exception,
    ModelManagerError: problems.on_error,
    Exception: problems.on_error,
}
