"""server/model_manager/packaging/baseline.py: histograms that say enough of a distribution, and nothing of a person."""

from typing import Any

import numpy as np
import pytest
from model_manager.drift import histogram
from model_manager.signature import Array


def objects(*values: Any) -> Array:
    return np.array(values, dtype=object)


def test_numbers_are_counted_by_decile() -> None:
    counted = histogram(np.arange(1000.0))
    assert counted is not None
    assert counted.edges is not None
    assert len(counted.edges) == 11
    assert counted.counts == [100] * 10


def test_repeated_deciles_fall_together_and_gaps_are_counted_apart() -> None:
    counted = histogram(np.array([0.0] * 90 + [1.0] * 10 + [np.nan, np.inf]))
    assert counted is not None
    assert counted.edges == pytest.approx([0.0, 0.1, 1.0])
    assert (sum(counted.counts), counted.missing) == (100, 2)


def test_a_constant_has_one_bin() -> None:
    counted = histogram(np.full(5, 3.0))
    assert counted is not None
    assert (counted.edges, counted.counts) == ([2.5, 3.5], [5])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([2, 1, 2]), ([2, 1], [2, 1])),
        (np.array([True, False, True]), ([True, False], [2, 1])),
        (objects(*"b" * 6, *"a" * 6, "rare", np.nan, None), (["a", "b"], [6, 6])),
    ],
)
def test_few_values_are_counted_one_by_one(values: Array, expected: tuple[list[Any], list[int]]) -> None:
    counted = histogram(values)
    assert counted is not None
    assert (counted.values, counted.counts) == expected
    assert counted.missing == (2 if values.dtype == object else 0)


def test_many_integers_are_counted_by_decile() -> None:
    counted = histogram(np.arange(100))
    assert counted is not None
    assert counted.values is None
    assert sum(counted.counts) == 100


@pytest.mark.parametrize("values", [objects("one", "two"), np.array([np.nan]), objects(np.nan), np.array([])])
def test_where_there_is_nothing_to_count_there_is_no_histogram(values: Array) -> None:
    assert histogram(values) is None
