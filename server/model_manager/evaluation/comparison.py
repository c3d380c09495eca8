"""The verdict: what A and B answered to the same rows → figures → checks → no worse, worse, or cannot tell.

Pure: no files, no network, no output. B is worse in a metric when it is worse by more than a margin, and chance does
not explain it. A margin alone would fail it for one unlucky row, a test alone for a difference too small to matter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from model_manager.errors import PackageRefused
from model_manager.evaluation.answers import Task
from model_manager.evaluation.comparison_latency import Latency, Timing
from model_manager.evaluation.comparison_pairs import Pairs, measures, rights
from model_manager.evaluation.paired import (
    LEVEL,
    bootstrap_differences,
    chance_of,
    interval_of,
    paired_share_interval,
    sign_flip,
)
from model_manager.evaluation.paired_metrics import HIGHER_IS_BETTER, Measure

SIGNIFICANCE: Final = 1 - LEVEL
"""Chance is ruled out when it explains a difference, for better or worse, in fewer than 5 comparisons of 100.

So two equal versions are called worse in 1 comparison of 40 at the most, however many metrics judge: they share it. Not
the 0.1% of `canary`, which asks every few minutes; and what may be chance is not passed here, but left open.
"""

JUDGED: Final[Mapping[Task, tuple[str, ...]]] = {
    "classification": ("accuracy", "balanced_accuracy"),
    "multiclass": ("accuracy", "balanced_accuracy"),
    "anomaly": ("accuracy", "balanced_accuracy"),
    "regression": ("rmse",),
}
"""What decides unless other metrics are named. The accuracy alone would pass a version that misses a rare label."""

_UNLIMITED: Final = ("r2",)
Outcome = Literal["ok", "worse", "differs", "unknown"]
Verdict = Literal["no worse", "worse", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What decides: by how much B may be worse before it counts, in which metrics, and the rows that are needed.

    `metrics`: those of JUDGED where it is empty. `max_slowdown`: how many times as long as A B may take; None: as long
    as it likes.
    """

    max_drop: float = 0.01
    metrics: tuple[str, ...] = ()
    min_rows: int = 30
    max_slowdown: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of both sides. The interval, which is of LEVEL, is that of `difference`, B less A."""

    name: str
    a: float
    b: float
    interval: tuple[float, float] | None
    p_value: float

    @property
    def difference(self) -> float:
        """B's less A's."""
        return self.b - self.a

    @property
    def higher_is_better(self) -> bool:
        """Whether the greater value is the better one."""
        return HIGHER_IS_BETTER[self.name]

    @property
    def drop(self) -> float:
        """How much worse B is, below zero where it is better: points of a score, a share of A's error."""
        return self._drop(self.difference)

    @property
    def drop_not_ruled_out(self) -> float:
        """How much worse B may be by the interval; NaN where there is none."""
        if self.interval is None:
            return math.nan
        return self._drop(self.interval[0 if self.higher_is_better else 1])

    def _drop(self, difference: float) -> float:
        if self.higher_is_better:
            return -difference
        if self.a > 0:
            return difference / self.a
        return math.inf if difference > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that decides: its outcome in a word, why in a sentence, and the numbers behind it.

    `value` is what `limit` bounds.
    """

    name: str
    outcome: Outcome
    why: str
    value: float | None = None
    limit: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What follows from the answers of both sides, and from how long they took."""

    verdict: Verdict
    figures: tuple[Figure, ...]
    checks: tuple[Check, ...]


def compare(pairs: Pairs, limits: Limits, latency: Latency | None = None) -> Comparison:
    """Compare two sides on the same rows.

    Without a truth there are no metrics, and nothing is known but whether they agree. Fewer than `min_rows` rows are
    too few for "no worse", and enough for a "worse" that chance does not explain. Raises PackageRefused for a metric
    that these two do not have.
    """
    with threadpool_limits(limits=1):  # sums that several threads take differ in their last bits
        figures = _figures(pairs)
    names = limits.metrics or JUDGED[pairs.task] if pairs.truth is not None else ()
    if missing := [name for name in names if name not in {figure.name for figure in figures}]:
        there = ", ".join(figure.name for figure in figures)
        raise PackageRefused(f"metric {missing[0]!r} cannot be told of A and B on these rows; there are {there}")
    timings = _timings(latency) if limits.max_slowdown is not None else {}
    level = SIGNIFICANCE / max(1, len(names) + len(timings))
    checks = [_judged(figure, limits, level, len(pairs)) for figure in figures if figure.name in names]
    if pairs.truth is None:
        checks.append(_agreement(pairs))
    if limits.max_slowdown is not None:
        checks += [_slowdown(what, timing, limits.max_slowdown, level) for what, timing in timings.items()]
    if len(pairs) < limits.min_rows:
        checks.append(Check("rows", "unknown", f"{len(pairs)} of the {limits.min_rows} rows needed"))
    outcomes = {check.outcome for check in checks}
    verdict: Verdict = "worse" if "worse" in outcomes else "no worse" if outcomes <= {"ok"} else "cannot tell"
    return Comparison(verdict, figures, tuple(checks))


