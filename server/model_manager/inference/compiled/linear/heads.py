"""Linear models → heads in numpy, with scikit-learn's own products and formulas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.linear_model._base import LinearClassifierMixin

from model_manager.inference.compiled.finish import Finish, LabelTable, binary_probabilities, finished, softmax
from model_manager.inference.compiled.form import BuiltHead, Given, Matrix, NotCovered, NotVouched, require_finite
from model_manager.signature import Array


@dataclass(frozen=True, slots=True)
class _Linear:
    """X @ weights + intercept, and what follows.

    `labels` is None for a regressor; `proba` names how scores become probabilities; `inverse` is a regressor's link.
    `flat`: the weights of one target have no dimension for targets.
    """

    weights: Array
    intercept: Any
    labels: LabelTable | None
    proba: str | None
    inverse: Callable[[Array], Array] | None
    sparse: bool
    flat: bool

    def scores(self, X: Given) -> Array:
        if not self.sparse:
            require_finite(X)
        scores: Array = X @ self.weights
        scores += self.intercept
        return scores


def build_linear_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    """Build the head of a fitted linear model. Raises NotCovered for any other estimator."""
    linear = _read(estimator, sparse=matrix.sparse)
    return BuiltHead("numpy", *finished(linear.scores, _finish(linear)))


def _read(estimator: Any, *, sparse: bool) -> _Linear:
    weights, intercept = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)
    if not isinstance(weights, np.ndarray) or intercept is None:
        raise NotCovered(f"{type(estimator).__name__} is not a linear model")
    flat = weights.ndim == 1
    # Transposed as a view, as scikit-learn does: BLAS then takes the same way and rounds alike. Not so sparse rows.
    weights = np.ascontiguousarray(np.atleast_2d(weights).T) if sparse else weights.T
    if isinstance(estimator, LinearClassifierMixin) and isinstance(estimator.classes_, np.ndarray):
        return _Linear(weights, intercept, LabelTable(estimator.classes_), _proba(estimator), None, sparse, flat)
    if is_regressor(estimator):
        loss = getattr(estimator, "_base_loss", None)
        return _Linear(weights, intercept, None, None, loss.link.inverse if loss is not None else None, sparse, flat)
    raise NotCovered(f"{type(estimator).__name__} is not a linear model")


def _proba(estimator: Any) -> str | None:
    if not callable(getattr(estimator, "predict_proba", None)):
        return None
    if len(estimator.classes_) == 2:
        return "logistic"
    several = LogisticRegression | LogisticRegressionCV | LinearDiscriminantAnalysis
    return "softmax" if isinstance(estimator, several) else "one-vs-rest"


def _finish(linear: _Linear) -> Finish:
    labels, inverse = linear.labels, linear.inverse
    if labels is None:
        value = inverse if inverse is not None else lambda scores: scores
        if linear.sparse and linear.flat:
            return {"predict": lambda scores: value(scores[:, 0])}
        return {"predict": value}
    if linear.weights.shape[1] == 1:
        finish: Finish = {
            "predict": lambda scores: labels.take((scores[:, 0] > 0).view(np.int8)),
            "decision_function": lambda scores: scores[:, 0],
        }
        if linear.proba == "logistic":
            finish["predict_proba"] = lambda scores: binary_probabilities(expit(scores[:, 0]))
        return finish
    finish = {"predict": lambda scores: labels.take(scores.argmax(axis=1)), "decision_function": lambda scores: scores}
    if linear.proba == "softmax":
        finish["predict_proba"] = softmax
    elif linear.proba == "one-vs-rest":
        finish["predict_proba"] = _normalized
    return finish


def _normalized(scores: Array) -> Array:
    answer: Array = expit(scores)
    total = np.add.reduce(answer, axis=1, keepdims=True)
    if not total.all():
        raise NotVouched
    answer /= total
    return answer
