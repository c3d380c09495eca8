"""How far counts lie from a baseline: what holds for any counts."""

from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.drift.divergence import MIN_ROWS, THRESHOLD, Divergence, divergences

Counts: TypeAlias = tuple[list[int], list[int], list[int]]


def pairs(least: int) -> st.SearchStrategy[Counts]:
    """A baseline and two windows, of as many bins."""
    return st.integers(2, 23).flatmap(
        lambda bins: st.tuples(
            *[
                st.lists(st.integers(least, 5000), min_size=bins, max_size=bins).filter(
                    lambda counts: sum(counts) >= MIN_ROWS
                )
            ]
            * 3
        )
    )


def known(baseline: list[int], window: list[int]) -> Divergence:
    (found,) = divergences([(baseline, window)])
    assert found is not None
    return found


@given(pairs(0))
def test_it_is_finite_and_bounded_for_any_counts(counts: Counts) -> None:
    found = known(counts[0], counts[1])
    assert np.isfinite(found.psi)
    assert found.psi >= 0
    assert 0 <= found.js <= 1 + 1e-9
    assert found.noise > 0


@given(pairs(20))
def test_the_mean_over_pods_is_never_below_that_of_all_their_rows(counts: Counts) -> None:
    baseline, one, other = counts
    both = [a + b for a, b in zip(one, other, strict=True)]
    mean = sum(known(baseline, each).psi * (sum(each) + 1) for each in (one, other)) / (sum(both) + 2)
    assert mean >= 0.97 * known(baseline, both).psi - 0.05  # each leans on the baseline with one row of its own


@given(pairs(0).map(lambda counts: counts[0]), st.integers(1, 9))
def test_the_same_shares_do_not_drift(baseline: list[int], times: int) -> None:
    found = known(baseline, [count * times for count in baseline])
    assert found.psi < 0.05
    assert not found.drifted


def test_a_shift_that_can_be_computed_by_hand() -> None:
    found = known([5000, 5000], [9000, 1000])
    assert found.psi == pytest.approx(0.4 * np.log(9), rel=1e-2)
    middle = np.array([0.7, 0.3])
    mean = sum((side * np.log2(side / middle)).sum() for side in (np.array([0.9, 0.1]), np.array([0.5, 0.5]))) / 2
    assert found.js == pytest.approx(np.sqrt(mean), rel=1e-2)
    assert found.drifted


def test_little_is_said_of_few_rows() -> None:
    assert divergences([([500, 500], [MIN_ROWS - 1, 0]), ([0, 0], [MIN_ROWS, 0])]) == [None, None]
    few = known([10] * 10, [24, 16] * 5)  # a training set of a hundred rows says little of ten bins
    many = known([1000] * 10, [2400, 1600] * 5)
    assert few.noise > THRESHOLD > many.noise


def test_bins_that_both_sides_leave_empty_say_nothing() -> None:
    assert known([50_000, 50_000, 0, 0, 0], [100, 100, 0, 0, 0]).psi < 0.001


@given(st.lists(pairs(0), max_size=5))
def test_columns_of_a_version_say_nothing_of_each_other(columns: list[Counts]) -> None:
    together = divergences([(baseline, window) for baseline, window, _ in columns])
    assert together == [pytest.approx(known(baseline, window)) for baseline, window, _ in columns]
