"""What guards the ports of one process: TLS on both, and the token of the admin port; kept as their files say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from model_manager.api.tls import tls_of
from model_manager.serving.admin_token import AdminToken
from model_manager.settings import Settings


class Credentials:
    """Made before the ports serve. Raises ConfigurationError for what cannot be used: a door is never left open."""

    def __init__(self, settings: Settings) -> None:
        self._poll_interval_s = settings.poll_interval_s
        self.api_tls = tls_of(settings, admin=False)
        self.admin_tls = tls_of(settings, admin=True)
        self.token = None if settings.admin_token is None else AdminToken(settings.admin_token)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the files while the body runs."""
        followed = [door for door in (self.api_tls, self.admin_tls, self.token) if door is not None]
        tasks = [asyncio.create_task(door.follow(poll_interval_s=self._poll_interval_s)) for door in followed]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
