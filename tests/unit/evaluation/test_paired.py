"""How far chance explains a difference: known answers, scipy's, and how often equal models are called different."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_manager.evaluation import paired
from model_manager.evaluation.paired import (
    bootstrap_differences,
    chance_of,
    interval_of,
    mcnemar,
    paired_share_interval,
    sign_flip,
)
from model_manager.evaluation.paired_metrics import measures_of_labels, measures_of_numbers
from scipy import stats

_SEEDS = st.integers(0, 10_000)


def test_mcnemar_gives_the_textbook_answers() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 6) == pytest.approx(2 / 2**6)
    assert mcnemar(59, 86) == pytest.approx(0.0307, abs=5e-4)
    assert mcnemar(3, 12) == mcnemar(12, 3) == pytest.approx(0.0352, abs=1e-4)


@pytest.mark.parametrize(("lost", "gained"), [(0.05, 0.05), (0.1, 0.02), (0.3, 0.2), (0.0, 0.1)])
@pytest.mark.parametrize("rows", [30, 100])
def test_the_interval_of_shares_holds_the_true_difference_as_often_as_it_says(
    rows: int, lost: float, gained: float
) -> None:
    """Exactly: over everything that can happen, by how likely it is."""
    within = 0.0
    for only_a in range(rows + 1):
        likely = stats.binom.pmf(only_a, rows, lost)
        if likely < 1e-9:
            continue
        only_b = np.arange(rows - only_a + 1)
        chances = stats.binom.pmf(only_b, rows - only_a, gained / (1 - lost))
        for count in np.flatnonzero(chances > 1e-9):
            low, high = paired_share_interval(only_a, int(count), rows)
            within += likely * chances[count] * (low <= gained - lost <= high)
    assert 0.935 < within < 0.999


def test_two_that_agree_on_every_row_are_not_sure_to_be_equal() -> None:
    low, high = paired_share_interval(0, 0, 100)
    assert -0.03 < low < 0 < high < 0.03


@given(_SEEDS, st.integers(15, 40))
def test_signs_of_one_size_are_mcnemar(seed: int, rows: int) -> None:
    signs = np.random.default_rng(seed).integers(-1, 2, rows) * 0.2
    assert sign_flip(signs) == mcnemar(int((signs < 0).sum()), int((signs > 0).sum()))


@given(_SEEDS)
def test_few_signs_are_looked_at_in_every_way(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, 9)
    assume(abs(differences.mean()) > 0.01)  # near zero scipy takes rounding for a difference
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip(np.r_[differences, np.zeros(5)]) == pytest.approx(float(expected.pvalue))


def test_drawn_and_normal_chances_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, 400)
    drawn = sign_flip(differences)
    monkeypatch.setattr(paired, "_MOST_SIGNED_ROWS", 10)
    normal = sign_flip(differences)
    assert 0.01 < normal < 0.5
    assert drawn == pytest.approx(normal, abs=0.02)


def _interval_and_chance(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[tuple[float, float], float]:
    name = "mae"
    pair = measures_of_numbers(truth, a)[name], measures_of_numbers(truth, b)[name]
    draws = bootstrap_differences({name: pair}, len(truth))[name]
    interval = interval_of(draws)
    assert interval is not None
    return interval, chance_of(draws)


def test_the_bootstrap_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=120)
    a, b = truth + random.normal(size=120), truth + random.normal(0.3, 1, size=120)
    interval, chance = _interval_and_chance(truth, a, b)
    expected = stats.bootstrap(
        (np.abs(b - truth) - np.abs(a - truth),), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert interval == pytest.approx((expected.low, expected.high), abs=0.02)
    assert (chance < 0.05) is (interval[0] > 0 or interval[1] < 0)
    assert _interval_and_chance(truth, a, b) == (interval, chance)  # the same draws in every run


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    within = 0
    for _ in range(100):
        a, b = random.normal(0, 1, (2, 80))
        interval, _ = _interval_and_chance(np.zeros(80), a, b)
        within += interval[0] <= 0 <= interval[1]
    assert 88 <= within <= 99


def test_equal_models_are_called_different_as_seldom_as_is_said() -> None:
    """5% of pairs at the most by each test, and not hardly any either."""
    random = np.random.default_rng(7)
    runs, rows = 200, 120
    called = {"accuracy": 0, "balanced_accuracy": 0, "rmse": 0}
    for _ in range(runs):
        truth = (random.random(rows) < 0.2).astype(np.int64)
        a, b = (np.where(random.random(rows) < 0.8, truth, 1 - truth) for _ in range(2))
        numbers = random.normal(size=(2, 12)) * random.lognormal(size=12)
        pairs = [
            (measures_of_labels(truth, one, 2), measures_of_numbers(np.zeros(12), two))
            for one, two in zip((a, b), numbers, strict=True)
        ]
        for name in called:
            kind = 1 if name == "rmse" else 0
            losses = [pair[kind][name].losses for pair in pairs]
            assert losses[0] is not None
            called[name] += sign_flip(losses[0] - losses[1]) < 0.05
    for name, count in called.items():
        assert 0.01 * runs < count < 0.097 * runs, (name, count)  # 5% and three standard errors


def test_a_draw_without_a_class_leaves_no_value() -> None:
    draws = np.array([np.nan] * 10 + [0.1] * 90)
    assert interval_of(draws) is None
    assert interval_of(draws[9:]) == pytest.approx((0.1, 0.1))
    assert chance_of(np.full(100, 0.1)) == pytest.approx(2 / 101)
