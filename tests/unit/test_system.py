"""What only our own bugs bring about: the manager crashes, and the process is told."""

import asyncio
import logging
from pathlib import Path

import pytest
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.models import constant, dump, put
from tools.patience import until


async def test_a_manager_that_crashes_is_logged_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    system = await asyncio.to_thread(lambda: System(Settings(models=tmp_path)))

    def broken_clock() -> float:
        raise ZeroDivisionError("a bug of ours")

    system.manager._clock = broken_clock
    told: asyncio.Queue[BaseException] = asyncio.Queue()
    async with system.running(crashed=told.put_nowait):
        error = await until(lambda: not told.empty() and told.get_nowait(), "the crash to be told")
    assert "a bug of ours" in repr(error)
    assert [record for record in caplog.records if record.levelno == logging.CRITICAL]


async def test_stopping_ends_the_search_for_faster_forms(samples: Path) -> None:
    system = await asyncio.to_thread(lambda: System(Settings(models=samples)))
    async with system.running():
        await until(lambda: not system.registry.waiting_for(), "the models to be ready")
        servable = system.registry.servable("churn", None)
        system.registry.stopping = True
        report = await until(lambda: servable.report, "the search to end")
    if report.reason is not None:  # it may have been done before
        assert report.reason == "nobody needs it any more"
        assert servable.predictor.form == "sklearn"
