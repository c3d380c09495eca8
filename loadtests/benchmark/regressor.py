"""The bench's own model: gradient boosting on 20 numbers, as large as scikit-learn's defaults make it."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from model_manager.packaging.package import write_package
from sklearn.datasets import make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor

NAME: Final = "regressor"
COLUMNS: Final = 20
_ROWS = 8000
_SEED = 7


def publish(repository: Path) -> Path:
    """Train and package it. Raises PackageRefused."""
    X, y = make_friedman1(_ROWS, n_features=COLUMNS, noise=0.5, random_state=_SEED)
    model = HistGradientBoostingRegressor(random_state=_SEED).fit(X, y)
    return write_package(model, name=NAME, version="1", repository=repository, sample=X)


def rows(count: int, batches: int) -> list[Any]:
    """Rows that it has not seen."""
    random = np.random.default_rng(_SEED)
    return [random.random((count, COLUMNS)) for _ in range(batches)]
