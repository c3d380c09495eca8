"""Answers beside the truth → what plots are drawn of: confusion, ROC and precision-recall, calibration, residuals.

Place in the flow: after answers; goes into the JSON document, from which the report draws. Plain lists, few points.
"""

from typing import Any, Final

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from model_manager.evaluation.answers import INLIER, OUTLIER, Answers, Label
from model_manager.evaluation.chances import BINS, Calibration
from model_manager.evaluation.label_metrics import codes_of
from model_manager.evaluation.metrics import positive_of
from model_manager.signature import Array

_MOST_POINTS: Final = 200
_MOST_SCATTERED: Final = 1000
_NORMAL_FIRST: Final[tuple[Label, ...]] = (INLIER, OUTLIER)
_MOST_LABELS: Final = 30
"""A confusion matrix of more labels is nothing that anybody reads."""


def curves_of(answers: Answers, positive: Label | None = None) -> dict[str, Any]:
    """Give what can be drawn, by the name of the plot; nothing that is not defined for these answers."""
    if answers.truth is None:
        return {}
    if answers.task == "regression":
        return {"residuals": _residuals(answers, answers.truth)}
    found: dict[str, Any] = {}
    predicted, labels = codes_of(answers.predicted, _NORMAL_FIRST if answers.task == "anomaly" else answers.classes)
    truth, labels = codes_of(answers.truth, labels)
    if len(labels) <= _MOST_LABELS:
        shown = ["normal", "anomaly"] if answers.task == "anomaly" else labels
        counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(counts, (truth, predicted), 1)
        found["confusion"] = {"labels": shown, "counts": counts.tolist()}
    at = positive_of(answers, positive) if answers.task != "anomaly" else 1
    proba = answers.outputs.get("predict_proba")
    if proba is not None and answers.classes and np.all(np.isfinite(proba)):
        known = truth < len(answers.classes)
        if known.any():
            found["calibration"] = _calibration(proba[known].astype(np.float64), truth[known], at)
    score = _score(answers, at)
    if score is not None and np.all(np.isfinite(score)):
        known = truth < 2
        found |= _ranked(score[known], truth[known] == at)
    return found


def _score(answers: Answers, at: int) -> Array | None:
    """The higher, the likelier what is asked after; None where that is no one thing."""
    if answers.task == "multiclass":
        return None
    if (proba := answers.outputs.get("predict_proba")) is not None:
        return proba[:, at]
    scores = next((one for name, one in answers.outputs.items() if name != "predict"), None)
    if scores is None or scores.size != len(answers):
        return None
    flat = scores.reshape(-1)
    return -flat if answers.task == "anomaly" or at == 0 else flat


def _ranked(score: Array, positive: Array) -> dict[str, Any]:
    if positive.all() or not positive.any():
        return {}
    false, true, _ = roc_curve(positive, score)
    precision, recall, _ = precision_recall_curve(positive, score)
    return {
        "roc": {"false_positive_rate": _thinned(false), "true_positive_rate": _thinned(true)},
        "precision_recall": {
            "recall": _thinned(recall[::-1]),
            "precision": _thinned(precision[::-1]),
            "share": float(positive.mean()),
        },
    }


def _thinned(values: Array) -> list[float]:
    if len(values) > _MOST_POINTS:
        values = values[np.linspace(0, len(values) - 1, _MOST_POINTS).round().astype(int)]
    return [round(one, 6) for one in values.tolist()]


def _calibration(proba: Array, truth: Array, at: int) -> dict[str, Any]:
    rows, said, seen = Calibration.of(proba, truth, at).bins(np.ones((1, len(truth))))
    bins = [
        {
            "from": number / BINS,
            "to": (number + 1) / BINS,
            "rows": int(rows[0, number]),
            "said": round(float(said[0, number]), 6),
            "seen": round(float(seen[0, number]), 6),
        }
        for number in range(BINS)
        if rows[0, number]
    ]
    return {"of": "the label asked after" if proba.shape[1] == 2 else "the label that is answered", "bins": bins}


def _residuals(answers: Answers, truth: Array) -> dict[str, Any]:
    predicted = answers.predicted.reshape(-1).astype(np.float64)
    sound = np.isfinite(predicted) & np.isfinite(truth)
    predicted, truth = predicted[sound], truth[sound]
    if not len(truth):
        return {}
    error = predicted - truth
    counts, edges = np.histogram(error, bins=min(30, max(5, len(error) // 10)))
    at = np.arange(len(truth))
    if len(at) > _MOST_SCATTERED:
        at = np.sort(np.random.default_rng(0).choice(at, _MOST_SCATTERED, replace=False))
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "quantiles": {
            str(level): _short(value) for level, value in zip(levels, np.quantile(error, levels), strict=True)
        },
        "histogram": {"edges": [_short(one) for one in edges], "counts": counts.tolist()},
        "points": {
            "true": [_short(one) for one in truth[at]],
            "answered": [_short(one) for one in predicted[at]],
        },
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")
