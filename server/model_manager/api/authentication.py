"""Who may pass: API keys on the port of predictions, and one token on the admin port.

In the flow: uvicorn → **authentication**, with every route behind it → dispatch. Health stays open on both ports: a
kubelet has no key. A route whose path names no model must ask for itself what its caller may use (`may_see`).
"""

import hmac
from collections.abc import Awaitable
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.api.docs import ASSETS
from model_manager.api.problems import response_of
from model_manager.errors import ModelManagerError, Unauthenticated
from model_manager.serving.admin_token import AdminToken
from model_manager.serving.keys import Client, Keyring, digest_of, sent_key
from model_manager.serving.outcomes import explain

CLIENT: Final = "model_manager.client"
"""Where a request's scope holds the client whose key it carried."""

_OPEN: Final = frozenset(
    {"/v2/health/live", "/v2/health/ready", "/ping", "/health", "/docs", *(f"/docs/{name}" for name in ASSETS)}
)
"""A browser that opens the page has no key; the page asks for one, since the description that it shows needs it."""
_OF_MODELS: Final = frozenset({"/v1/models/", "/v2/models/"})
_LENGTH: Final = 11  # of either
_MOST_KNOWN: Final = 10_000
_LONGEST_KNOWN: Final = 300


class KeyCheck:
    """Lets requests pass that carry a key which may do what they ask for; answers the others."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring
        self._known: dict[str, str] = {}  # the models of paths that somebody with a key asked for

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable that answers, instead of awaiting it: one coroutine less for every request."""
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        path = scope["path"]
        if path in _OPEN:
            return self._app(scope, receive, send)
        known = self._known.get(path)
        model = _model_in(path) if known is None else known
        try:
            scope[CLIENT] = self._keyring.admit(scope["headers"], model)
        except ModelManagerError as error:
            return response_of(explain(error, scope["headers"], path))(scope, receive, send)
        if known is None and model is not None and len(path) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[path] = model
        return self._app(scope, receive, send)


def _model_in(path: str) -> str | None:
    """The model that a path names, as the routes read it; None where it names none."""
    if path[:_LENGTH] not in _OF_MODELS:
        return None
    return path[_LENGTH:].partition("/")[0].partition(":")[0]


class TokenCheck:
    """Lets requests pass that carry the admin token; answers the others."""

    def __init__(self, app: ASGIApp, token: AdminToken) -> None:
        self._app = app
        self._token = token

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan" or scope["path"] in _OPEN:
            return self._app(scope, receive, send)
        sent = sent_key(scope["headers"])
        if sent is not None and hmac.compare_digest(digest_of(sent), self._token.digest):
            return self._app(scope, receive, send)
        refused = Unauthenticated("the admin port needs its token: send authorization: Bearer <token>")
        return response_of(explain(refused, scope["headers"], scope["path"]))(scope, receive, send)


def may_see(request: Request, model: str) -> bool:
    """Whether a model may be shown to whoever asks: where keys are configured, what the key may use."""
    client: Client | None = request.scope.get(CLIENT)
    return client is None or client.may_use(model)
