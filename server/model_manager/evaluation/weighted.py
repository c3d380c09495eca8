"""Sums over weighted rows, for many sets of weights at once: what metrics and their resamples are computed from.

Weights are (resamples, rows): how often a resample drew each row. Whatever depends on the order of rows or on groups of
them is sorted once, so that a thousand resamples cost a thousand passes over the rows and no more.
"""

import numpy as np

from model_manager.signature import Array


class Groups:
    """Rows in groups, by number: adds weights up group by group."""

    def __init__(self, group: Array, count: int) -> None:
        self.count = count
        self._order = np.argsort(group, kind="stable")
        self._present, self._starts = np.unique(group[self._order], return_index=True)

    def sums(self, weights: Array) -> Array:
        """Add up the weights of every group, as (resamples, groups)."""
        sums = np.zeros((len(weights), self.count))
        sums[:, self._present] = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        return sums


class Ranked:
    """Rows by their score, of which some are positive: areas under the curves that thresholds draw.

    Rows of equal score fall under one threshold together, as scikit-learn has it.
    """

    def __init__(self, score: Array, positive: Array) -> None:
        order = np.argsort(-score, kind="stable")
        self._order, self._positive = order, positive[order].astype(np.float64)
        ranked = score[order]
        self._last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))

    def areas(self, weights: Array) -> tuple[Array, Array]:
        """Give ROC AUC and average precision of every resample; NaN where it holds one class only."""
        drawn = weights[:, self._order]
        hits = np.cumsum(drawn * self._positive, axis=1)[:, self._last]
        all_of = np.cumsum(drawn, axis=1)[:, self._last]
        misses = all_of - hits
        positives, negatives = hits[:, -1], misses[:, -1]
        gained = np.diff(hits, axis=1, prepend=0.0)
        added = np.diff(misses, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Each negative is outranked by the positives before it, and by half of those that tie with it.
            outranked = np.sum(added * (hits - gained / 2), axis=1)
            roc = np.where((positives > 0) & (negatives > 0), outranked / (positives * negatives), np.nan)
            precision = np.where(all_of > 0, hits / all_of, 0.0)
            average = np.where(positives > 0, np.sum(gained * precision, axis=1) / positives, np.nan)
        return roc, average


class Sorted:
    """Rows by a value: weighted medians of it."""

    def __init__(self, value: Array) -> None:
        self._order = np.argsort(value, kind="stable")
        self._value = value[self._order]

    def medians(self, weights: Array) -> Array:
        """Give the median of every resample: the mean of the two in the middle where their number is even."""
        up_to = np.cumsum(weights[:, self._order], axis=1)
        half = up_to[:, -1:] / 2
        low = np.argmax(up_to >= half, axis=1)
        high = np.argmax(up_to > half, axis=1)
        middle: Array = (self._value[low] + self._value[high]) / 2
        return middle


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
