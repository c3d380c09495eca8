"""A version without golden rows has to answer something; one that may only be picky has the benefit of the doubt."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import LoadFailed
from model_manager.inference.features import example_row
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.probe import refuse_raising
from model_manager.inference.signature.infer import infer_signature
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder


class Particular(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers what `takes` lets through."""

    def __init__(self, takes: Callable[[Any], None]) -> None:
        self.takes = takes

    def fit(self, X: Any, y: Any) -> "Particular":
        self.n_features_in_ = np.asarray(X).shape[1]
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = X.columns.to_numpy(dtype=object)
        return self

    def predict(self, X: Any) -> Any:
        self.takes(X)
        return np.zeros(len(X))


def raising(error: BaseException) -> Callable[[Any], None]:
    def takes(X: Any) -> None:
        raise error

    return takes


def probe(estimator: Any) -> None:
    signature = infer_signature(estimator)
    refuse_raising(estimator, SklearnPredictor(estimator, signature), example_row(signature))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no GPU"),
        ValueError("shapes do not fit"),
        AttributeError("'Tree' object has no attribute 'missing'"),
    ],
)
def test_what_raises_on_every_row_is_refused(error: BaseException) -> None:
    with pytest.raises(LoadFailed) as caught:
        probe(Particular(raising(error)).fit(np.zeros((2, 3)), [0, 1]))
    assert caught.value.reason == "predict_raises"
    assert f"{type(error).__name__}" in str(caught.value)
    assert str(error) in str(caught.value)
    assert "predict fails on each of 19 rows tried" in str(caught.value)


def _adult(X: Any) -> None:
    if (np.asarray(X) < 18).any():
        raise ValueError("too young")


def _positive(X: Any) -> None:
    if (np.asarray(X) <= 0).any():
        raise ValueError("math domain error")


def _codes(X: Any) -> None:
    for code in np.asarray(X)[:, 0]:
        {1017: 1, 2044: 2}[code]


def _coded(X: Any) -> None:
    raise ValueError(f"Found unknown categories {np.unique(X)} in column 0 during transform")


@pytest.mark.parametrize("takes", [_adult, _positive, _codes, _coded])
def test_numbers_are_tried_far_and_wide(takes: Callable[[Any], None]) -> None:
    probe(Particular(takes).fit(np.zeros((2, 3)), [0, 1]))


def test_values_that_nobody_could_guess_are_no_reason_to_refuse() -> None:
    cities = pd.DataFrame({"city": ["Paris", "Berlin"]})
    probe(make_pipeline(FunctionTransformer(_look_up), LogisticRegression()).fit(cities, [0, 1]))


def _look_up(X: Any) -> Any:
    return np.asarray([[{"Paris": 1, "Berlin": 2}[city]] for city in np.asarray(X)[:, 0]])


def test_an_encoder_that_refuses_what_it_does_not_know_is_asked_what_it_knows() -> None:
    cities = pd.DataFrame({"city": ["Paris", "Berlin"]})
    probe(make_pipeline(OrdinalEncoder(handle_unknown="error"), LogisticRegression()).fit(cities, [0, 1]))


def test_texts_are_made_of_known_words() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["one day", "another"], [0, 1])
    probe(model)
    model.steps[-1] = ("broken", Particular(raising(ValueError("broken"))))
    model.steps[-1][1].n_features_in_ = 3
    with pytest.raises(LoadFailed):
        probe(model)
