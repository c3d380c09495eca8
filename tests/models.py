"""Small real models for tests: each answers something that tells it from the others."""

import io
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def constant(answer: float, *, width: int = 2) -> Any:
    """A regressor that always answers `answer`, for rows of `width` numbers."""
    return DummyRegressor(strategy="constant", constant=answer).fit(np.zeros((2, width)), [0.0, 1.0])


def iris_classifier() -> Any:
    """A scaler and a logistic regression on iris, with species for labels."""
    data = load_iris()
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target_names[data.target])


def dump(estimator: Any) -> bytes:
    """The bytes of an artifact."""
    file = io.BytesIO()
    joblib.dump(estimator, file)
    return file.getvalue()


def put(repository: Path, model: str, version: str, artifact: bytes) -> Path:
    """Publish a version of a repository the way README says: write beside, then rename."""
    folder = repository / model / version
    unfinished = folder.with_name(f".{version}")
    unfinished.mkdir(parents=True)
    (unfinished / "model.joblib").write_bytes(artifact)
    return unfinished.rename(folder)
