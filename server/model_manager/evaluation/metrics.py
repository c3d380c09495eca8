"""Answers beside the truth → metrics, as scikit-learn defines them, for many resamples of the rows at once.

Place in the flow: after answers; intervals draws the resamples. A metric that is not defined for some rows (one class
only, a truth that never changes) is NaN for them; `why_undefined` has the sentence for it.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from model_manager.evaluation.answers import OUTLIER, Answers, Label
from model_manager.evaluation.chances import of_probabilities, of_scores
from model_manager.evaluation.label_metrics import Counts, codes_of, of_all_labels, of_many_labels, of_one_label
from model_manager.evaluation.weighted import Sorted, ratio
from model_manager.signature import Array

Measure = Callable[[Array], dict[str, Array]]
"""Weights (resamples, rows) → every metric (resamples,)."""

HEADLINES: Final = {"classification": "accuracy", "multiclass": "accuracy", "regression": "mae", "anomaly": "f1"}
"""The metric that is told first, by task."""
LOWER_IS_BETTER: Final = frozenset({"log_loss", "brier", "ece", "mae", "rmse", "median_ae", "mape"})
NEITHER_IS_BETTER: Final = frozenset({"bias", "flagged"})


def measure_of(answers: Answers, positive: Label | None = None) -> Measure:
    """Prepare the metrics of answers. `positive` is the label, of two, that precision and recall speak of."""
    if answers.task == "regression":
        return _regression(answers)
    return _anomalies(answers) if answers.task == "anomaly" else _classification(answers, positive)


def positive_of(answers: Answers, positive: Label | None = None) -> int:
    """Say which of the classes is asked after: the one that is named, else the second, as scikit-learn has it."""
    return min(1, len(answers.classes) - 1) if positive is None else answers.classes.index(positive)


def _classification(answers: Answers, positive: Label | None) -> Measure:
    assert answers.truth is not None, "labels are known"
    predicted, labels = codes_of(answers.predicted, answers.classes)
    truth, labels = codes_of(answers.truth, labels)
    at, two = positive_of(answers, positive), answers.task == "classification"
    counts = Counts(truth, predicted, len(labels))
    chances = _chances(answers, truth, at)

    def measure(weights: Array) -> dict[str, Array]:
        counted = counts.of(weights)
        special = of_one_label(*(one[:, at] for one in counted)) if two else of_many_labels(*counted)
        return {**of_all_labels(*counted), **special, **chances(weights)}

    return measure


def _chances(answers: Answers, truth: Array, at: int) -> Measure:
    proba, score = answers.outputs.get("predict_proba"), answers.outputs.get("decision_function")
    if proba is not None and np.all(np.isfinite(proba)):
        return of_probabilities(proba.astype(np.float64), truth, at)
    if score is not None and np.all(np.isfinite(score)) and score.ndim == 1 and answers.task == "classification":
        return of_scores(score if at == 1 else -score, truth == at, (truth < len(answers.classes)).astype(np.float64))
    return lambda weights: {}


def _regression(answers: Answers) -> Measure:
    assert answers.truth is not None, "quantities are known"
    truth, error = answers.truth, answers.predicted.reshape(-1).astype(np.float64) - answers.truth
    centred = truth - truth.mean()
    off = np.abs(error)
    share = off / np.abs(truth) if np.all(truth != 0) else np.full(len(truth), np.nan)
    middle = Sorted(off)

    def measure(weights: Array) -> dict[str, Array]:
        total = weights.sum(axis=1)
        squares = weights @ np.square(error)
        spread = weights @ np.square(centred) - np.square(weights @ centred) / total
        spread = np.where(spread > 1e-12 * (weights @ np.square(truth)), spread, 0.0)  # but for rounding, none
        return {
            "mae": weights @ off / total,
            "rmse": np.sqrt(squares / total),
            "r2": 1 - ratio(squares, spread),
            "median_ae": middle.medians(weights),
            "mape": weights @ share / total,
            "bias": weights @ error / total,
        }

    return measure


def _anomalies(answers: Answers) -> Measure:
    flagged = (answers.predicted == OUTLIER).astype(np.int64)
    if answers.truth is None:
        return lambda weights: {"flagged": weights @ flagged / weights.sum(axis=1)}
    truth = (answers.truth == OUTLIER).astype(np.int64)
    counts = Counts(truth, flagged, 2)
    scores = next((one for name, one in answers.outputs.items() if name != "predict"), None)
    ranks = of_scores(-scores.reshape(-1), truth == 1) if scores is not None else lambda weights: {}

    def measure(weights: Array) -> dict[str, Array]:
        counted = counts.of(weights)
        share = {"flagged": weights @ flagged / weights.sum(axis=1)}
        return {**of_one_label(*(one[:, 1] for one in counted)), **ranks(weights), **of_all_labels(*counted), **share}

    return measure


def why_undefined(name: str, answers: Answers, positive: Label | None = None) -> str:
    """Say why a metric has no value for these answers."""
    truth = answers.truth.tolist() if answers.truth is not None else []
    if answers.task == "regression":
        if not np.all(np.isfinite(answers.predicted.astype(np.float64))):
            return "the model answers what is no number to some rows"
        return {
            "r2": f"{answers.target!r} never changes in these rows, so that nothing of its spread can be explained",
            "mape": f"{answers.target!r} is 0 in some rows, and no share of nothing can be taken",
        }.get(name, "there are too few rows")
    label = "anomaly" if answers.task == "anomaly" else answers.classes[positive_of(answers, positive)]
    if len({(isinstance(one, bool), one) for one in truth}) == 1:
        only = label if answers.task == "anomaly" and truth[0] == OUTLIER else truth[0]
        only = "normal" if answers.task == "anomaly" and only != label else only
        return f"every row is {only!r}, and one label alone leaves nothing to tell apart"
    if name == "precision":
        return f"the model never answers {label!r} here"
    if name == "mcc":
        return "every row gets the same answer"
    if name in ("recall", "f1", "roc_auc", "average_precision"):
        return f"no row is {label!r}" if answers.task != "multiclass" else "not every class of the model is there"
    return "no row has a label that the model knows"
