"""Labels of both sides → checks: what is worse, what is chance, and how many labelled rows it takes to know."""

from typing import Any

import numpy as np
import pytest
from model_manager.rollout.comparison import Comparison, Limits, Side, compare
from model_manager.rollout.distribution import Histogram
from model_manager.rollout.live import Live

LIMITS = Limits(min_requests=100, max_error_increase=0.001, max_p99_ratio=1.5, max_distance=0.2, fail_on_distance=False)
BOUNDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
ENOUGH = {"200": 10_000}


def classes(right: int, wrong: int, **more: Any) -> Live:
    return Live(mature=2 * (right + wrong), right=right, wrong=wrong, **more)


def numbers(values: Any) -> Live:
    ordered = np.sort(np.abs(values))
    cumulative = tuple(float(one) for one in np.searchsorted(ordered, BOUNDS, side="right"))
    off = Histogram(BOUNDS, cumulative, float(len(ordered)))
    return Live(mature=len(ordered), off=off, absolute=float(ordered.sum()))


def compared(stable: Live, canary: Live, limits: Limits = LIMITS, requests: dict[str, int] = ENOUGH) -> Comparison:
    return compare(Side("stable", requests=ENOUGH, live=stable), Side("canary", requests=requests, live=canary), limits)


def check(comparison: Comparison, name: str) -> tuple[str, str]:
    (found,) = [one for one in comparison.checks if one.name == name]
    return found.outcome, found.why


def test_where_no_labels_come_nothing_is_said_of_them() -> None:
    found = compared(Live(), Live())
    assert {one.name for one in found.checks} == {"errors", "latency", "predictions"}
    assert found.verdict == "no worse"


@pytest.mark.parametrize(
    ("stable", "canary", "outcome", "verdict", "why"),
    [
        (classes(950, 50), classes(470, 30), "ok", "no worse", "may be chance"),
        (classes(9500, 500), classes(880, 120), "worse", "worse", "88.00% right, 95.00% of stable's"),
        (classes(9500, 500), classes(990, 10), "ok", "no worse", "99.00% right"),
        (classes(95_000, 5000), classes(94_500, 5500), "ok", "no worse", "94.50% right"),
        (classes(9500, 500), classes(20, 30), "worse", "worse", "not by chance"),
        (classes(9500, 500), classes(48, 2), "unknown", "not enough data", "canary has 50 of the 100 labels needed"),
        (classes(9500, 500), Live(mature=70), "unknown", "not enough data", "no answer of canary has a label"),
        (Live(), classes(95, 5), "unknown", "not enough data", "no answer of stable has a label"),
    ],
    ids=[
        "chance", "worse", "better", "too small to matter", "few but clear", "few", "none of canary", "none of stable",
    ],
)  # fmt: skip
def test_a_canary_is_worse_when_it_is_less_often_right_than_allowed_and_not_by_chance(
    stable: Live, canary: Live, outcome: str, verdict: str, why: str
) -> None:
    found = compared(stable, canary)
    said = check(found, "accuracy")
    assert (said[0], found.verdict) == (outcome, verdict)
    assert why in said[1]


def test_wrong_answers_count_however_few_requests_there_were() -> None:
    found = compared(classes(9500, 500), classes(20, 30), requests={"200": 50})
    assert found.verdict == "worse"


def test_limits_are_those_that_were_given() -> None:
    stable, canary = classes(9500, 500), classes(880, 120)
    lenient = Limits(100, 0.001, 1.5, 0.2, False, max_accuracy_drop=0.1)
    assert compared(stable, canary, lenient).verdict == "no worse"
    many = Limits(100, 0.001, 1.5, 0.2, False, min_labels=5000)
    assert compared(stable, classes(950, 50), many).verdict == "not enough data"


def test_numbers_are_compared_by_how_far_they_are_off() -> None:
    random = np.random.default_rng(0)
    stable = numbers(random.normal(0, 5, 5000))
    assert check(compared(stable, numbers(random.normal(0, 5, 500))), "absolute error")[0] == "ok"
    worse = compared(stable, numbers(random.normal(0, 7, 500)))
    assert check(worse, "absolute error")[0] == "worse"
    assert worse.verdict == "worse"
    assert check(compared(stable, numbers(random.normal(0, 2, 500))), "absolute error")[0] == "ok"


def test_answers_of_another_kind_are_not_compared() -> None:
    assert compared(classes(95, 5), numbers(np.ones(200))).verdict == "not enough data"


def test_two_that_are_never_off_are_alike() -> None:
    exact = numbers(np.zeros(200))
    assert check(compared(exact, exact), "absolute error")[0] == "ok"
    assert check(compared(exact, numbers(np.ones(200))), "absolute error")[0] == "worse"


def test_columns_that_drift_on_the_canary_alone_are_named() -> None:
    both = {"feature age": 0.5}
    alone = {**both, "output predict": 0.9, "feature small": 0.3}
    noise = {"feature small": 0.4}
    stable, canary = Live(psi=both), Live(psi=alone, noise=noise)
    found = compared(stable, canary)
    assert check(found, "drift") == ("differs", "output predict: not as in training, as far as PSI 0.90")
    assert found.verdict == "no worse"
    assert compared(stable, canary, Limits(100, 0.001, 1.5, 0.2, False, fail_on_drift=True)).verdict == "worse"
    assert check(compared(stable, Live(psi=both)), "drift")[0] == "ok"


STABLE_ACCURACY, DROP = 0.95, 0.03
EVERY = 100
"""Labelled rows of the canary between two verdicts, of a pipeline that asks again and again."""


def rows_until_worse(seed: int, drop: float, most: int) -> int | None:
    """The labelled rows of a canary with which it is called worse; stable has nineteen times as many."""
    random = np.random.default_rng(seed)
    right = wrong = stable_right = stable_wrong = 0
    for rows in range(EVERY, most + 1, EVERY):
        hits = int(random.binomial(EVERY, STABLE_ACCURACY - drop))
        right, wrong = right + hits, wrong + EVERY - hits
        hits = int(random.binomial(19 * EVERY, STABLE_ACCURACY))
        stable_right, stable_wrong = stable_right + hits, stable_wrong + 19 * EVERY - hits
        if compared(classes(stable_right, stable_wrong), classes(right, wrong)).verdict == "worse":
            return rows
    return None


def test_three_points_less_are_found_before_one_percent_of_250_000_requests_were_answered_wrongly() -> None:
    """Asked after every hundred labels: half of the canaries fall by 700 labelled rows, nine of ten by 1,400."""
    found = [rows_until_worse(seed, DROP, 2500) for seed in range(60)]
    fell = sorted(rows for rows in found if rows is not None)
    assert len(fell) >= 0.9 * len(found), fell
    assert fell[len(found) // 2] <= 1400, fell


def test_a_canary_that_is_as_good_is_seldom_rolled_back_however_often_it_is_asked() -> None:
    assert sum(rows_until_worse(seed, 0.0, 2500) is not None for seed in range(100)) <= 3
