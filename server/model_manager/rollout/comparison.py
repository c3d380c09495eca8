"""The verdict: two sides' figures → checks → continue, roll back, or wait. Pure: no clock, no network, no output.

A check calls the canary worse only when a limit is exceeded and chance does not explain it: a limit alone fails a
version for one unlucky request, a test alone fails it for a difference too small to matter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from model_manager.rollout.distribution import (
    Distance,
    Histogram,
    chance_of_larger_mean,
    kolmogorov_smirnov,
    total_variation,
)
from model_manager.rollout.live import DRIFTED, Live

SIGNIFICANCE = 0.001
"""Chance is ruled out when it explains the difference in fewer than one comparison of a thousand.

Strict, because a pipeline asks again and again, and because a single failed request falls on a canary with 1% of the
traffic once in a hundred times, though stable be no better.
"""

_OF_LABELS = ("accuracy", "absolute error")
_SHOWN = 5

Outcome = Literal["ok", "worse", "differs", "unknown"]
Verdict = Literal["no worse", "worse", "not enough data"]


@dataclass(frozen=True, slots=True)
class Side:
    """What one track or version did within the window: requests by status code, drops by reason, predictions.

    `unready` names its versions that do not serve, each with its state.
    """

    name: str
    versions: tuple[str, ...] = ()
    unready: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    labels: Mapping[str, int] = field(default_factory=dict)
    values: Histogram = field(default_factory=Histogram)
    live: Live = field(default_factory=Live)

    def answered(self, status_class: str) -> int:
        """Requests whose status code begins with a digit."""
        return sum(count for code, count in self.requests.items() if code.startswith(status_class))

    @property
    def faultless(self) -> int:
        """Requests that the client had no fault in: what errors are a share of, and what counts as data."""
        return sum(self.requests.values()) - self.answered("4")

    @property
    def error_share(self) -> float:
        """Server errors (5xx) among the faultless requests; NaN without any."""
        return self.answered("5") / self.faultless if self.faultless else math.nan


@dataclass(frozen=True, slots=True)
class Limits:
    """What the canary may do worse than stable before it counts, and the requests each side needs.

    `min_labels`: what each side needs where labels come, before the canary is no worse.
    """

    min_requests: int
    max_error_increase: float
    max_p99_ratio: float
    max_distance: float
    fail_on_distance: bool
    min_labels: int = 100
    max_accuracy_drop: float = 0.01
    max_error_ratio: float = 1.1
    fail_on_drift: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: its outcome in a word, why in a sentence, and the figures behind it, None where unknown.

    `value` is what `limit` bounds: the increase of the error share, the ratio of the p99s, the distance.
    """

    name: str
    outcome: Outcome
    why: str
    value: float | None = None
    limit: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, every check, and what follows from them."""

    verdict: Verdict
    stable: Side
    canary: Side
    checks: tuple[Check, ...]


def compare(stable: Side, canary: Side, limits: Limits) -> Comparison:
    """Check errors, latency and predictions; accuracy where labels came, and drift where it is told.

    Errors, and wrong answers, that chance does not explain are worse however few requests there were; everything else
    waits for `min_requests` on both sides, and where labels come for `min_labels`.
    """
    checks = [check(stable, canary, limits) for check in (_errors, _latency, _predictions)]
    short = [side for side in (stable, canary) if side.faultless < limits.min_requests]
    if short:
        missing = " and ".join(f"{side.name} has {side.faultless:,}" for side in short)
        why = f"{missing} of the {limits.min_requests:,} requests needed"
        convincing = [check for check in checks if check.name == "errors" and check.outcome == "worse"]
        checks = [check if check in convincing else replace(check, outcome="unknown", why=why) for check in checks]
    checks += [
        check for check in (_accuracy(stable, canary, limits), _drift(stable, canary, limits)) if check is not None
    ]
    unlabelled = any(check.name in _OF_LABELS and check.outcome == "unknown" for check in checks)
    verdict: Verdict = "not enough data" if short or unlabelled else "no worse"
    if any(check.outcome == "worse" for check in checks):
        verdict = "worse"
    return Comparison(verdict, stable, canary, tuple(checks))


def _errors(stable: Side, canary: Side, limits: Limits) -> Check:
    increase = canary.error_share - stable.error_share
    if math.isnan(increase):
        return Check("errors", "unknown", "no requests on both sides")
    p_value = chance_of_excess(stable.answered("5"), stable.faultless, canary.answered("5"), canary.faultless)
    what = f"{canary.error_share:.2%} fail, {stable.error_share:.2%} of {stable.name}'s"
    limit = limits.max_error_increase
    return _judged("errors", what, increase, limit, f"more than {limit * 100:g} points apart", p_value)


def _latency(stable: Side, canary: Side, limits: Limits) -> Check:
    """Compare the p99s; the test asks whether more than stable's share of requests is slower than stable's p99."""
    p99 = stable.seconds.quantile(0.99)
    ratio = canary.seconds.quantile(0.99) / p99
    if math.isnan(ratio):
        return Check("latency", "unknown", "no durations on both sides, or all beyond the last bucket")
    slow = [round(side.seconds.total - side.seconds.at_most(p99)[1]) for side in (stable, canary)]
    p_value = chance_of_excess(slow[0], round(stable.seconds.total), slow[1], round(canary.seconds.total))
    return _judged(
        "latency", f"p99 ratio {ratio:.2f}", ratio, limits.max_p99_ratio, f"above {limits.max_p99_ratio:g}", p_value
    )


def _predictions(stable: Side, canary: Side, limits: Limits) -> Check:
    """Measure how far the predictions are apart; a new model is allowed to differ unless it is said not to be."""
    distance = _distance(stable, canary)
    if distance is None:
        return Check("predictions", "unknown", "no predictions of one kind on both sides")
    what, limit = f"{distance.measure} distance {distance.value:.2f}", limits.max_distance
    check = _judged("predictions", what, distance.value, limit, f"above {limit:g}", distance.p_value)
    return check if limits.fail_on_distance or check.outcome == "ok" else replace(check, outcome="differs")


def _accuracy(stable: Side, canary: Side, limits: Limits) -> Check | None:
    """Compare how right both were; None where no label came."""
    one, other = stable.live, canary.live
    if not one.labelled and not other.labelled:
        return None
    numbers = bool(one.off.total or other.off.total)
    name = "absolute error" if numbers else "accuracy"
    if not one.labelled or not other.labelled or numbers != bool(one.off.total and other.off.total):
        idle = stable.name if not one.labelled else canary.name
        return Check(name, "unknown", f"no answer of {idle} has a label of which the time is over")
    if numbers:
        value, limit = 1.0, limits.max_error_ratio
        if other.mean_error:
            value = other.mean_error / one.mean_error if one.mean_error else math.inf
        what = f"off by {other.mean_error:.4g}, {stable.name} by {one.mean_error:.4g}"
        check = _judged(
            name, what, value, limit, f"above {limit:g} times that", chance_of_larger_mean(one.off, other.off)
        )
    else:
        value, limit = one.accuracy - other.accuracy, limits.max_accuracy_drop
        what = f"{other.accuracy:.2%} right, {one.accuracy:.2%} of {stable.name}'s"
        p_value = chance_of_excess(one.wrong, one.right + one.wrong, other.wrong, other.right + other.wrong)
        check = _judged(name, what, value, limit, f"more than {limit * 100:g} points below", p_value)
    few = [
        f"{side.name} has {side.live.labelled:,}" for side in (stable, canary) if side.live.labelled < limits.min_labels
    ]
    if few and check.outcome != "worse":
        return replace(check, outcome="unknown", why=f"{' and '.join(few)} of the {limits.min_labels:,} labels needed")
    return check


def _drift(stable: Side, canary: Side, limits: Limits) -> Check | None:
    """Name the columns that drift on the canary alone; None where no side tells of drift."""
    if not canary.live.psi:
        return None
    alone = [name for name in canary.live.drifted if name not in stable.live.drifted]
    if not alone:
        return Check("drift", "ok", "no column drifts on the canary alone", 0.0, DRIFTED)
    worst = max(alone, key=canary.live.psi.__getitem__)
    value = canary.live.psi[worst]
    outcome: Outcome = "worse" if limits.fail_on_drift else "differs"
    shown = ", ".join(alone[:_SHOWN]) + (f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else "")
    return Check("drift", outcome, f"{shown}: not as in training, as far as PSI {value:.2f}", value, DRIFTED)


def _distance(stable: Side, canary: Side) -> Distance | None:
    if stable.labels and canary.labels:
        return total_variation(stable.labels, canary.labels)
    if stable.values.total and canary.values.total:
        return kolmogorov_smirnov(stable.values, canary.values)
    return None


def _judged(name: str, what: str, value: float, limit: float, exceeded: str, p_value: float) -> Check:
    """Worse when a value is above its limit and chance does not explain it."""
    if value <= limit:
        return Check(name, "ok", what, value, limit, p_value)
    p = "p < 1e-6" if p_value < 1e-6 else f"p = {p_value:.1g}"
    if p_value < SIGNIFICANCE:
        return Check(name, "worse", f"{what}: {exceeded}, not by chance ({p})", value, limit, p_value)
    return Check(name, "ok", f"{what}: {exceeded}, but may be chance ({p})", value, limit, p_value)


def chance_of_excess(stable_events: int, stable_total: int, canary_events: int, canary_total: int) -> float:
    """How likely chance alone gives the canary this share of events or a larger one: Fisher's exact test, one-sided.

    The tail of the hypergeometric distribution, summed from its largest term on. Written out here, since
    scipy.stats takes longer to import than all the rest of the command takes.
    """
    events, total = stable_events + canary_events, stable_total + canary_total
    least, most = max(0, events - stable_total), min(events, canary_total)
    if canary_events <= least:
        return 1.0
    if canary_events <= events * canary_total / total:  # the tail holds the middle: what it leaves is the smaller part
        below = _sum_of_terms(canary_events - 1, least, -1, events, canary_total, total)
        return max(0.0, 1.0 - below)
    return min(1.0, _sum_of_terms(canary_events, most, 1, events, canary_total, total))


def _sum_of_terms(first: int, last: int, step: Literal[-1, 1], events: int, drawn: int, total: int) -> float:
    """Sum the hypergeometric probabilities from `first` to `last`, away from the middle, while they add anything.

    Each is the one before times a ratio of whole numbers: that of k + 1 to that of k is
    (events - k)(drawn - k) / ((k + 1)(total - events - drawn + k + 1)).
    """
    left = total - events - drawn
    term = math.exp(
        _log_choices(events, first) + _log_choices(total - events, drawn - first) - _log_choices(total, drawn)
    )
    added = term
    for k in range(first, last, step):
        if step == 1:
            term *= (events - k) * (drawn - k) / ((k + 1) * (left + k + 1))
        else:
            term *= k * (left + k) / ((events - k + 1) * (drawn - k + 1))
        added += term
        if term < added * 1e-17:
            break
    return added


def _log_choices(of: int, chosen: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)
