"""Answered labels beside true ones → metrics that count labels, for many resamples of the rows at once.

Place in the flow: one part of metrics. A label that the model does not know is one more, and always wrong.
"""

from collections.abc import Sequence

import numpy as np

from model_manager.evaluation.answers import Label
from model_manager.evaluation.weighted import Groups, ratio
from model_manager.signature import Array


def codes_of(labels: Array, known: Sequence[Label]) -> tuple[Array, list[Label]]:
    """Number labels by their place among those known; the others follow, and are returned behind them."""
    number: dict[tuple[bool, object], int] = {(isinstance(one, bool), one): at for at, one in enumerate(known)}
    every = list(known)
    codes = np.empty(len(labels), dtype=np.int64)
    for at, label in enumerate(labels.tolist()):
        key = (isinstance(label, bool), label)  # True is not 1
        if key not in number:
            number[key] = len(every)
            every.append(label)
        codes[at] = number[key]
    return codes, every


class Counts:
    """Rows by label: `hit` are right, `named` are answered so, `real` are so; each as (resamples, labels)."""

    def __init__(self, truth: Array, predicted: Array, labels: int) -> None:
        self._right = (truth == predicted).astype(np.float64)
        self._real, self._named = Groups(truth, labels), Groups(predicted, labels)

    def of(self, weights: Array) -> tuple[Array, Array, Array]:
        """Count one or many resamples: hit, named and real."""
        return self._real.sums(weights * self._right), self._named.sums(weights), self._real.sums(weights)


def of_all_labels(hit: Array, named: Array, real: Array) -> dict[str, Array]:
    """What is measured whatever the number of labels; each argument is (resamples, labels)."""
    return {
        "accuracy": ratio(hit.sum(axis=1), real.sum(axis=1)),
        "balanced_accuracy": ratio(np.nan_to_num(ratio(hit, real)).sum(axis=1), (real > 0).sum(axis=1)),
        "mcc": _matthews(hit, named, real),
    }


def of_one_label(hit: Array, named: Array, real: Array) -> dict[str, Array]:
    """How well one label of two is found; each argument is (resamples,)."""
    return {"precision": ratio(hit, named), "recall": ratio(hit, real), "f1": ratio(2 * hit, named + real)}


def of_many_labels(hit: Array, named: Array, real: Array) -> dict[str, Array]:
    """Means over the labels that are there or are answered; one that is never answered has a precision of 0."""
    there = ((named + real) > 0).sum(axis=1)
    f1 = np.nan_to_num(ratio(2 * hit, named + real))
    return {
        "precision_macro": ratio(np.nan_to_num(ratio(hit, named)).sum(axis=1), there),
        "f1_macro": ratio(f1.sum(axis=1), there),
        "f1_weighted": ratio((f1 * real).sum(axis=1), real.sum(axis=1)),
    }


def _matthews(hit: Array, named: Array, real: Array) -> Array:
    """Matthews correlation; not defined where all truths, or all answers, are one label."""
    total = real.sum(axis=1)
    covariance = hit.sum(axis=1) * total - (real * named).sum(axis=1)
    spread = (total**2 - (real**2).sum(axis=1)) * (total**2 - (named**2).sum(axis=1))
    return ratio(covariance, np.sqrt(spread))
