"""`GET /metrics`: what Prometheus scrapes, in text or OpenMetrics form, whichever it asks for."""

from collections.abc import Awaitable, Callable

from prometheus_client import CollectorRegistry, make_asgi_app
from starlette.types import Receive, Scope, Send


class Scrape:
    """ASGI app that exposes the registry which `current` gives at each scrape."""

    def __init__(self, current: Callable[[], Awaitable[CollectorRegistry]]) -> None:
        self._current = current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await make_asgi_app(await self._current())(scope, receive, send)
