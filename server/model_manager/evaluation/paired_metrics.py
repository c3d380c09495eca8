"""One side's answers and the truth → metrics that can be worked out again for any weights of the rows.

Place in the flow: below paired, which draws rows again and again. The names are those of `evaluate`, the values are
scikit-learn's. To draw a row twice is to give it the weight 2, so that many draws are one product of matrices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse

from model_manager.signature import Array

HIGHER_IS_BETTER: Final = {
    "accuracy": True,
    "balanced_accuracy": True,
    "f1_macro": True,
    "roc_auc": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "rmse": False,
    "mae": False,
    "r2": True,
}
"""Every metric that is compared, in the order in which they are shown."""

BINS: Final = 10
_MOST_RANKED: Final = 20
"""With more classes than this there is no area under a curve: each would be a curve of its own."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of one side. `weighted`: weights (draws, rows) → its value in each draw, NaN where it has none.

    `losses`: one number per row, the greater the worse, whose mean orders sides as the metric does; None where a
    metric is no such mean.
    """

    weighted: Callable[[Array], Array]
    losses: Array | None = None

    def value(self, rows: int) -> float:
        """The metric of all rows as they are."""
        return float(self.weighted(np.ones((1, rows)))[0])


def measures_of_labels(truth: Array, answers: Array, classes: int) -> dict[str, Measure]:
    """Metrics of labels, given as codes of `classes`; the code -1 is a label that is none of them."""
    right = (truth == answers).astype(np.float64)
    known = truth >= 0
    is_class, hit = _one_hot(truth, classes), _one_hot(np.where(right > 0, truth, -1), classes)
    answered = _one_hot(answers, classes)
    counts = np.bincount(truth[known], minlength=classes)
    share = np.zeros(len(truth))
    share[known] = len(truth) / (counts[truth[known]] * max(1, int((counts > 0).sum())))

    def accuracy(weights: Array) -> Array:
        return _ratio(weights @ right, weights.sum(1))

    def balanced_accuracy(weights: Array) -> Array:
        return _mean_of_known(_ratio(weights @ hit, weights @ is_class))

    def f1_macro(weights: Array) -> Array:
        return _mean_of_known(_ratio(2 * (weights @ hit), weights @ is_class + weights @ answered))

    return {
        "accuracy": Measure(accuracy, 1 - right),
        "balanced_accuracy": Measure(balanced_accuracy, (1 - right) * share),
        "f1_macro": Measure(f1_macro),
    }


def measures_of_probabilities(truth: Array, probabilities: Array) -> dict[str, Measure]:
    """Metrics of probabilities (rows, classes); truth as codes of the columns, -1 for a label that has no column."""
    rows, classes = probabilities.shape
    is_class = (truth[:, np.newaxis] == np.arange(classes)).astype(np.float64)
    squares = ((probabilities - is_class) ** 2).sum(1) / (2 if classes == 2 else 1)
    smallest = np.finfo(probabilities.dtype).eps
    of_truth = np.where(truth >= 0, probabilities[np.arange(rows), truth], 0)
    logs = -np.log(np.clip(of_truth, smallest, 1 - smallest))
    present = range(1, 2) if classes == 2 else range(classes if classes <= _MOST_RANKED else 0)
    curves = [_weighted_auc(truth == code, probabilities[:, code]) for code in present]
    ranked = {"roc_auc": Measure(lambda weights: np.mean([curve(weights) for curve in curves], axis=0))}
    return {
        **(ranked if curves else {}),
        "log_loss": Measure(_mean(logs), logs),
        "brier": Measure(_mean(squares), squares),
        "ece": Measure(_calibration_error(*confidence(truth, probabilities))),
    }


def measures_of_scores(positive: Array, scores: Array) -> dict[str, Measure]:
    """Metrics of scores that are no probabilities, higher where a row is rather `positive`."""
    return {"roc_auc": Measure(_weighted_auc(positive, scores))}


def measures_of_numbers(truth: Array, answers: Array) -> dict[str, Measure]:
    """Metrics of numbers answered for numbers."""
    squares, distances = (answers - truth) ** 2, np.abs(answers - truth)
    mean_square = _mean(squares)
    centred = truth - truth.mean()

    def r2(weights: Array) -> Array:
        total = weights.sum(1)
        spread = weights @ centred**2 - (weights @ centred) ** 2 / total
        return 1 - _ratio(weights @ squares, np.where(spread > 1e-12 * float(centred @ centred), spread, 0))

    return {
        "rmse": Measure(lambda weights: np.sqrt(mean_square(weights)), squares),
        "mae": Measure(_mean(distances), distances),
        "r2": Measure(r2, squares),
    }


def confidence(truth: Array, probabilities: Array) -> tuple[Array, Array]:
    """What calibration compares: the probability given to each row's answer, and whether it came true.

    Of two classes the probability is that of the second; of more, the highest of each row.
    """
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], truth == 1
    return probabilities.max(1), probabilities.argmax(1) == truth


def bins_of(probabilities: Array) -> Array:
    """The bin, of BINS equally wide ones, that each probability lies in."""
    return np.clip((probabilities * BINS).astype(np.int64), 0, BINS - 1)


def _calibration_error(given: Array, came_true: Array) -> Callable[[Array], Array]:
    """The mean distance, over the bins, of the probability given and the share that came true (ECE)."""
    in_bin = _one_hot(bins_of(given), BINS)
    excess = sparse.csr_array(in_bin.multiply((given - came_true)[:, np.newaxis]))
    return lambda weights: np.asarray(np.abs(weights @ excess).sum(1) / weights.sum(1))


def _mean(values: Array) -> Callable[[Array], Array]:
    return lambda weights: (weights @ values) / weights.sum(1)


def _weighted_auc(positive: Array, scores: Array) -> Callable[[Array], Array]:
    """The area under the ROC curve: the share of pairs in which the positive row scores higher, ties counted half."""
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    below = np.searchsorted(scores[negatives], scores[positives], "left")
    not_above = np.searchsorted(scores[negatives], scores[positives], "right")
    tied = bool((below != not_above).any())

    def area(weights: Array) -> Array:
        summed = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights[:, negatives], axis=1, out=summed[:, 1:])
        beaten = (summed[:, below] + summed[:, not_above]) / 2 if tied else summed[:, below]
        of_positives = weights[:, positives]
        return _ratio(np.einsum("ij,ij->i", of_positives, beaten), of_positives.sum(1) * summed[:, -1])

    return area


def _one_hot(codes: Array, classes: int) -> sparse.csr_array:
    """A matrix (rows, classes) with a one where a row is of a class; rows of the code -1 are of none."""
    at = np.flatnonzero(codes >= 0)
    return sparse.csr_array((np.ones(len(at)), (at, codes[at])), shape=(len(codes), classes))


def _ratio(above: Array, below: Array) -> Array:
    """Divide; NaN where there is nothing to divide by."""
    quotient: Array = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=quotient, where=np.asarray(below) != 0)
    return quotient


def _mean_of_known(values: Array) -> Array:
    """The mean of each row's numbers, those left out that are NaN."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(1), known.sum(1).astype(np.float64))