def _figures(pairs: Pairs) -> tuple[Figure, ...]:
    if pairs.truth is None:
        return ()
    a, b = measures(pairs)
    rows = len(pairs)
    both = {name: (a[name], b[name]) for name in HIGHER_IS_BETTER if name in a and name in b}
    values = {name: (one.value(rows), other.value(rows)) for name, (one, other) in both.items()}
    known = {name: both[name] for name, found in values.items() if all(map(math.isfinite, found))}
    draws = bootstrap_differences(known, rows)
    figures = []
    for name, pair in known.items():
        interval = paired_share_interval(*_only_right(pairs), rows) if name == "accuracy" else interval_of(draws[name])
        p_value = _chance(pair)
        figures.append(Figure(name, *values[name], interval, chance_of(draws[name]) if p_value is None else p_value))
    return tuple(figures)


def _only_right(pairs: Pairs) -> tuple[int, int]:
    """In how many rows A alone is right, and B alone."""
    a, b = rights(pairs)
    return int((a & ~b).sum()), int((b & ~a).sum())


def _chance(pair: tuple[Measure, Measure]) -> float | None:
    a, b = (measure.losses for measure in pair)
    if a is None or b is None:
        return None
    return sign_flip(np.where(np.isclose(a, b, rtol=1e-9, atol=1e-12), 0, b - a))  # rounding favours nobody


def _judged(figure: Figure, limits: Limits, level: float, rows: int) -> Check:
    """Worse when it is worse by more than the limit and chance does not explain it; open when chance may."""
    drop, limit, p_value = figure.drop, limits.max_drop, figure.p_value
    what = f"{_amount(figure, drop)}"
    outcome: Outcome = "ok"
    if drop <= limit:
        worst = figure.drop_not_ruled_out
        if math.isfinite(worst) and worst > limit:
            what += f"; {_amount(figure, worst)} is not ruled out"
    elif p_value < level:
        outcome, what = "worse", f"{what}, not by chance ({shown_chance(p_value)})"
    else:
        outcome, what = (
            "unknown",
            f"{what}, which may be chance ({shown_chance(p_value)}){_enough(p_value, level, rows)}",
        )
    return Check(figure.name, outcome, what, drop, limit, p_value)


def _amount(figure: Figure, drop: float) -> str:
    """How much worse or better in words: points of a score, per cent of an error."""
    if not drop:
        return "the same"
    higher = (drop < 0) is figure.higher_is_better
    size = abs(drop) * 100
    shown = f"{size:.2g}" if size < 1 else f"{size:.1f}" if size < 1000 else f"{size:.3g}"
    if figure.higher_is_better and figure.name not in _UNLIMITED:
        return f"{shown} points {'higher' if higher else 'lower'}"
    if figure.higher_is_better:
        return f"{abs(drop):.3g} {'higher' if higher else 'lower'}"
    if math.isinf(drop):
        return f"{figure.b:.3g} to A's 0"
    return f"{shown}% {'higher' if higher else 'lower'}"


def _enough(p_value: float, level: float, rows: int) -> str:
    """How many rows would tell, if the difference stayed as it is."""
    distance = float(stats.norm.isf(p_value / 2))
    if distance <= 0.1:
        return ""
    needed = rows * (float(stats.norm.isf(level / 2)) / distance) ** 2
    magnitude = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return f"; if it stays, about {math.ceil(needed / magnitude) * magnitude:,} rows would tell"


def _agreement(pairs: Pairs) -> Check:
    different = int(pairs.different.sum())
    if not different:
        return Check("agreement", "ok", "the same answers to every row, whatever the truth is")
    share = different / len(pairs)
    return Check("agreement", "differs", f"other answers to {different:,} of {len(pairs):,} rows ({share:.1%})", share)


def _timings(latency: Latency | None) -> dict[str, Timing | None]:
    if latency is None or not latency.comparable:
        return {"latency": None}
    return {"latency of 1 row": latency.one, "latency of all rows": latency.all}


def _slowdown(what: str, timing: Timing | None, limit: float, level: float) -> Check:
    if timing is None:
        return Check(what, "unknown", "one side is asked over the network and the other is not", None, limit)
    ratio = timing.ratio
    slower = int((timing.b > limit * timing.a).sum())
    p_value = float(stats.binomtest(slower, len(timing.a), alternative="greater").pvalue)
    text = f"{ratio:.2f} times as long as A"
    if ratio <= limit:
        return Check(what, "ok", text, ratio, limit, p_value)
    if p_value < level:
        return Check(what, "worse", f"{text}, not by chance ({shown_chance(p_value)})", ratio, limit, p_value)
    return Check(what, "unknown", f"{text}, which may be chance ({shown_chance(p_value)})", ratio, limit, p_value)


def shown_chance(p_value: float) -> str:
    """A chance as people read it."""
    return "p < 1e-6" if p_value < 1e-6 else f"p = {p_value:.1g}" if p_value < 0.1 else f"p = {p_value:.2f}"
