"""A model that points to itself, as estimators of one's own may: only a garbage collection frees it."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class CircularRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Answers with a constant, and holds a large array in a circle."""

    def __init__(self, answer: float = 0.0) -> None:
        self.answer = answer

    def fit(self, X: Any, y: Any) -> Self:
        self.n_features_in_ = np.shape(X)[1]
        self.itself_ = self
        self.ballast_ = np.zeros(1 << 20)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.answer)
