"""Compiling that ran out of time: said, tried again, and no hindrance to letting a version go."""

import datetime
from pathlib import Path

import pytest

from tests.models import dump, iris_classifier, put
from tests.unit.manager.staging import ONE, loads, running, status
from tools.patience import until

FIRST_BUDGET_S = "model_manager.inference.compiled.compilation.FIRST_BUDGET_S"
FIRST_WAIT_S = "model_manager.inference.compiled.compilation.FIRST_WAIT_S"
IRIS = dump(iris_classifier())


async def test_compiling_that_ran_out_of_time_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FIRST_BUDGET_S, 0.0)
    monkeypatch.setattr(FIRST_WAIT_S, 0.001)
    caplog.set_level("INFO")
    put(tmp_path, "iris", "1", IRIS)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: caplog.text.count("tried again at") >= 2, "compiling to run out of time twice")
        (row,) = await system.index()
        assert (row.state, row.parameters["form"]) == ("READY", "sklearn")
        assert row.parameters["not_compiled_because"] == "compiling was given 0 s of CPU time, and they are over"
        again = datetime.datetime.fromisoformat(row.parameters["compiled_again_at"])
        assert abs(again - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
        monkeypatch.setattr(FIRST_BUDGET_S, 100.0)
        await until(lambda: system.registry.servable("iris", None).form.name != "sklearn", "a form to be found")
        (row,) = await system.index()
        of_form = row.parameters.keys() - {"default", "sha256"}
        assert of_form == {"form", "speedup_1_rows", "speedup_256_rows", "largest_difference"}
        await until(lambda: loads() == 0, "the search to be over")


async def test_a_version_that_waits_to_be_compiled_again_goes_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FIRST_BUDGET_S, 0.0)
    package = put(tmp_path, "iris", "1", IRIS)
    put(tmp_path, "other", "1", ONE)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: system.registry.reached, "the models to be ready")
        servable = system.registry.servable("iris", None)
        await until(lambda: servable.form.retry_at is not None, "compiling to run out of time")
        assert loads() >= 1
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "iris")[0] is None, "the version to be gone")
        other = system.registry.servable("other", None)
        await until(lambda: other.report is not None, "the other search to end")
        await until(lambda: loads() == (other.form.retry_at is not None), "nobody to wait for the one that went")
