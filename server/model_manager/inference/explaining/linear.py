"""Fitted linear models of scikit-learn → the weights of which their answers are sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDRegressor
from sklearn.linear_model._base import LinearClassifierMixin, LinearModel
from sklearn.svm import LinearSVC, LinearSVR

from model_manager.inference.explaining.units import Unit
from model_manager.signature import Array


@dataclass(frozen=True, slots=True)
class Weights:
    """`output` answers intercept + features @ coefficients. `coefficients`: (features, outputs)."""

    output: str
    unit: Unit
    coefficients: Array
    intercept: Array


def weights_of(estimator: Any) -> Weights | None:
    """Read a fitted estimator; None for any other, and for a regressor that answers several numbers."""
    classifies = isinstance(estimator, LinearClassifierMixin | LinearSVC)
    if not classifies and not isinstance(estimator, LinearModel | SGDRegressor | LinearSVR):
        return None
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64)).T
    if coefficients.shape[1] != 1 and not classifies:
        return None
    unit: Unit = "value"
    if classifies:
        unit = "log-odds" if isinstance(estimator, LogisticRegression) and coefficients.shape[1] == 1 else "score"
    intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).ravel(), coefficients.shape[1:])
    return Weights("decision_function" if classifies else "predict", unit, coefficients, intercept)
