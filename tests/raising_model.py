"""An estimator whose code raises what a program, a task or a generator ends by. Importable, so that it loads."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class RaisingRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Raises `error` where it is told to: when it is unpickled, asked for its width, or asked to predict."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.where = where
        self.error = error

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._raise_at("unpickling")

    @property
    def n_features_in_(self) -> int:
        self._raise_at("width")
        return 2

    def fit(self, X: Any, y: Any) -> "RaisingRegressor":
        return self

    def predict(self, X: Any) -> Any:
        self._raise_at("predict")
        return np.zeros(len(X))

    def _raise_at(self, place: str) -> None:
        if self.where == place:
            raise self.error
