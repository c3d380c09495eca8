"""A system that follows a folder in this process, and what it says of its versions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from model_manager.repository.lifecycle import State
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.models import constant, dump

ONE, TWO = dump(constant(1.0)), dump(constant(2.0))


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[System]:
    """A system that follows a folder; it must not crash."""
    chosen = {"compile": "off", "poll_interval_s": 60, **settings}
    system = await asyncio.to_thread(lambda: System(Settings(models=folder, **chosen)))
    crashes: list[BaseException] = []
    async with system.running(crashed=crashes.append):
        yield system
    assert not crashes


def status(system: System, model: str, version: str = "1") -> tuple[State | None, str]:
    """State and reason of one version; no state when it is not known."""
    view = system.registry.models.get(model)
    found = view.statuses.get(version) if view is not None else None
    return (found.state, found.reason) if found is not None else (None, "")


def is_ready(system: System, model: str, version: str = "1") -> bool:
    return status(system, model, version) == (State.READY, "")


def loads() -> int:
    """The tasks that load a version, look for faster forms of it, or wait to do so again."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sum(getattr(one, "__qualname__", "") == "Manager._load_and_improve" for one in coroutines)
