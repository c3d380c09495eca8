"""Histograms put together, asked for quantiles, and held against each other."""

import math
from bisect import bisect_right
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.rollout.distribution import (
    Histogram,
    chance_of_distance,
    kolmogorov_smirnov,
    merged,
    total_variation,
)
from scipy.stats import ks_2samp, kstwobign

BOUNDS = st.lists(st.integers(-20, 20), min_size=1, max_size=6, unique=True).map(sorted)
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500), min_size=1)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    bounds = draw(BOUNDS)
    counts = draw(st.lists(st.integers(0, 100), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    *cumulative, total = accumulate(counts)
    return Histogram(tuple(bounds), tuple(cumulative), total)


FILLED = histograms().filter(lambda histogram: histogram.total > 0)


def observed(values: list[float], bounds: list[float]) -> Histogram:
    ordered = sorted(values)
    return Histogram(tuple(bounds), tuple(bisect_right(ordered, bound) for bound in bounds), len(values))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-1.0, (0, 2)), (0.0, (2, 2)), (5.0, (5, 5)), (10.0, (8, 8)), (11.0, (8, 9))],
    ids=["below the bounds", "first bound", "between bounds", "last bound", "beyond the bounds"],
)
def test_what_is_at_most_a_value_is_known_between_the_bounds(value: float, expected: tuple[float, float]) -> None:
    assert Histogram((0.0, 10.0), (2, 8), 9).at_most(value) == expected


@pytest.mark.parametrize(
    ("histogram", "q", "expected"),
    [
        (Histogram((1.0, 2.0, 4.0), (0, 50, 100), 100), 0.5, 2.0),
        (Histogram((1.0, 2.0, 4.0), (0, 50, 100), 100), 0.75, 3.0),
        (Histogram((1.0, 2.0), (100, 100), 100), 0.5, 0.5),
        (Histogram((-3.0, 2.0), (100, 100), 100), 0.5, -3.0),
        (Histogram((1.0,), (10,), 100), 0.5, math.inf),
        (Histogram((), (), 100), 0.5, math.inf),
    ],
    ids=["at a bound", "inside a bucket", "first bucket from zero", "first bucket below zero", "beyond", "no bounds"],
)
def test_quantiles_are_interpolated_as_promql_does(histogram: Histogram, q: float, expected: float) -> None:
    assert histogram.quantile(q) == expected


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(Histogram().quantile(0.5))
    assert math.isnan(Histogram((1.0,), (0,), 0).quantile(0.5))


@given(st.lists(histograms(), max_size=4))
def test_a_merged_histogram_says_no_more_than_its_parts_know(parts: list[Histogram]) -> None:
    whole = merged(parts)
    assert whole.total == sum(part.total for part in parts)
    for bound, count in zip(whole.bounds, whole.cumulative, strict=True):
        known = [part.at_most(bound) for part in parts if part.total]
        assert count == pytest.approx(sum(least for least, _ in known))
        assert count == pytest.approx(sum(most for _, most in known))


@given(histograms(), st.integers(1, 4))
def test_merging_the_same_bounds_adds_up(histogram: Histogram, times: int) -> None:
    whole = merged([histogram] * times)
    if histogram.total:
        assert whole.bounds == histogram.bounds
        assert whole.cumulative == pytest.approx([times * count for count in histogram.cumulative])


@given(COUNTS, COUNTS)
def test_total_variation_is_a_distance_of_shares(one: dict[str, int], other: dict[str, int]) -> None:
    apart = total_variation(one, other)
    assert 0 <= apart.value <= 1 + 1e-12
    assert 0 < apart.p_value <= 1
    assert apart.value == pytest.approx(total_variation(other, one).value)
    assert total_variation(one, {label: 3 * count for label, count in one.items()}).value == pytest.approx(0)
    assert total_variation(one, {label.upper(): count for label, count in other.items()}).value == pytest.approx(1)


def test_few_values_of_many_labels_are_apart_by_chance() -> None:
    random = np.random.default_rng(3)
    shares = np.full(50, 1 / 50)
    one, other = (dict(enumerate(random.multinomial(100, shares).tolist())) for _ in range(2))
    apart = total_variation({str(k): v for k, v in one.items()}, {str(k): v for k, v in other.items()})
    assert apart.value > 0.2
    assert apart.p_value > 0.01


def test_labels_that_moved_are_not_apart_by_chance() -> None:
    apart = total_variation({"a": 900, "b": 100}, {"a": 60, "b": 40})
    assert apart.value == pytest.approx(0.3)
    assert apart.p_value == 0.0001


@given(FILLED, FILLED)
def test_kolmogorov_smirnov_is_symmetric_and_none_of_itself(one: Histogram, other: Histogram) -> None:
    apart, back = kolmogorov_smirnov(one, other), kolmogorov_smirnov(other, one)
    assert 0 <= apart.value <= 1
    assert (apart.value, apart.p_value) == pytest.approx((back.value, back.p_value))
    assert kolmogorov_smirnov(one, one).value == 0


@given(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60),
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60),
    BOUNDS,
)
def test_with_the_same_bounds_it_never_exceeds_the_distance_of_the_values(
    one: list[float], other: list[float], bounds: list[float]
) -> None:
    apart = kolmogorov_smirnov(observed(one, bounds), observed(other, bounds))
    shares = [
        abs(sum(value <= at for value in one) / len(one) - sum(value <= at for value in other) / len(other))
        for at in {*one, *other}
    ]
    assert apart.value <= max(shares) + 1e-12


def test_the_same_values_in_different_buckets_are_close() -> None:
    values = np.random.default_rng(4).normal(100, 20, 5000).tolist()
    deciles, others = np.quantile(values, np.linspace(0.1, 0.9, 9)).tolist(), [60.0, 75.0, 90.0, 105.0, 120.0, 140.0]
    assert kolmogorov_smirnov(observed(values, deciles), observed(values, others)).value < 0.05


def test_statistic_and_chance_are_those_of_scipy_where_every_value_has_a_bucket() -> None:
    random = np.random.default_rng(5)
    one, other = random.integers(0, 50, 4000).astype(float), random.integers(2, 52, 900).astype(float)
    bounds = [float(bound) for bound in range(-1, 53)]
    apart, theirs = (
        kolmogorov_smirnov(observed(one.tolist(), bounds), observed(other.tolist(), bounds)),
        ks_2samp(one, other, method="asymp"),
    )
    assert apart.value == pytest.approx(theirs.statistic)
    assert apart.p_value == pytest.approx(theirs.pvalue, rel=0.2)  # theirs is of finite samples


def test_values_beyond_the_other_sides_buckets_are_as_far_as_they_can_be() -> None:
    near, far = observed([1.0] * 50, [0.0, 2.0]), observed([101.0] * 50, [100.0, 102.0])
    apart = kolmogorov_smirnov(near, far)
    assert apart.value == 1
    assert apart.p_value < 1e-9


def test_what_the_buckets_cannot_tell_apart_is_not_said_to_be_apart() -> None:
    assert kolmogorov_smirnov(observed([1.0] * 50, [0.0]), observed([101.0] * 50, [100.0])).value == 0


@given(st.floats(0, 20))
def test_the_chance_of_a_distance_is_kolmogorovs(scaled: float) -> None:
    assert chance_of_distance(scaled) == pytest.approx(float(kstwobign.sf(scaled)), rel=1e-10, abs=1e-12)
