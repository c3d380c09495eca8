"""The verdict: worse, no worse, or cannot tell; and how often equal versions are called worse."""

import numpy as np
import pytest
from model_manager.errors import PackageRefused
from model_manager.evaluation import paired
from model_manager.evaluation.comparison import Comparison, Limits, compare
from model_manager.evaluation.comparison_latency import Latency, Timing, measure
from model_manager.evaluation.comparison_pairs import Answered, Pairs, calibration, counts, disagreements
from model_manager.signature import Array


def _labels(codes: Array) -> Array:
    return np.where(codes == 1, "yes", "no").astype(object)


def _pairs(rows: int, only_a: int, only_b: int, *, truth: bool = True) -> Pairs:
    """Rows of which so many are right in A's answers alone, and in B's; half of the others by both, half by neither."""
    codes = np.arange(rows) % 2
    a, b = codes.copy(), codes.copy()
    b[:only_a] ^= 1
    a[only_a : only_a + only_b] ^= 1
    both_wrong = slice(only_a + only_b, (only_a + only_b + rows) // 2)
    a[both_wrong] ^= 1
    b[both_wrong] ^= 1
    return Pairs(
        "classification",
        Answered(_labels(a)),
        Answered(_labels(b)),
        _labels(codes) if truth else None,
        np.arange(rows),
        ("no", "yes"),
    )


def _outcomes(comparison: Comparison) -> dict[str, str]:
    return {check.name: check.outcome for check in comparison.checks}


def test_what_is_worse_beyond_chance_and_beyond_the_margin_is_worse() -> None:
    comparison = compare(_pairs(100, 20, 2), Limits())
    assert comparison.verdict == "worse"
    assert _outcomes(comparison) == {"accuracy": "worse", "balanced_accuracy": "worse"}
    assert "18.0 points lower, not by chance (p = 0.0001)" in comparison.checks[0].why


def test_a_difference_within_the_margin_is_no_worse_however_sure() -> None:
    pairs = _pairs(1000, 8, 0)
    assert compare(pairs, Limits(max_drop=0.0)).verdict == "worse"
    allowed = compare(pairs, Limits(max_drop=0.01))
    assert allowed.verdict == "no worse"
    assert "not ruled out" in allowed.checks[0].why


def test_what_chance_may_explain_is_left_open_with_the_rows_that_would_tell() -> None:
    comparison = compare(_pairs(100, 8, 3), Limits())
    assert comparison.verdict == "cannot tell"
    assert "which may be chance (p = 0.23); if it stays, about 350 rows would tell" in comparison.checks[0].why
    more = compare(_pairs(400, 32, 12), Limits())
    assert more.verdict == "worse"


def test_better_is_no_worse() -> None:
    comparison = compare(_pairs(100, 2, 20), Limits())
    assert comparison.verdict == "no worse"
    assert comparison.checks[0].why == "18.0 points higher"


def test_few_rows_are_enough_for_worse_alone() -> None:
    assert compare(_pairs(20, 0, 0), Limits(min_rows=30)).verdict == "cannot tell"
    assert compare(_pairs(20, 0, 0), Limits(min_rows=20)).verdict == "no worse"
    assert compare(_pairs(20, 12, 0), Limits(min_rows=30)).verdict == "worse"


def test_a_version_that_misses_every_rare_label_is_worse_though_its_accuracy_is_not() -> None:
    codes = (np.arange(2000) < 20).astype(np.int64)
    a = codes.copy()
    a[:6] = 0
    a[-14:] = 1  # as many mistakes as B makes
    pairs = Pairs(
        "classification",
        Answered(_labels(a)),
        Answered(_labels(np.zeros(2000))),
        _labels(codes),
        np.arange(2000),
        ("no", "yes"),
    )
    assert _outcomes(compare(pairs, Limits())) == {"accuracy": "ok", "balanced_accuracy": "worse"}


def test_without_a_truth_only_two_that_agree_on_every_row_are_no_worse() -> None:
    agree = compare(_pairs(50, 0, 0, truth=False), Limits())
    assert (agree.verdict, agree.figures) == ("no worse", ())
    differ = compare(_pairs(50, 0, 1, truth=False), Limits())
    assert differ.verdict == "cannot tell"
    assert differ.checks[0].why == "other answers to 1 of 50 rows (2.0%)"


def test_equal_versions_are_called_worse_once_in_forty_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 200)  # of which the verdict knows nothing
    random = np.random.default_rng(3)
    runs, rows = 60, 200
    worse = {"labels": 0, "numbers": 0}
    for _ in range(runs):
        codes = (random.random(rows) < 0.25).astype(np.int64)
        a, b = (_labels(np.where(random.random(rows) < 0.8, codes, 1 - codes)) for _ in range(2))
        pairs = Pairs("classification", Answered(a), Answered(b), _labels(codes), np.arange(rows), ("no", "yes"))
        worse["labels"] += compare(pairs, Limits(max_drop=0)).verdict == "worse"
        errors = random.normal(size=(2, 40))
        numbers = Pairs("regression", Answered(errors[0]), Answered(errors[1]), np.zeros(40), np.arange(40))
        worse["numbers"] += compare(numbers, Limits(max_drop=0)).verdict == "worse"
    assert all(count <= 0.086 * runs for count in worse.values()), worse  # 2.5% and three standard errors
    assert any(worse.values())


