"""What of other libraries cannot be served is refused at load, with the way out; what can keeps the rules of others."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import LoadFailed
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Layout, Rows

from tests.ecosystem.specimens import (
    NUMBERS,
    amounts,
    boosted,
    categorical,
    customers,
    library,
    target,
)
from tests.models import dump

pytestmark = pytest.mark.ecosystem


class TakesDMatrix:
    """A wrapper as people write it: what it is given goes to the booster as it is."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict(self, X: Any) -> Any:
        return self.booster.predict(X)


class MakesDMatrix(TakesDMatrix):
    """A wrapper as it should be."""

    def predict(self, X: Any) -> Any:
        return self.booster.predict(library("xgboost").DMatrix(X))


def refusal(estimator: Any) -> str:
    with pytest.raises(LoadFailed) as caught:
        infer_signature(load_estimator(io.BytesIO(dump(estimator)), library_mismatch="refuse").estimator)
    assert caught.value.reason == "not_a_model"
    return str(caught.value)


@pytest.fixture
def booster() -> Any:
    """XGBoost's own model, as its native interface trains it."""
    xgboost = library("xgboost")
    return xgboost.train({"max_depth": 2}, xgboost.DMatrix(customers()[NUMBERS].to_numpy(), amounts()), 3)


def test_a_raw_booster_of_xgboost_is_no_model(booster: Any) -> None:
    assert refusal(booster) == (
        "the artifact holds a Booster: a raw Booster of XGBoost takes DMatrix only; "
        "save the scikit-learn wrapper, such as XGBClassifier or XGBRegressor"
    )


def test_a_model_that_hands_rows_to_a_raw_booster_is_no_model(booster: Any) -> None:
    assert refusal(TakesDMatrix(booster)) == (
        "no row can be predicted: a raw Booster of XGBoost takes DMatrix only; "
        "save the scikit-learn wrapper, such as XGBClassifier or XGBRegressor"
    )


def test_a_model_that_makes_the_matrix_itself_serves(booster: Any) -> None:
    model = load_estimator(io.BytesIO(dump(MakesDMatrix(booster))), library_mismatch="refuse").estimator
    predictor = SklearnPredictor(model, infer_signature(model))
    X = customers()[NUMBERS].to_numpy()
    expected = booster.predict(library("xgboost").DMatrix(X))
    assert predictor.predict(Rows((X,)), ("predict",))["predict"].tolist() == expected.tolist()


def test_a_raw_booster_of_lightgbm_takes_arrays_and_serves() -> None:
    lightgbm = library("lightgbm")
    for X, layout in ((customers()[NUMBERS], Layout.FRAME), (customers()[NUMBERS].to_numpy(), Layout.ARRAY)):
        booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, amounts()), 3)
        signature = infer_signature(load_estimator(io.BytesIO(dump(booster)), library_mismatch="refuse").estimator)
        assert signature.layout is layout
        assert signature.columns is not None
        assert len(signature.columns) == 2


def test_a_booster_computes_on_one_thread() -> None:
    estimator = boosted("xgboost", "regressor").set_params(n_jobs=2).fit(customers()[NUMBERS], amounts())
    loaded = load_estimator(io.BytesIO(dump(estimator)), library_mismatch="refuse").estimator
    assert json.loads(loaded.get_booster().save_config())["learner"]["generic_param"]["nthread"] == "1"


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "catboost"])
def test_what_was_never_fitted_is_no_model(kind: str) -> None:
    assert "in the artifact is not fitted; call fit before dump" in refusal(boosted(kind, "classifier"))


def test_categories_that_nothing_tells_of_are_asked_for() -> None:
    ordered = categorical().assign(plan=pd.Categorical(customers()["plan"], ["free", "trial", "paid"], ordered=True))
    mixed = ordered[[*NUMBERS, "plan"]]
    text = refusal(boosted("lightgbm", "regressor").fit(mixed, amounts()))
    assert text.startswith("no row can be predicted, ValueError: train and valid dataset categorical_feature do not")
    assert text.endswith("pack it with a sample of its rows, or declare them in metadata.json")


def test_categories_that_xgboost_keeps_cut_are_not_taken_for_whole() -> None:
    towns = pd.DataFrame({"town": pd.Categorical(np.where(customers()["visits"] > 2, "Zürich", "Bern"))})
    model = boosted("xgboost", "classifier").fit(towns, target("xgboost", "classifier"))
    assert refusal(model).endswith("pack it with a sample of its rows, or declare them in metadata.json")
