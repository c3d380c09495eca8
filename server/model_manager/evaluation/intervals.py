"""Metrics → figures with intervals: the rows are drawn again and again, and the metrics taken of every draw.

Place in the flow: after metrics, for all rows and for every segment. Percentile bootstrap: as many rows as there are,
with replacement, from a seed, so that the same data always gives the same intervals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import beta
from threadpoolctl import threadpool_limits

from model_manager.evaluation.metrics import Measure
from model_manager.signature import Array

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 1000
_AT_ONCE: Final = 400_000
"""So many weights are computed with at once: few enough for the caches of a CPU."""
_MOSTLY: Final = 0.5
"""A metric that is defined in a smaller share of the resamples has no interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric; all None where it is not defined, and `low` and `high` where resampling tells nothing of it."""

    value: float | None
    low: float | None = None
    high: float | None = None


def figures_of(measure: Measure, rows: int, *, resamples: int, seed: int) -> dict[str, Figure]:
    """Take every metric of all rows, and its interval of 95%; none with fewer than two rows or without resamples."""
    # One thread: sums that several take differ in their last bits. And what is no number is told as such.
    with threadpool_limits(limits=1), np.errstate(all="ignore"):
        return _figures(measure, rows, resamples, seed)


def _figures(measure: Measure, rows: int, resamples: int, seed: int) -> dict[str, Figure]:
    points = {name: float(values[0]) for name, values in measure(np.ones((1, rows))).items()}
    if rows < 2 or not resamples:
        return {name: Figure(value if np.isfinite(value) else None) for name, value in points.items()}
    drawn: dict[str, list[Array]] = {name: [] for name in points}
    for weights in _weights(rows, resamples, np.random.default_rng(seed)):
        for name, values in measure(weights).items():
            drawn[name].append(values)
    return {name: _figure(name, value, np.concatenate(drawn[name]), rows) for name, value in points.items()}


def _weights(rows: int, resamples: int, random: np.random.Generator) -> Iterator[Array]:
    """Draw rows with replacement, and count how often each was drawn."""
    at_once = max(1, _AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        chosen = random.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(chosen.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)


def _figure(name: str, value: float, drawn: Array, rows: int) -> Figure:
    if not np.isfinite(value):
        return Figure(None)
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < _MOSTLY * len(drawn):
        return Figure(value)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    if low < high:
        return Figure(value, low, high)
    if name == "accuracy" and value in (0.0, 1.0):  # every draw is alike, and says nothing: count instead
        return Figure(value, *_counted(int(value) * rows, rows))
    return Figure(value)


def _counted(hits: int, rows: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, rows - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(1 - tail, hits + 1, rows - hits)) if hits < rows else 1.0
