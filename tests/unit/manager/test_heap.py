"""A version that was unloaded is gone from memory: at once where nothing of its own holds it, else a moment later."""

import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest
from model_manager.codecs.protocols import codecs_for
from model_manager.errors import PredictionFailed
from model_manager.serving.heap import give_back, watched
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.signature import Column, Layout, Output, Rows, Signature
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

from tests.circular_model import CircularRegressor
from tests.models import dump, iris_classifier, put
from tests.unit.manager.staging import ONE, TWO, is_ready, running, status
from tools.patience import until

X, Y = load_iris(return_X_y=True)


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """Let nothing be collected but by who asks for it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


@asynccontextmanager
async def serving(folder: Path, estimator: Any, **settings: Any) -> AsyncIterator[tuple[System, Path, Servable]]:
    """A system that serves the estimator as m/1, beside another model, its forms found."""
    put(folder, "other", "1", ONE)
    package = put(folder, "m", "1", dump(estimator))
    async with running(folder, **settings) as system:
        await until(lambda: system.registry.reached, "the models to be ready")
        if settings.get("compile") == "auto":
            for model in ("m", "other"):
                await until(partial(is_compiled, system, model), "the search for forms to end")
        yield system, package, system.registry.servable("m", None)


def is_compiled(system: System, model: str) -> bool:
    return system.registry.servable(model, None).report is not None


def estimator_of(servable: Servable) -> Any:
    predictor: Any = servable.predictor
    return getattr(predictor, "_sklearn", predictor).estimator


@pytest.mark.usefixtures("nothing_collected")
@pytest.mark.parametrize(
    ("estimator", "form"),
    [
        (RandomForestClassifier(5, random_state=0), "onnx-trees"),
        (iris_classifier(), "numpy"),
        (GaussianNB(), "onnx"),
        (AdaBoostClassifier(n_estimators=3), "onnx"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else value,
)
@pytest.mark.parametrize("compile", ["auto", "off"])
async def test_a_version_is_freed_by_letting_go_of_it_alone(
    tmp_path: Path, estimator: Any, form: str, compile: str
) -> None:
    async with serving(tmp_path, estimator.fit(X, Y), compile=compile) as (system, package, servable):
        gc.collect(1)
        alive = watched(servable, servable.predictor, servable.batcher, servable.metrics, estimator_of(servable))
        assert len(alive) == 5
        del servable
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "m")[0] is None, "the version to be unloaded")
        await until(lambda: not any(one() is not None for one in alive), "the version to be gone from memory")


@pytest.mark.usefixtures("nothing_collected")
async def test_a_version_that_was_unloaded_while_forms_are_looked_for_is_freed(tmp_path: Path) -> None:
    package = put(tmp_path, "m", "1", dump(RandomForestClassifier(30, random_state=0).fit(X, Y)))
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: is_ready(system, "m"), "the version to be ready")
        put(tmp_path, "other", "1", ONE)
        servable = system.registry.servable("m", None)
        alive = watched(servable, servable.batcher)
        assert servable.report is None
        del servable
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "m")[0] is None, "the version to be unloaded")
        await until(lambda: not any(one() is not None for one in alive), "the version to be gone from memory")


@pytest.mark.parametrize("early", [True, False], ids=["of the first state", "that came later"])
async def test_a_model_that_points_to_itself_is_gone_a_moment_later(tmp_path: Path, early: bool) -> None:
    circular = dump(CircularRegressor(1.0).fit(np.zeros((2, 2)), [0.0, 1.0]))
    first, second = (circular, TWO) if early else (TWO, circular)
    package = put(tmp_path, "m", "1", first)
    async with running(tmp_path) as system:
        await until(lambda: system.registry.reached, "the model to be ready")
        if not early:
            package = put(tmp_path, "m", "2", second)
            await until(lambda: is_ready(system, "m", "2"), "the model to be ready")
        ballast = ref(estimator_of(system.registry.servable("m", package.name)).ballast_)
        if early:
            put(tmp_path, "m", "2", second)
            await until(lambda: is_ready(system, "m", "2"), "the other model to be ready")
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "m", package.name)[0] is None, "the version to be unloaded")
        await until(lambda: ballast() is None, "the model to be gone from memory")


async def test_a_request_that_failed_holds_no_version_for_long(tmp_path: Path) -> None:
    async with serving(tmp_path, RandomForestClassifier(5).fit(X, Y), compile="auto") as (system, package, servable):
        too_wide = Rows((np.zeros((1, 7)),))
        with pytest.raises(PredictionFailed):
            await servable.batcher.submit(too_wide, ("predict",), servable.batcher.now() + 10)
        alive = watched(servable, estimator_of(servable))
        del servable
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "m")[0] is None, "the version to be unloaded")
        await until(lambda: not any(one() is not None for one in alive), "the version to be gone from memory")


@pytest.mark.parametrize("layout", [Layout.ARRAY, Layout.FRAME])
def test_the_codecs_of_versions_with_the_same_inputs_leave_nothing_behind(layout: Layout) -> None:
    columns = (Column("age", "FP64", nullable=True), Column("plan", "BYTES" if layout is Layout.FRAME else "FP64"))
    signature = Signature(layout, columns, named=True, outputs=(Output("predict", "FP64", (-1,)),))
    first = codecs_for(signature, max_rows=10, model="m", version="1")
    gc.collect()
    gc.disable()
    try:
        codecs_for(signature, max_rows=10, model="m", version="2")
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert first


def test_no_more_is_collected_than_is_needed() -> None:
    collected: list[int] = []
    trims: list[None] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collected.append(info["generation"])

    class Kept:
        """Can be referred to weakly."""

    kept, freed = Kept(), Kept()
    gone = watched(freed)
    del freed
    frozen = gc.get_freeze_count()
    gc.callbacks.append(note)
    try:
        give_back(gone, lambda: trims.append(None))
        assert collected == [1]
        give_back(watched(kept), lambda: trims.append(None))
        assert collected == [1, 1, 2, 2]
    finally:
        gc.callbacks.remove(note)
        if not frozen:
            gc.unfreeze()
    assert len(trims) == 2
    assert watched(1, kept) == (ref(kept),)


_MAPPED = """
import ctypes
import numpy as np
from model_manager.serving.heap import keep_large_arrays_apart

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "fsmblks uordblks fordblks keepcost".split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info
for switch in (lambda: None, keep_large_arrays_apart):
    switch()
    for _ in range(3):
        np.ones(8 << 20, np.uint8)
    before = mallinfo().hblkhd
    held = np.ones(8 << 20, np.uint8)
    print(mallinfo().hblkhd - before >= 8 << 20)
    del held
"""


@pytest.mark.skipif(sys.platform != "linux", reason="is about glibc")
def test_large_arrays_lie_outside_the_heap_however_many_were_freed_before() -> None:
    done = subprocess.run([sys.executable, "-c", _MAPPED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
