"""Which bin a value falls into: whatever a model answers, every row is counted once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.drift import histogram
from model_manager.drift.bins import Bins
from model_manager.repository.metadata import Histogram
from model_manager.signature import Array


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class Raising:
    def __eq__(self, other: object) -> bool:
        raise SystemError("not compared")

    def __hash__(self) -> int:
        raise SystemError("not hashed")


def placed(bins: Bins, values: Array) -> dict[str, int]:
    counts = np.bincount(bins.place(values), minlength=len(bins.names)).tolist()
    return {name: count for name, count in zip(bins.names, counts, strict=True) if count}


def of(values: Array) -> Bins:
    known = histogram(values)
    assert known is not None
    bins = Bins(known, len(values))
    assert bins.is_usable
    return bins


@given(st.lists(st.floats(width=32) | st.just(float("nan")), min_size=2, max_size=200))
def test_training_data_fall_into_the_bins_they_were_counted_in(values: list[float]) -> None:
    array = np.array(values)
    if not np.isfinite(array).any():
        return
    bins = of(array)
    assert np.bincount(bins.place(array), minlength=len(bins.baseline)).tolist() == bins.baseline.tolist()


def test_numbers_below_above_and_missing_have_bins_of_their_own() -> None:
    bins = of(np.arange(100.0))
    found = placed(bins, np.array([-1.0, 0.0, 99.0, 99.5, np.nan, np.inf]))
    assert found == {"below 0": 1, "0 – 9.9": 1, "89.1 – 99": 1, "above 99": 1, "missing": 2}


def test_numbers_that_come_as_objects_are_numbers() -> None:
    values = np.array([1, 2.5, None, "x", Raising()], dtype=object)
    assert placed(of(np.arange(100.0)), values) == {"0 – 9.9": 2, "missing": 3}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b", "c", None, float("nan"), "01234"], {"a": 1, "b": 1, "unseen": 2, "missing": 2}),
        ([Unhashable(), Raising(), ["a"]], {"unseen": 3}),
    ],
)
def test_values_that_were_never_seen_have_a_bin_of_their_own(values: list[Any], expected: dict[str, int]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    assert placed(of(np.array(["a"] * 9 + ["b"] * 9, dtype=object)), array) == expected


def test_values_too_rare_to_be_listed_are_others_and_no_drift() -> None:
    training = np.array(["a"] * 90 + [f"rare {number}" for number in range(10)], dtype=object)
    bins = of(training)
    assert placed(bins, training) == {"a": 90, "others": 10}
    assert bins.baseline.tolist() == [90, 10, 0]


def test_whole_numbers_are_found_whichever_type_holds_them() -> None:
    bins = of(np.array([1, 2, 3] * 10))
    assert placed(bins, np.array([1.0, 2.0, np.nan])) == {"1": 1, "2": 1, "missing": 1}
    assert placed(of(np.array([True, False])), np.array([True, True])) == {"True": 2}


@pytest.mark.parametrize(
    "known",
    [
        Histogram(edges=[1.0, 0.0], counts=[3]),
        Histogram(edges=[0.0, 1.0], counts=[3, 3]),
        Histogram(edges=[0.0], counts=[]),
        Histogram(values=["a"], counts=[1, 2]),
        Histogram(values=["a"], counts=[0]),
        Histogram(counts=[]),
    ],
)
def test_a_baseline_that_makes_no_sense_is_not_used(known: Histogram) -> None:
    assert not Bins(known, 0).is_usable
