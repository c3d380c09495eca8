"""An estimator that a test can hold: it predicts only while a file exists. Importable, so that a server can load it."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class SlowRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, once `gate` exists; writes `announcement` when it is asked while it does not."""

    def __init__(self, gate: str, announcement: str) -> None:
        self.gate = gate
        self.announcement = announcement

    def fit(self, X: Any, y: Any) -> "SlowRegressor":
        X, y = validate_data(self, X, y)
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        import threading

        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        pause = threading.Event()
        while not Path(self.gate).exists():
            Path(self.announcement).touch()
            pause.wait(0.005)
        pause.wait(0.001)  # dearer than what may run on the event loop
        return np.asarray(X)[:, 0]

    def open(self) -> None:
        """Let it answer."""
        Path(self.gate).touch()

    def shut(self) -> None:
        """Hold it at its next call."""
        Path(self.gate).unlink()
        Path(self.announcement).unlink(missing_ok=True)

    def entered(self) -> bool:
        """Whether it was asked since it was shut."""
        return Path(self.announcement).exists()
