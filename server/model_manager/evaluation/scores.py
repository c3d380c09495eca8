"""Answers beside the truth → the few scores that a package carries along; `evaluate` measures the rest.

Place in the flow: after answers; asked when a package is written.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score

from model_manager.errors import TableRefused
from model_manager.evaluation.answers import INLIER, Answers
from model_manager.signature import Array

_DIGITS = 6


def scores(answered: Answers) -> dict[str, float]:
    """Score answers by their task: see label_scores and quantity_scores.

    Raises TableRefused where the truth cannot be held against the answers: there is none, or no label is one of the
    model's.
    """
    truth, predicted = answered.truth, answered.predicted
    if truth is None:
        raise TableRefused("the hold-out does not say which rows are anomalies; name the column with --target")
    if answered.task == "regression":
        return quantity_scores(truth, predicted)
    _check_labels(answered, truth)
    chances = _chances(answered)
    if chances is None:
        return label_scores(truth, predicted)
    positive = INLIER if answered.task == "anomaly" else answered.classes[1]
    return label_scores(truth, predicted, positive=positive, chances=chances)


def label_scores(
    truth: Array, predicted: Array, *, positive: object = None, chances: Array | None = None
) -> dict[str, float]:
    """Measure accuracy, and the area under the ROC curve of `chances` where `positive` is one of two labels."""
    found = {"accuracy": float(accuracy_score(np.ones(len(truth)), _are(truth, predicted.tolist())))}
    if chances is not None:
        is_positive = _are(truth, [positive] * len(truth))
        if is_positive.any() and not is_positive.all():
            found["roc_auc"] = float(roc_auc_score(is_positive, chances))
    return _rounded(found)


def quantity_scores(truth: Array, predicted: Array) -> dict[str, float]:
    """Measure R², where there are two rows or more, and the mean absolute error."""
    found = {"r2": float(r2_score(truth, predicted))} if len(truth) > 1 else {}
    return _rounded({**found, "mae": float(mean_absolute_error(truth, predicted))})


def _are(truth: Array, others: Sequence[object]) -> Array:
    """Row by row, whether two labels are one; they may be of several types."""
    return np.array([one == other for one, other in zip(truth.tolist(), others, strict=True)])


def _chances(answered: Answers) -> Array | None:
    """What ranks the rows by how surely they are of the second of two classes, or no anomalies."""
    outputs = answered.outputs
    if answered.task == "anomaly":
        found = (outputs[name] for name in ("decision_function", "score_samples") if name in outputs)
        return next(found, None)
    if answered.task != "classification":
        return None
    if "predict_proba" in outputs:
        return outputs["predict_proba"][:, 1]
    return outputs.get("decision_function")


def _check_labels(answered: Answers, truth: Array) -> None:
    labels = sorted({str(one) for one in truth.tolist()})
    if answered.classes and not {*truth.tolist()} & {*answered.classes}:
        told = f"column {answered.target!r} of the hold-out says {', '.join(map(repr, labels[:5]))}"
        known = ", ".join(map(repr, answered.classes[:5]))
        raise TableRefused(f"{told}, none of which is a label of the model, which knows {known}")


def _rounded(found: dict[str, float]) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in found.items()}
