"""MLflow's scoring server: `/ping`, `/health`, `/version`, and `/invocations`, whose path names no model.

In the flow: routes → **mlflow** (which model is meant) → predict → serving.answering. The model is the one that a
setting names, or the only one that there is.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from model_manager.api.authentication import may_see
from model_manager.api.predict import Predict
from model_manager.errors import InvalidInput, ModelForbidden, ModelManagerError, ModelNotFound
from model_manager.serving.registry import Registry
from model_manager.version import __version__

_MOST_NAMED = 10


class Invocations:
    """`POST /invocations`. `model`: the one that answers; empty: the only one that its caller may use."""

    def __init__(self, predict: Predict, registry: Registry, model: str) -> None:
        self._predict = predict
        self._registry = registry
        self._model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that Starlette routed here."""
        try:
            model = self._chosen(Request(scope))
        except ModelManagerError as error:
            await self._predict.refuse(self._predict.destination("", None), error, scope, receive, send)
        else:
            await self._predict.answer(self._predict.destination(model, None), scope, receive, send)

    def _chosen(self, request: Request) -> str:
        if self._model:
            if not may_see(request, self._model):
                raise ModelForbidden(f"this key may not use model '{self._model}'")
            return self._model
        names = sorted(name for name in self._registry.models if may_see(request, name))
        if len(names) == 1:
            return names[0]
        if not names:
            self._registry.check_read()
            raise ModelNotFound("there is no model yet that could answer /invocations")
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        raise InvalidInput(
            f"/invocations names no model, and {len(names)} are served: {', '.join(names[:_MOST_NAMED])}{more}; start "
            "the server with --invocations-model NAME, or ask POST /v1/models/NAME:predict"
        )


class MLflow:
    """The GET routes of MLflow. `waiting_for` says why there should be no traffic; empty when there should."""

    def __init__(self, waiting_for: Callable[[], Awaitable[str]]) -> None:
        self._waiting_for = waiting_for

    async def ping(self, request: Request) -> Response:
        """200 once the first wanted state was reached, until the server stops; 503 before and after."""
        ready = not await self._waiting_for()
        return Response(b"\n", 200 if ready else 503, media_type="application/json")

    async def version(self, request: Request) -> Response:
        """The version of this server, where MLflow's says its own."""
        return PlainTextResponse(__version__)
