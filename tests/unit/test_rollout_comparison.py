"""Figures of two sides → verdict: every rule of it, and what must hold for any figures."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.rollout.comparison import Comparison, Limits, Side, chance_of_excess, compare
from model_manager.rollout.distribution import Histogram
from scipy.stats import fisher_exact

LIMITS = Limits(min_requests=100, max_error_increase=0.001, max_p99_ratio=1.5, max_distance=0.2, fail_on_distance=False)
BOUNDS = (0.001, 0.002, 0.004, 0.008)


def side(name: str, requests: dict[str, int], **more: Any) -> Side:
    return Side(name, requests=requests, **more)


def seconds(*cumulative: int, total: int) -> Histogram:
    return Histogram(BOUNDS, cumulative, total)


def outcome(comparison: Comparison, name: str) -> tuple[str, str]:
    (check,) = [check for check in comparison.checks if check.name == name]
    return check.outcome, check.why


@pytest.mark.parametrize(
    ("stable", "canary", "expected", "why"),
    [
        ({"200": 9999}, {"200": 1000}, "ok", "0.00% fail, 0.00% of stable's"),
        ({"200": 9990, "500": 10}, {"200": 970, "500": 30}, "worse", "more than 0.1 points apart, not by chance"),
        ({"200": 970, "500": 30}, {"200": 9999}, "ok", "0.00% fail, 3.00% of stable's"),
        ({"200": 9999}, {"200": 199, "500": 1}, "ok", "more than 0.1 points apart, but may be chance"),
        ({"200": 10**7, "500": 10_000}, {"200": 10**7, "500": 14_000}, "ok", "0.14% fail, 0.10% of stable's"),
        ({"200": 9999}, {"200": 900, "400": 900, "499": 90}, "ok", "0.00% fail"),
        ({"200": 9999}, {"200": 900, "503": 20}, "worse", "not by chance (p < 1e-6)"),
    ],
    ids=["none", "many", "fewer", "one unlucky request", "too small to matter", "client faults", "refused"],
)
def test_errors_are_worse_when_they_are_more_than_allowed_and_not_by_chance(
    stable: dict[str, int], canary: dict[str, int], expected: str, why: str
) -> None:
    comparison = compare(side("stable", stable), side("canary", canary), LIMITS)
    said = outcome(comparison, "errors")
    assert said[0] == expected
    assert why in said[1]
    assert comparison.verdict == ("worse" if expected == "worse" else "no worse")


def test_client_faults_do_not_thin_out_errors() -> None:
    comparison = compare(side("stable", {"200": 9999}), side("canary", {"200": 90, "500": 30, "400": 10**6}), LIMITS)
    assert "25.00% fail" in outcome(comparison, "errors")[1]


def test_client_faults_are_no_data() -> None:
    assert compare(side("a", {"200": 999}), side("b", {"200": 90, "400": 999}), LIMITS).verdict == "not enough data"


@pytest.mark.parametrize(
    ("canary", "expected", "why"),
    [
        (seconds(0, 500, 1000, 1000, total=1000), "ok", "p99 ratio 1.00"),
        (seconds(0, 0, 500, 1000, total=1000), "worse", "p99 ratio 2.00: above 1.5, not by chance (p < 1e-6)"),
        (seconds(1000, 1000, 1000, 1000, total=1000), "ok", "p99 ratio 0.25"),
        (seconds(0, 50, 98, 100, total=100), "ok", "but may be chance"),
        (seconds(0, 0, 0, 0, total=1000), "worse", "p99 ratio inf"),
        (Histogram(), "unknown", "no durations"),
    ],
    ids=["as fast", "slower", "faster", "two slow requests", "beyond the buckets", "none"],
)
def test_latency_is_worse_when_the_p99_is_above_the_ratio_and_not_by_chance(
    canary: Histogram, expected: str, why: str
) -> None:
    stable = side("stable", {"200": 10_000}, seconds=seconds(0, 5000, 10_000, 10_000, total=10_000))
    comparison = compare(stable, side("canary", {"200": 1000}, seconds=canary), LIMITS)
    said = outcome(comparison, "latency")
    assert said[0] == expected
    assert why in said[1]


def test_two_sides_beyond_the_last_bucket_cannot_be_compared() -> None:
    beyond = seconds(0, 0, 0, 0, total=1000)
    comparison = compare(
        side("stable", {"200": 1000}, seconds=beyond), side("canary", {"200": 1000}, seconds=beyond), LIMITS
    )
    assert outcome(comparison, "latency")[0] == "unknown"
    assert comparison.verdict == "no worse"


@pytest.mark.parametrize(
    ("stable", "canary", "expected", "why"),
    [
        ({"labels": {"a": 500, "b": 500}}, {"labels": {"a": 51, "b": 49}}, "ok", "total variation distance 0.01"),
        ({"labels": {"a": 500, "b": 500}}, {"labels": {"a": 95, "b": 5}}, "differs", "0.45: above 0.2, not by chance"),
        ({"labels": {"a": 500, "b": 500}}, {"labels": {"a": 3, "b": 1}}, "ok", "0.25: above 0.2, but may be chance"),
        ({"values": seconds(250, 500, 750, 1000, total=1000)}, {"values": seconds(0, 0, 0, 900, total=900)}, "differs",
         "Kolmogorov-Smirnov distance 0.75"),
        ({"labels": {"a": 500}}, {"values": seconds(1, 1, 1, 1, total=1)}, "unknown", "no predictions of one kind"),
        ({}, {}, "unknown", "no predictions of one kind"),
    ],
    ids=["same", "moved", "few", "numbers", "labels and numbers", "none"],
)  # fmt: skip
def test_predictions_may_differ_and_it_is_said(
    stable: dict[str, Any], canary: dict[str, Any], expected: str, why: str
) -> None:
    sides = side("stable", {"200": 1000}, **stable), side("canary", {"200": 1000}, **canary)
    comparison = compare(*sides, LIMITS)
    said = outcome(comparison, "predictions")
    assert said[0] == expected
    assert why in said[1]
    assert comparison.verdict == "no worse"


def test_too_few_requests_leave_everything_open_but_errors_beyond_chance() -> None:
    plenty = side("stable", {"200": 10_000})
    waiting = compare(plenty, side("canary", {"200": 99}), LIMITS)
    assert waiting.verdict == "not enough data"
    assert {check.outcome for check in waiting.checks} == {"unknown"}
    assert "canary has 99 of the 100 requests needed" in waiting.checks[0].why
    assert compare(plenty, side("canary", {"200": 99, "500": 1}), LIMITS).verdict == "no worse"
    assert compare(plenty, side("canary", {"500": 3}), LIMITS).verdict == "worse"
    assert compare(side("stable", {"200": 3}), side("canary", {"500": 1}), LIMITS).verdict == "not enough data"
    both = compare(side("stable", {}), side("canary", {}), LIMITS)
    assert "stable has 0 and canary has 0 of the 100 requests needed" in both.checks[0].why


REQUESTS = st.fixed_dictionaries({code: st.integers(0, 3000) for code in ("200", "400", "499", "500", "503")})


@given(REQUESTS)
def test_a_side_is_never_worse_than_itself(requests: dict[str, int]) -> None:
    assert compare(side("stable", requests), side("canary", requests), LIMITS).verdict != "worse"


@given(REQUESTS, REQUESTS, st.integers(0, 3000), st.integers(0, 3000))
def test_client_faults_never_change_a_verdict(
    stable: dict[str, int], canary: dict[str, int], malformed: int, left: int
) -> None:
    blamed = {**canary, "400": malformed, "499": left}
    verdicts = {compare(side("s", stable), side("c", each), LIMITS).verdict for each in (canary, blamed)}
    assert len(verdicts) == 1


@given(REQUESTS, REQUESTS, st.integers(1, 500))
def test_more_errors_never_make_a_canary_better(stable: dict[str, int], canary: dict[str, int], more: int) -> None:
    before = compare(side("s", stable), side("c", canary), LIMITS).verdict
    after = compare(side("s", stable), side("c", {**canary, "500": canary["500"] + more}), LIMITS).verdict
    assert before != "worse" or after == "worse"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_chance_is_the_hypergeometric_tail(a: int, b: int, c: int, d: int) -> None:
    """Of all ways to deal the events out to the requests: those that give the canary at least as many."""
    stable, canary, events = a + b, c + d, a + c
    ways = [
        math.comb(canary, k) * math.comb(stable, events - k) for k in range(min(canary, events) + 1) if events - k >= 0
    ]
    expected = sum(ways[c:]) / sum(ways) if stable and canary else 1.0
    assert chance_of_excess(a, stable, c, canary) == pytest.approx(expected)


@given(st.integers(0, 2000), st.integers(0, 2000), st.data())
def test_chance_is_fishers(stable_total: int, canary_total: int, data: st.DataObject) -> None:
    stable, canary = (data.draw(st.integers(0, total)) for total in (stable_total, canary_total))
    table = [[canary, canary_total - canary], [stable, stable_total - stable]]
    theirs = float(fisher_exact(table, alternative="greater").pvalue)
    ours = chance_of_excess(stable, stable_total, canary, canary_total)
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-290)


@pytest.mark.parametrize(
    ("stable", "canary"), [((10**6, 10**9), (1_001_000, 10**9)), ((0, 10**7), (40, 10**5)), ((900, 10**6), (1, 10))]
)
def test_chance_is_fishers_among_many(stable: tuple[int, int], canary: tuple[int, int]) -> None:
    table = [[canary[0], canary[1] - canary[0]], [stable[0], stable[1] - stable[0]]]
    theirs = float(fisher_exact(table, alternative="greater").pvalue)
    assert chance_of_excess(*stable, *canary) == pytest.approx(theirs, rel=1e-4)
