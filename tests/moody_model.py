"""An estimator that fails on one value. Importable, so that an artifact of it loads."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class MoodyRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, but raises for 666."""

    def fit(self, X: Any, y: Any) -> "MoodyRegressor":
        X, y = validate_data(self, X, y)
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False))
        if 666 in X:
            raise ValueError("the beast")
        return X[:, 0]
