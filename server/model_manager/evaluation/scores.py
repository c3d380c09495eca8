"""Answers beside the truth → the few scores that a package carries along; `evaluate` measures the rest.

Place in the flow: after answers; asked when a package is written.
"""

import numpy as np
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score

from model_manager.errors import TableRefused
from model_manager.evaluation.answers import INLIER, Answers
from model_manager.signature import Array

_DIGITS = 6


def scores(answered: Answers) -> dict[str, float]:
    """Measure accuracy (and of two classes the area under the ROC curve), or R² and the mean absolute error.

    Raises TableRefused where the truth cannot be held against the answers: there is none, or no label is one of the
    model's.
    """
    truth, predicted = answered.truth, answered.predicted
    if truth is None:
        raise TableRefused("the hold-out does not say which rows are anomalies; name the column with --target")
    if answered.task == "regression":
        found = {"mae": float(mean_absolute_error(truth, predicted))}
        if len(truth) > 1:  # of one row nothing varies
            found = {"r2": float(r2_score(truth, predicted)), **found}
        return _rounded(found)
    _check_labels(answered, truth)
    right = np.array([one == other for one, other in zip(truth.tolist(), predicted.tolist(), strict=True)])
    found = {"accuracy": float(accuracy_score(np.ones(len(right)), right))}
    if (chances := _chances(answered)) is not None:
        positive = INLIER if answered.task == "anomaly" else answered.classes[1]
        is_positive = np.array([one == positive for one in truth.tolist()])
        if is_positive.any() and not is_positive.all():
            found["roc_auc"] = float(roc_auc_score(is_positive, chances))
    return _rounded(found)


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