def test_numbers_are_judged_by_the_share_of_the_error() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(100, 10, 300)
    a = truth + random.normal(0, 5, 300)
    pairs = Pairs("regression", Answered(a), Answered(truth + (a - truth) * 1.2), truth, np.arange(300))
    comparison = compare(pairs, Limits())
    (check,) = comparison.checks
    assert (check.name, check.outcome, comparison.verdict) == ("rmse", "worse", "worse")
    assert check.value == pytest.approx(0.2)
    assert check.why.startswith("20.0% higher, not by chance")
    assert compare(pairs, Limits(max_drop=0.25)).verdict == "no worse"


def test_rounding_is_no_difference() -> None:
    truth = np.arange(40.0)
    pairs = Pairs("regression", Answered(truth.copy()), Answered(truth * (1 + 1e-15)), truth, np.arange(40))
    assert compare(pairs, Limits(max_drop=0)).verdict == "no worse"
    assert counts(pairs)["differ"] == 0
    codes = np.arange(60) % 2
    given = np.where(codes, 0.7, 0.3)
    a, b = (Answered(_labels(codes), np.stack([1 - one, one], 1)) for one in (given, given + 1e-15))
    labelled = Pairs("classification", a, b, _labels(1 - codes), np.arange(60), ("no", "yes"))
    figures = {figure.name: figure for figure in compare(labelled, Limits()).figures}
    assert figures["brier"].p_value == figures["log_loss"].p_value == 1


def test_other_metrics_judge_where_they_are_named() -> None:
    pairs = _pairs(100, 20, 2)
    assert _outcomes(compare(pairs, Limits(metrics=("f1_macro",)))) == {"f1_macro": "worse"}
    with pytest.raises(PackageRefused, match=r"'log_loss' cannot be told .* there are accuracy, balanced_accuracy"):
        compare(pairs, Limits(metrics=("log_loss",)))


def _latency(one: float, every: float, *, comparable: bool = True) -> Latency:
    """B takes so many times as long as A in every round."""
    durations = np.linspace(0.001, 0.002, 20)
    return Latency(Timing(durations, durations * one), Timing(durations, durations * every), 100, comparable)


def test_slower_is_worse_only_where_a_limit_is_given() -> None:
    pairs = _pairs(100, 0, 0)
    slow = _latency(1.1, 3.0)
    assert compare(pairs, Limits(), slow).verdict == "no worse"
    comparison = compare(pairs, Limits(max_slowdown=2), slow)
    assert comparison.verdict == "worse"
    assert _outcomes(comparison)["latency of 1 row"] == "ok"
    assert _outcomes(comparison)["latency of all rows"] == "worse"
    assert compare(pairs, Limits(max_slowdown=4), slow).verdict == "no worse"


def test_latency_here_and_over_a_network_is_not_judged() -> None:
    comparison = compare(_pairs(100, 0, 0), Limits(max_slowdown=2), _latency(9, 9, comparable=False))
    assert (comparison.verdict, _outcomes(comparison)["latency"]) == ("cannot tell", "unknown")


def test_sides_are_timed_in_turns() -> None:
    asked: list[tuple[str, int, int]] = []

    def side(name: str) -> object:
        return lambda start, end: asked.append((name, start, end))

    latency = measure(side("A"), side("B"), rows=3, comparable=True)  # type: ignore[arg-type]
    assert asked[2:10] == [
        ("A", 0, 1),
        ("B", 0, 1),
        ("B", 1, 2),
        ("A", 1, 2),
        ("A", 2, 3),
        ("B", 2, 3),
        ("B", 0, 1),
        ("A", 0, 1),
    ]
    assert asked[-2:] == [("B", 0, 3), ("A", 0, 3)]
    assert len(latency.one.a) == len(latency.one.b) == 200


def test_disagreements_begin_with_what_speaks_for_one_side() -> None:
    pairs = _pairs(12, 2, 3)
    assert disagreements(pairs).tolist() == [0, 1, 2, 3, 4]
    told = counts(pairs)
    assert told["agree"] + told["differ"] == 12
    assert (told["only_a_right"], told["only_b_right"]) == (2, 3)
    numbers = Pairs(
        "regression",
        Answered(np.array([1.0, 2.0, 3.0, 4.0])),
        Answered(np.array([1.0, 2.5, 9.0, 4.0 + 1e-12])),
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.arange(4),
    )
    assert disagreements(numbers).tolist() == [2, 1]
    assert counts(numbers) == {"agree": 2, "differ": 2, "a_nearer": 2, "b_nearer": 0}


def test_calibration_tells_what_came_true() -> None:
    probabilities = np.array([[0.95, 0.05], [0.55, 0.45], [0.55, 0.45], [0.0, 1.0]])
    truth = _labels(np.array([0, 1, 0, 1]))
    side = Answered(_labels(np.array([0, 0, 0, 1])), probabilities)
    bins = calibration(Pairs("classification", side, side, truth, np.arange(4), ("no", "yes")), side)
    assert [(one.low, one.rows, one.came_true) for one in bins] == [(0.0, 1, 0.0), (0.4, 2, 0.5), (0.9, 1, 1.0)]
