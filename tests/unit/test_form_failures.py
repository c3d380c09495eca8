"""server/model_manager/serving/form_failures.py: a form that fails while it serves is told of, and never in the way."""

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.fastest import MAX_FAILURES
from model_manager.metrics.catalogue.versions import FORM_FAILURES, PREDICTOR_FORM
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.settings import Settings
from model_manager.signature import Rows
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from tests.models import dump, put
from tools.patience import until

ORDINARY = Rows((np.array([[6.0, 2.8, 4.8, 1.6]]),))
TOO_WIDE = Rows((np.zeros((1, 7)),))
"""No decoder lets it through; ONNX Runtime raises for it, and scikit-learn too."""


async def ask(servable: Servable, rows: Rows) -> None:
    batcher = servable.batcher
    await batcher.submit(rows, ("predict",), batcher.now() + 10)


async def series(system: System, servable: Servable, name: str) -> dict[tuple[str, ...], float]:
    (family,) = [family for family in await system.current_metrics() if family.description.name == name]
    return {one.labels[2:]: one.value for one in family.series if one.labels[:2] == tuple(servable.id)}


async def test_a_form_that_fails_is_counted_named_once_and_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    X, y = load_iris(return_X_y=True)
    put(tmp_path, "forest", "1", dump(RandomForestClassifier(3, random_state=0).fit(X, y)))
    system = await asyncio.to_thread(lambda: System(Settings(models=tmp_path)))
    async with system.running():
        await until(lambda: not system.registry.waiting_for(), "the model to be ready")
        servable = system.registry.servable("forest", None)
        await until(lambda: servable.report is not None, "the search to end")
        assert servable.form.properties()["form"] == "onnx-trees"
        await ask(servable, ORDINARY)
        assert await series(system, servable, FORM_FAILURES.name) == {("onnx-trees",): 0}

        for _ in range(MAX_FAILURES):
            with pytest.raises(PredictionFailed, match="predict raised ValueError"):
                await ask(servable, TOO_WIDE)
        await ask(servable, ORDINARY)

        failures = await series(system, servable, FORM_FAILURES.name)
        assert failures == {("onnx-trees",): MAX_FAILURES}
        assert await series(system, servable, PREDICTOR_FORM.name) == {("sklearn",): 1}
        assert servable.form.properties()["form"] == "sklearn"
        assert servable.form.properties()["failures_onnx-trees"] == str(MAX_FAILURES)
    told = [record.getMessage() for record in caplog.records if "its form" in record.getMessage()]
    assert [record.levelno for record in caplog.records if "its form" in record.getMessage()] == [logging.WARNING] * 2
    assert told[0].startswith("forest/1: its form onnx-trees failed, another answered: InvalidArgument")
    assert told[1].startswith(f"forest/1: its form onnx-trees failed {MAX_FAILURES} times and is not used any more: ")
