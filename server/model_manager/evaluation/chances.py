"""Probabilities beside the truth → losses, areas under curves and calibration, for many resamples of the rows at once.

Place in the flow: one part of metrics; its bins are what the report draws. Rows whose label the model does not know
have no probability, and are left out here.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from model_manager.evaluation.weighted import Groups, Ranked, ratio
from model_manager.signature import Array

BINS: Final = 10
"""Of calibration: equally wide."""
MOST_RANKED: Final = 20
"""Of more classes than these no area under a curve is taken: each one costs a pass over all resamples."""
_LEAST: Final = float(np.finfo(np.float64).eps)
"""What scikit-learn takes no chance at all for, when it takes a logarithm."""


class Calibration:
    """How often what is answered with a chance of 0.8 is so.

    Of two classes the chance of the one in question, of more that of the class that is answered.
    """

    def __init__(self, chance: Array, came_true: Array) -> None:
        self._chance, self._came_true = chance, came_true.astype(np.float64)
        self._bins = Groups(np.minimum((chance * BINS).astype(np.int64), BINS - 1), BINS)

    @staticmethod
    def of(proba: Array, truth: Array, positive: int) -> "Calibration":
        """Take the chances that matter from predict_proba (rows, classes); `truth` holds numbers of classes."""
        if proba.shape[1] == 2:
            return Calibration(proba[:, positive], truth == positive)
        return Calibration(proba.max(axis=1), truth == proba.argmax(axis=1))

    def bins(self, weights: Array) -> tuple[Array, Array, Array]:
        """Give the rows, the mean chance and the share that came true, of every resample and bin; NaN where empty."""
        rows = self._bins.sums(weights)
        said = ratio(self._bins.sums(weights * self._chance), rows)
        return rows, said, ratio(self._bins.sums(weights * self._came_true), rows)

    def error(self, weights: Array) -> Array:
        """Give the expected calibration error: by how much the two differ, on average over the rows."""
        rows, said, seen = self.bins(weights)
        return ratio((rows * np.nan_to_num(np.abs(said - seen))).sum(axis=1), rows.sum(axis=1))


def of_probabilities(proba: Array, truth: Array, positive: int) -> Callable[[Array], dict[str, Array]]:
    """Prepare what is measured of predict_proba (rows, classes)."""
    classes = proba.shape[1]
    known = (truth < classes).astype(np.float64)
    real = np.minimum(truth, classes - 1)
    said = proba[np.arange(len(real)), real]
    surprise = -np.log(np.clip(said, _LEAST, 1 - _LEAST))
    squares = np.square(proba - np.eye(classes)[real]).sum(axis=1) / (2 if classes == 2 else 1)
    penalties = np.stack([surprise, squares], axis=1)
    calibrated = Calibration.of(proba, truth, positive)
    asked = [positive] if classes == 2 else range(classes if classes <= MOST_RANKED else 0)
    ranked = [Ranked(proba[:, at], truth == at) for at in asked]

    def measure(weights: Array) -> dict[str, Array]:
        drawn = weights * known
        total = drawn.sum(axis=1)
        areas = [one.areas(drawn) for one in ranked]
        found = {"roc_auc": np.mean([roc for roc, _ in areas], axis=0)} if areas else {}
        if classes == 2:
            found["average_precision"] = areas[0][1]
        losses = dict(zip(("log_loss", "brier"), ratio((drawn @ penalties).T, total), strict=True))
        return {**found, **losses, "ece": calibrated.error(drawn)}

    return measure


def of_scores(score: Array, positive: Array, known: Array | None = None) -> Callable[[Array], dict[str, Array]]:
    """Prepare what is measured of scores that rank rows and say no chances; the higher, the likelier positive."""
    ranked = Ranked(score, positive)

    def measure(weights: Array) -> dict[str, Array]:
        roc, average = ranked.areas(weights if known is None else weights * known)
        return {"roc_auc": roc, "average_precision": average}

    return measure
