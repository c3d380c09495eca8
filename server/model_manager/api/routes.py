"""Starlette's routes as this server wants them: a whole path or none, and `OPTIONS` told what may be asked."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette import routing
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Route(routing.Route):
    """A route that matches nothing but its path: Starlette's takes one with a line feed behind it for the same."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, methods: Sequence[str] = ("GET",)) -> None:
        super().__init__(path, endpoint, methods=[*methods, "OPTIONS"])
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an `OPTIONS` here, and hand everything else to the endpoint."""
        if scope["method"] == "OPTIONS":
            await options(self.methods or ())(scope, receive, send)
        else:
            await super().handle(scope, receive, send)


def options(methods: Iterable[str]) -> Response:
    """The answer to `OPTIONS`: nothing, and in `allow` what may be asked."""
    return Response(status_code=204, headers={"allow": ", ".join(sorted(methods))})
