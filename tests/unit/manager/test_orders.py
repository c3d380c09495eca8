"""What an operator orders of one model, beside what the folder wants."""

import asyncio
from pathlib import Path

import pytest
from model_manager.repository.lifecycle import State

from tests.held_model import unloadable_without
from tests.models import constant, put
from tests.unit.manager.staging import is_ready, running, status
from tools.patience import until


async def test_what_failed_is_tried_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that stands still no wait between two tries is ever over, so that only the order ends it."""
    models, needed = tmp_path / "models", tmp_path / "dictionary"
    await asyncio.to_thread(put, models, "m", "1", unloadable_without(needed, constant(1.0)))
    async with running(models) as system:
        monkeypatch.setattr(system.manager, "_clock", lambda: 0.0)
        await until(lambda: status(system, "m")[0] is State.FAILED, "it to fail")
        assert "not there yet" in status(system, "m")[1]
        needed.touch()
        assert await system.load("m")
        await until(lambda: is_ready(system, "m"), "it to be loaded as it was ordered")
        assert not await system.load("unheard-of")
