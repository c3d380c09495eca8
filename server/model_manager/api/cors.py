"""Cross-origin requests of browsers: pages of the origins that are configured may ask, and read what is answered.

In the flow: connection → **cors** → authentication, with every route behind it. It lets nobody in: whoever is no
browser may say any origin. Off unless origins are set; while it is on, no connection answers past the app.
"""

import re
from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS: Final = b"GET, HEAD, OPTIONS, POST"
_EXPOSED: Final = (
    b"x-model-name, x-model-version, x-request-id, x-infinite-values, inference-header-content-length, retry-after, "
    b"server-timing"
)
_REMEMBERED_S: Final = b"600"
_are_header_names: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}").fullmatch


class Cors:
    """Tells browsers that these origins may ask; `*`: every one. Requests of others pass without that word."""

    def __init__(self, app: ASGIApp, origins: str) -> None:
        self._app = app
        self._origins = frozenset(origin.strip().encode() for origin in origins.split(",") if origin.strip())
        self._any = b"*" in self._origins

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a preflight, or hand a request on whose answer will say who may read it."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        sent = dict(scope["headers"])
        origin = sent.get(b"origin", b"")
        allowed = bool(origin) and (self._any or origin in self._origins)
        said = [(b"access-control-allow-origin", b"*" if self._any else origin)] if allowed else []
        if not self._any:
            said.append((b"vary", b"origin"))
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in sent:
            return _allow(said, sent.get(b"access-control-request-headers", b""), send)
        if allowed:
            said.append((b"access-control-expose-headers", _EXPOSED))

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *said]}
            await send(message)

        return self._app(scope, receive, say)


async def _allow(said: list[tuple[bytes, bytes]], asked: bytes, send: Send) -> None:
    """Answer a preflight: the headers that the page wants to send may be sent, whichever they are."""
    headers = [*said, (b"access-control-allow-methods", _METHODS), (b"access-control-max-age", _REMEMBERED_S)]
    if _are_header_names(asked):
        headers.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
