"""An estimator whose code ends the process that runs it. Importable, so that an artifact of it loads."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

EXIT, FAULT, KILL, SLOW = 661.0, 662.0, 663.0, 7.0
DEADLY: Final = (EXIT, FAULT, KILL)


class DeadlyRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, but ends the process for some values; for SLOW writes `announcement` and waits."""

    def __init__(self, announcement: Path) -> None:
        self.announcement = announcement

    def fit(self, X: Any, y: Any) -> "DeadlyRegressor":
        X, y = validate_data(self, X, y)
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False))
        time.sleep(0.002)  # dearer than what may run on the event loop
        if EXIT in X:
            os._exit(0)
        if FAULT in X:
            ctypes.string_at(0)
        if KILL in X:
            os.kill(os.getpid(), signal.SIGKILL)
        if SLOW in X:
            self.announcement.touch()
            time.sleep(1.0)
        return X[:, 0]


class DeadlyToLoad(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Ends the process that unpickles it."""

    def __getstate__(self) -> dict[str, Any]:
        return {"deadly": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        os._exit(7)
