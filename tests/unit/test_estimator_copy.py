"""Copies of estimators that processes share: the same answers, nobody else's arrays, and nothing that saves nothing."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_manager.inference.estimator_copy import NotWorthCopying, copy_of, mapped
from model_manager.inference.estimator_files import LoadedEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS = np.random.default_rng(0).random((20_000, 4))
TARGET = (ROWS[:, 0] > 0.5).astype(int)


class Unwilling:
    """What unpickles, and does not pickle."""

    def __reduce__(self) -> Any:
        raise TypeError("no")


def _mapped(estimator: Any) -> tuple[Any, mmap.mmap]:
    copy = copy_of(LoadedEstimator(estimator, "written by another"))
    try:
        loaded, memory = mapped(copy)
    finally:
        os.close(copy)
    assert loaded.copied
    assert loaded.library_warning == "written by another"
    return loaded.estimator, memory


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), KNeighborsClassifier(algorithm="kd_tree")),
        KNeighborsRegressor(algorithm="ball_tree"),
        KNeighborsClassifier(algorithm="brute"),
    ],
    ids=["kd-tree", "ball-tree", "brute"],
)
def test_a_copy_answers_as_the_estimator_does(estimator: Any) -> None:
    estimator.fit(ROWS, TARGET)
    copied, _ = _mapped(estimator)
    np.testing.assert_array_equal(copied.predict(ROWS[:50]), estimator.predict(ROWS[:50]))


def test_arrays_are_slices_of_the_mapping_aligned_writable_and_nobody_elses() -> None:
    fitted = KNeighborsRegressor(algorithm="brute").fit(ROWS, TARGET)
    copy = copy_of(LoadedEstimator(fitted, None))
    (one, memory), (other, _) = mapped(copy), mapped(copy)
    array, same = one.estimator._fit_X, other.estimator._fit_X
    whole = np.frombuffer(memory, np.uint8)
    assert np.shares_memory(array, whole)
    assert array.ctypes.data % 64 == 0
    array[0, 0] = 7.0  # an estimator that writes to what it was fitted with
    assert same[0, 0] == ROWS[0, 0] == fitted._fit_X[0, 0]
    with pytest.raises(PermissionError):
        os.pwrite(copy, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(copy, 0)
    os.close(copy)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (Ridge().fit(ROWS, TARGET), "bytes of it are arrays"),
        (RandomForestClassifier(20, random_state=0).fit(ROWS, TARGET), "bytes of it are arrays"),
        (Unwilling(), "does not pickle: TypeError"),
    ],
    ids=["small", "trees, which copy", "unwilling"],
)
def test_what_saves_nothing_or_cannot_be_copied_is_not(estimator: Any, reason: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotWorthCopying, match=reason):
        copy_of(LoadedEstimator(estimator, None))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_mapping_goes_with_the_last_array() -> None:
    copied, memory = _mapped(KNeighborsRegressor(algorithm="brute").fit(ROWS, TARGET))
    maps = Path("/proc/self/maps")
    del memory
    assert "/memfd:model" in maps.read_text(encoding="utf-8")
    copied.predict(ROWS[:5])
    del copied
    assert "/memfd:model" not in maps.read_text(encoding="utf-8")
