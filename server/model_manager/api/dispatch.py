"""In front of Starlette's routes, behind all middleware: a path that reached a version before goes to its endpoint.

Routing, its exception handling and its request objects cost as much as the rest of the path from socket to socket,
and a prediction needs none of it: its endpoint answers its own errors. A path is remembered only after Starlette's
routes led it to a model that exists, so what a client makes up takes no memory.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.serving.answering import Answering

_MOST_PATHS = 10_000  # every path of every version there ever was; a server that sees more starts over


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a path leads that names a model which exists: for Dispatch, and for a connection that answers itself.

    `limit`: the most bytes of a body. `compress_from`: the least of an answer that is compressed for who takes that.
    """

    serve: "Callable[[Destination, Scope, Receive, Send], Awaitable[None]]"
    answering: Answering
    protocol: str
    route: str
    model: str
    version: str | None
    limit: int
    compress_from: int

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request by way of ASGI."""
        return self.serve(self, scope, receive, send)


class KnownPaths:
    """The endpoints of paths that were answered before.

    `direct`: whether nothing stands before them, so that a connection may go to them past the app.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, Destination] = {}
        self.get = self._endpoints.get
        self.direct = False

    def remember(self, path: str, endpoint: Destination) -> None:
        """Send later POSTs of this path straight to an endpoint."""
        if len(self._endpoints) >= _MOST_PATHS:
            self._endpoints.clear()
        self._endpoints[path] = endpoint


class Dispatch:
    """ASGI app that hands known paths to their endpoints and everything else to `app`."""

    def __init__(self, app: ASGIApp, known: KnownPaths) -> None:
        self._app = app
        self._known = known

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable that answers, instead of awaiting it: one coroutine less for every request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._known.get(scope["path"])
            if endpoint is not None:
                return endpoint(scope, receive, send)
        return self._app(scope, receive, send)
