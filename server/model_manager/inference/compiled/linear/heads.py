"""Linear models → heads in numpy, and in plain Python for a row or two: a numpy call costs as much as ten products."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from operator import mul
from typing import Any, Final

import numpy as np
from scipy.special import expit
from sklearn.base import is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.linear_model._base import LinearClassifierMixin

from model_manager.inference.compiled.finish import Finish, LabelTable, binary_probabilities, finished, softmax
from model_manager.inference.compiled.form import Answers, BuiltHead, NotCovered, NotVouched, require_finite
from model_manager.signature import Array

MAX_PRODUCTS: Final = 2000
"""Above this many coefficients plain Python is not tried."""
_MAX_SQUARES: Final = 1e8
"""Rows with larger values than these squares add up to are left to numpy: sums in another order would differ more."""
_TIE: Final = 1e-9
"""Two scores nearer than this are a tie, which plain Python does not decide."""


@dataclass(frozen=True, slots=True)
class _Linear:
    """X @ weights + intercept, and what follows. `labels` is None for a regressor; `proba` names how scores become
    probabilities; `inverse` is a regressor's link."""

    weights: Array
    intercept: Any
    labels: LabelTable | None
    proba: str | None
    inverse: Callable[[Array], Array] | None

    def scores(self, X: Array) -> Array:
        require_finite(X)
        scores = X @ self.weights
        scores += self.intercept
        return scores


def build_linear_heads(estimator: Any) -> list[BuiltHead]:
    """Build the heads of a fitted linear model: numpy's, and plain Python's if it has few coefficients.

    Raises NotCovered for any other estimator.
    """
    linear = _read(estimator)
    heads = [BuiltHead("numpy", *finished(linear.scores, _finish(linear)))]
    if linear.weights.size <= MAX_PRODUCTS and linear.inverse is None:
        heads.append(_in_python(linear))
    return heads


def _read(estimator: Any) -> _Linear:
    weights, intercept = getattr(estimator, "coef_", None), getattr(estimator, "intercept_", None)
    if not isinstance(weights, np.ndarray) or intercept is None:
        raise NotCovered(f"{type(estimator).__name__} is not a linear model")
    # Transposed as a view, as scikit-learn does: BLAS then takes the same way and rounds alike.
    if isinstance(estimator, LinearClassifierMixin) and isinstance(estimator.classes_, np.ndarray):
        return _Linear(weights.T, intercept, LabelTable(estimator.classes_), _proba(estimator), None)
    if is_regressor(estimator):
        loss = getattr(estimator, "_base_loss", None)
        return _Linear(weights.T, intercept, None, None, loss.link.inverse if loss is not None else None)
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
        return {"predict": inverse if inverse is not None else lambda scores: scores}
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


def _in_python(linear: _Linear) -> BuiltHead:
    weights = np.atleast_2d(linear.weights.T).tolist()
    intercepts = np.broadcast_to(linear.intercept, len(weights)).tolist()
    pairs = list(zip(weights, intercepts, strict=True))
    tie = _TIE * max(1.0, float(np.abs(linear.weights).max(initial=0)))

    def scores(X: Array) -> list[list[float]]:
        if not np.vdot(X, X) < _MAX_SQUARES:
            raise NotVouched
        return [[sum(map(mul, row, weight)) + start for weight, start in pairs] for row in X.tolist()]

    outputs = {"predict", "decision_function"}
    if linear.labels is None:
        return BuiltHead("python", frozenset({"predict"}), _python_values(scores, flat=linear.weights.ndim == 1))
    if linear.proba in ("logistic", "softmax"):
        outputs.add("predict_proba")
    classify = _python_binary if len(weights) == 1 else _python_multiclass
    return BuiltHead("python", frozenset(outputs), classify(scores, linear.labels, tie))


_Scores = Callable[[Array], list[list[float]]]


def _python_values(scores: _Scores, *, flat: bool) -> Callable[[Array, tuple[str, ...]], Answers]:
    def run(X: Array, outputs: tuple[str, ...]) -> Answers:
        rows = scores(X)
        return {name: np.array([row[0] for row in rows] if flat else rows) for name in outputs}

    return run


def _python_binary(scores: _Scores, labels: LabelTable, tie: float) -> Callable[[Array, tuple[str, ...]], Answers]:
    def run(X: Array, outputs: tuple[str, ...]) -> Answers:
        decisions = [row[0] for row in scores(X)]
        answers: Answers = {}
        for name in outputs:
            if name == "predict":
                if any(-tie < decision < tie for decision in decisions):
                    raise NotVouched
                answers[name] = labels.take([decision > 0 for decision in decisions])
            elif name == "decision_function":
                answers[name] = np.array(decisions)
            else:
                answers[name] = np.array([_logistic(decision) for decision in decisions])
        return answers

    return run


def _logistic(decision: float) -> tuple[float, float]:
    if decision < -700:
        raise NotVouched  # exp would overflow
    positive = 1 / (1 + exp(-decision))
    return 1 - positive, positive


def _python_multiclass(scores: _Scores, labels: LabelTable, tie: float) -> Callable[[Array, tuple[str, ...]], Answers]:
    def run(X: Array, outputs: tuple[str, ...]) -> Answers:
        rows = scores(X)
        answers: Answers = {}
        for name in outputs:
            if name == "predict":
                answers[name] = labels.take([_winner(row, tie) for row in rows])
            elif name == "decision_function":
                answers[name] = np.array(rows)
            else:
                answers[name] = np.array([_softmax(row) for row in rows])
        return answers

    return run


def _winner(row: list[float], tie: float) -> int:
    best = max(row)
    limit = best - tie
    if sum([score > limit for score in row]) > 1:
        raise NotVouched
    return row.index(best)


def _softmax(row: list[float]) -> list[float]:
    best = max(row)
    powers = [exp(score - best) for score in row]
    total = sum(powers)
    return [power / total for power in powers]
