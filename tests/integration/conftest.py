"""The whole app in this process, over the sample models: quick to ask, with real models behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from asgi_lifespan import LifespanManager
from model_manager.app import MIDDLEWARE, create_admin_app, create_app
from model_manager.serving.system import System
from model_manager.settings import Settings
from starlette.middleware import Middleware

from tests.scrape import value

Client: TypeAlias = httpx.AsyncClient

IRIS = [5.1, 3.5, 1.4, 0.2]
JSON = {"content-type": "application/json"}


@asynccontextmanager
async def running_app(
    folder: Path, *, middleware: Sequence[Middleware] = MIDDLEWARE, **settings: Any
) -> AsyncIterator[tuple[Client, Client, System]]:
    """Clients of the API and the admin app, and the system behind them, once it is ready."""
    system = await asyncio.to_thread(lambda: System(Settings(models=folder, **settings)))
    async with LifespanManager(create_app(system, middleware=middleware)) as manager:
        admin = create_admin_app(system, max_body_bytes=system.settings.max_body_bytes)
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://api") as api,
            httpx.AsyncClient(transport=httpx.ASGITransport(admin), base_url="http://admin") as admin_client,
        ):
            while await system.waiting_for():
                await asyncio.sleep(0.005)
            yield api, admin_client, system


@pytest.fixture
async def app(samples: Path) -> AsyncIterator[tuple[Client, Client, System]]:
    async with running_app(samples) as running:
        yield running


@pytest.fixture
def api(app: tuple[Client, Client, System]) -> Client:
    return app[0]


@pytest.fixture
def admin(app: tuple[Client, Client, System]) -> Client:
    return app[1]


@pytest.fixture
def counted(app: tuple[Client, Client, System]) -> Callable[..., float]:
    """Read one metric: name and labels → value, 0 when there is no such series."""

    def counted_value(name: str, **labels: str) -> float:
        return value(app[2].metrics.families(), name, **labels) or 0.0

    return counted_value


@pytest.fixture(scope="session")
def churn(samples: Path) -> dict[str, Any]:
    """A valid row of churn."""
    metadata = json.loads((samples / "churn" / "1" / "metadata.json").read_text())
    row: dict[str, Any] = metadata["golden"]["instances"][0]
    return row


async def v1(api: Client, model: str, body: Any, version: str | None = None) -> httpx.Response:
    pinned = f"/versions/{version}" if version else ""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.post(f"/v1/models/{model}{pinned}:predict", content=content, headers=JSON)


async def v2(api: Client, model: str, inputs: list[dict[str, Any]], **extra: Any) -> httpx.Response:
    return await api.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **extra})
