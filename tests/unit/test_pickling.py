"""server/model_manager/packaging/pickling.py: what cannot be written is named, with the way out."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_manager import write_package
from model_manager.errors import PackageRefused
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6.0)


def refusal(estimator: Any, folder: Path) -> str:
    with pytest.raises(PackageRefused) as refused:
        write_package(estimator, name="m", version="1", repository=folder, sample=X)
    assert not (folder / "m").exists()
    return str(refused.value)


class Keeps(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps something beside what it learns."""

    def fit(self, X: Any, y: Any = None) -> "Keeps":
        self.kept: dict[str, Any] = {"here": None}
        return self

    def transform(self, X: Any) -> Any:
        return X


def test_a_lambda_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    step = ColumnTransformer([("log", FunctionTransformer(lambda X: np.log1p(X)), [0])])
    told = refusal(make_pipeline(step, LinearRegression()).fit(X, Y), tmp_path)
    assert "Pipeline.steps[0][1].transformers[0][1].func is a lambda, which has no name to find it by" in told
    assert "write it in an installed module, with def or class at its top level, and import it from there" in told
    target = TransformedTargetRegressor(LinearRegression(), func=lambda y: y + 1, inverse_func=lambda y: y - 1)
    assert "TransformedTargetRegressor.func is a lambda" in refusal(target.fit(X, Y), tmp_path)


def test_what_a_function_defines_is_named(tmp_path: Path) -> None:
    def double(X: Any) -> Any:
        return X * 2

    class Local(Keeps):
        pass

    told = refusal(make_pipeline(FunctionTransformer(double), LinearRegression()).fit(X, Y), tmp_path)
    assert "Pipeline.steps[0][1].func is test_what_a_function_defines_is_named.<locals>.double, defined inside" in told
    told = refusal(make_pipeline(Local(), LinearRegression()).fit(X, Y), tmp_path)
    assert "Pipeline.steps[0][1] is test_what_a_function_defines_is_named.<locals>.Local, defined inside" in told


def test_open_files_locks_and_generators_are_named(tmp_path: Path) -> None:
    estimator = make_pipeline(Keeps(), LinearRegression()).fit(X, Y)
    with open(__file__) as file:
        estimator[0].kept["here"] = file
        told = refusal(estimator, tmp_path)
    assert "Pipeline.steps[0][1].kept['here'] is an open file; keep what was read from it instead" in told
    estimator[0].kept["here"] = threading.Lock()
    told = refusal(estimator, tmp_path)
    assert "kept['here'] holds a _thread.lock; leave it out, or make it again in __setstate__" in told
    estimator[0].kept["here"] = (one for one in X)
    assert "kept['here'] holds a builtins.generator; leave it out" in refusal(estimator, tmp_path)
