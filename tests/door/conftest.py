"""Servers that are asked by bytes: one with limits that a test can reach, one with defaults."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer, live_server
from tests.models import constant, dump, put


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    put(folder, "m", "1", dump(constant(1.0)))
    return folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[LiveServer]:
    """As a newcomer starts it."""
    with live_server(folder) as running:
        yield running


@pytest.fixture(scope="session")
def api(server: LiveServer) -> str:
    return server.server.api


@pytest.fixture(scope="session")
def strict(folder: Path) -> Iterator[LiveServer]:
    """One whose limits are within reach."""
    limits: dict[str, Any] = {
        "allowed_hosts": "models.example, *.shop.example,127.0.0.1",
        "max_connections": 8,
        "max_receiving_bytes": 400_000,
        "max_body_bytes": 300_000,
        "header_timeout_s": 1,
        "body_timeout_s": 1,
        "write_timeout_s": 1,
        "keep_alive_s": 2,
        "log_level": "debug",
    }
    with live_server(folder, **limits) as running:
        yield running
