"""An estimator that quotes the rows it is given when it raises or warns. Importable, so that it loads."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import validate_data


class LeakyRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers zeros; warns of each positive number, and raises for a negative one, by quoting the row."""

    def fit(self, X: Any, y: Any) -> "LeakyRegressor":
        validate_data(self, X, y)
        return self

    def predict(self, X: Any) -> Any:
        X = np.asarray(validate_data(self, X, reset=False))
        if (X > 0).any():
            warnings.warn(f"unusual: {X.tolist()}", UserWarning, stacklevel=1)
        if (X < 0).any():
            try:
                dict[str, int]()[str(X.tolist())]
            except KeyError as error:
                raise ValueError(f"cannot read {X.tolist()} of {__file__}") from error
        return np.zeros(len(X))
