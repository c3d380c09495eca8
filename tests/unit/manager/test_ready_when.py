"""Readiness at start, when not every model can be served."""

from pathlib import Path

from model_manager.repository.lifecycle import State

from tests.models import put
from tests.unit.manager.staging import ONE, is_ready, running, status
from tools.patience import until


async def test_a_broken_model_holds_readiness_unless_any_model_is_enough(tmp_path: Path) -> None:
    put(tmp_path, "good", "1", ONE)
    put(tmp_path, "broken", "1", b"no pickle")
    for ready_when in ("every-model", "any-model"):
        async with running(tmp_path, ready_when=ready_when) as system:
            await until(lambda: is_ready(system, "good"), "the good one to answer")
            await until(lambda: status(system, "broken")[0] is State.FAILED, "the other to fail")
            reason = await system.waiting_for()
            assert reason.startswith("broken version '1' is failed: corrupt") or ready_when == "any-model"
            assert (reason == "") == (ready_when == "any-model")


async def test_no_model_is_not_enough(tmp_path: Path) -> None:
    put(tmp_path, "broken", "1", b"no pickle")
    async with running(tmp_path, ready_when="any-model") as system:
        await until(lambda: status(system, "broken")[0] is State.FAILED, "it to fail")
        assert await system.waiting_for() != ""
