"""A model whose predict does what no model should: importable by the server, which runs from the project's root."""

import ctypes
import os
import time
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class MisbehavingRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Is loaded without trouble; `how` says what predict does: raises, exits, segfaults or hangs."""

    def __init__(self, how: str = "raises") -> None:
        self.how = how

    def fit(self, X: Any, y: Any) -> Self:
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X: Any) -> Any:
        if self.how == "exits":
            os._exit(7)
        if self.how == "segfaults":
            ctypes.string_at(0)
        if self.how == "hangs":
            time.sleep(3600)
        raise ValueError("this model always raises")
