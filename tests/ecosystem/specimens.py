"""Estimators of other libraries, fitted as people fit them: each with the rows it was fitted on, and where it is from.

A library is imported when a specimen of it is made, so that tests can be collected without any.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tools import parts

ROWS: Final = 240
NUMBERS: Final = ["age", "charges"]


def library(name: str) -> Any:
    """A library of the ecosystem group; skips the test, or fails it, when it is not installed."""
    return parts.module(name, installed_by="make test-ecosystem")


def customers(*, missing: bool = False) -> pd.DataFrame:
    """A table of two numbers, two columns of strings and one of whole numbers."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": random.normal(46, 16, ROWS).round(),
            "plan": random.choice(["free", "paid", "trial"], ROWS),
            "charges": random.normal(60, 20, ROWS),
            "city": random.choice(["bern", "graz", "linz", "wien"], ROWS),
            "visits": random.integers(0, 6, ROWS),
        }
    )
    if missing:
        for at, name in enumerate(("age", "charges", "plan", "city")):
            table.loc[at :: 7 + at, name] = np.nan
    return table


def categorical(*, missing: bool = False) -> pd.DataFrame:
    """The table with its strings as pandas categories, one of them in an order that is not the alphabet's."""
    table = customers(missing=missing)
    plan = pd.CategoricalDtype(["trial", "free", "paid"])
    return table.astype({"plan": plan, "city": "category"}).assign(store=pd.Categorical(table["visits"] % 3 * 10))


def labels() -> Any:
    """Three words that depend on the table."""
    table = customers()
    score = (table["plan"] == "paid") * 30 + table["charges"] + (table["city"] == "wien") * 20
    return np.array(["leaves", "stays", "waits"], dtype=object)[np.digitize(score, [65, 90])]


def amounts() -> Any:
    """A number that depends on the table."""
    table = customers()
    return (table["plan"] == "free") * 30.0 + table["charges"] / 3 - (table["city"] == "bern") * 11


@dataclass(frozen=True)
class Specimen:
    """How to fit an estimator, and on what. `packed_only`: the artifact alone does not tell all of its columns."""

    fit: Callable[[Any], Any]
    X: Any
    packed_only: bool = False


CLASSES: Final = {
    ("xgboost", "classifier"): "XGBClassifier",
    ("xgboost", "regressor"): "XGBRegressor",
    ("lightgbm", "classifier"): "LGBMClassifier",
    ("lightgbm", "regressor"): "LGBMRegressor",
    ("catboost", "classifier"): "CatBoostClassifier",
    ("catboost", "regressor"): "CatBoostRegressor",
}
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "xgboost": {"n_estimators": 12, "max_depth": 3, "enable_categorical": True},
    "lightgbm": {"n_estimators": 12, "max_depth": 3, "verbose": -1},
    "catboost": {"iterations": 12, "depth": 3, "verbose": 0, "allow_writing_files": False},
}


def boosted(kind: str, task: str) -> Any:
    """An unfitted classifier or regressor of one of the three boosting libraries."""
    return getattr(library(kind), CLASSES[kind, task])(**OPTIONS[kind])


def target(kind: str, task: str) -> Any:
    """What the library takes: XGBoost wants classes to be 0, 1, 2."""
    if task == "regressor":
        return amounts()
    return np.unique(labels(), return_inverse=True)[1] if kind == "xgboost" else labels()


def _bare(kind: str, task: str, X: Any, **more: Any) -> Any:
    return boosted(kind, task).fit(X, target(kind, task), **more)


def _scaled(kind: str, task: str, X: Any) -> Any:
    return make_pipeline(StandardScaler(), boosted(kind, task)).fit(X, target(kind, task))


def _behind_encoders(kind: str, task: str, X: Any) -> Any:
    columns = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan", "city"])],
        remainder="passthrough",
    )
    return make_pipeline(columns, boosted(kind, task)).fit(X, target(kind, task))


def _passed_through(kind: str, task: str, X: Any) -> Any:
    """Categories that reach the library through a step that keeps the DataFrame, and tells nothing of them."""
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), NUMBERS)], remainder="passthrough", verbose_feature_names_out=False
    )
    return make_pipeline(columns.set_output(transform="pandas"), boosted(kind, task)).fit(X, target(kind, task))


def _boosting() -> Iterator[tuple[str, Specimen]]:
    numbers, gaps = customers()[NUMBERS], customers(missing=True)[NUMBERS]
    words = customers()
    for kind, task in CLASSES:
        name, bare = f"{kind} {task}", partial(_bare, kind, task)
        yield f"{name} of an array", Specimen(bare, numbers.to_numpy())
        yield f"{name} of a frame", Specimen(bare, numbers)
        spaced = numbers.set_axis(["the age", "all charges"], axis=1)
        yield f"{name} of spaced names", Specimen(bare, spaced, packed_only=kind == "lightgbm")
        yield f"{name} with gaps", Specimen(bare, gaps)
        yield f"{name} in a pipeline", Specimen(partial(_scaled, kind, task), gaps)
        yield f"{name} behind encoders", Specimen(partial(_behind_encoders, kind, task), customers(missing=True))
        if kind == "catboost":
            two, three = ["plan", "city"], ["plan", "city", "visits"]
            yield f"{name} of words", Specimen(partial(bare, cat_features=two), words[[*NUMBERS, *two]])
            yield f"{name} of words and codes", Specimen(partial(bare, cat_features=three), words, packed_only=True)
            yield (
                f"{name} of category dtype",
                Specimen(partial(bare, cat_features=[1, 3]), words.astype({"plan": "category"})),
            )
            continue
        yield f"{name} of categories", Specimen(bare, categorical())
        yield f"{name} of categories with gaps", Specimen(bare, categorical(missing=True))
        passed = partial(_passed_through, kind, task)
        yield f"{name} of categories passed through", Specimen(passed, categorical(), packed_only=True)


def _encoded(module: str, encoder: str, X: Any, **options: Any) -> Any:
    made = getattr(library(module), encoder)(**options)
    filled = SimpleImputer() if X.isna().any(axis=None) else "passthrough"
    return make_pipeline(made, filled, LogisticRegression(max_iter=2000)).fit(X, labels() == "stays")


def _sampled(X: Any) -> Any:
    pipeline, sampling = library("imblearn.pipeline"), library("imblearn.over_sampling")
    steps = (SimpleImputer(), sampling.RandomOverSampler(random_state=0), LogisticRegression(max_iter=2000))
    return pipeline.make_pipeline(*steps).fit(X, labels())


def _sampled_first(X: Any) -> Any:
    pipeline, sampling = library("imblearn.pipeline"), library("imblearn.under_sampling")
    encoder = ColumnTransformer([("words", OneHotEncoder(), ["plan", "city"])], remainder="passthrough")
    steps = (sampling.RandomUnderSampler(random_state=0), encoder, LogisticRegression(max_iter=2000))
    return pipeline.make_pipeline(*steps).fit(X, labels())


def _balanced(X: Any) -> Any:
    return library("imblearn.ensemble").BalancedRandomForestClassifier(10, random_state=0).fit(X, labels())


def _tabular(X: Any) -> Any:
    return library("skrub").tabular_pipeline("classifier").fit(X, labels())


def _searched(X: Any) -> Any:
    search = GridSearchCV(boosted("catboost", "classifier"), {"depth": [2, 3]}, cv=2)
    return search.fit(X, labels(), cat_features=["plan", "city"])


def _calibrated(X: Any) -> Any:
    return CalibratedClassifierCV(boosted("lightgbm", "classifier"), cv=2).fit(X, labels())


def _dart(X: Any) -> Any:
    return boosted("xgboost", "regressor").set_params(booster="dart").fit(X, amounts())


def _several(kind: str, X: Any) -> Any:
    both = np.stack([amounts(), -amounts()], axis=1)
    if kind == "xgboost":
        return boosted(kind, "regressor").fit(X, both)
    return boosted(kind, "regressor").set_params(loss_function="MultiRMSE").fit(X, both)


def _voting(X: Any) -> Any:
    members = [(kind, boosted(kind, "regressor")) for kind in ("xgboost", "lightgbm", "catboost")]
    return VotingRegressor(members).fit(X, amounts())


def _wrapped() -> Iterator[tuple[str, Specimen]]:
    words, numbers = customers(), customers()[NUMBERS]
    yield "catboost in a grid search of words", Specimen(_searched, words[[*NUMBERS, "plan", "city"]])
    yield "lightgbm calibrated of categories", Specimen(_calibrated, categorical())
    yield "xgboost dart of categories", Specimen(_dart, categorical())
    yield "xgboost of two targets", Specimen(partial(_several, "xgboost"), numbers)
    yield "catboost of two targets", Specimen(partial(_several, "catboost"), numbers)
    yield "all three voting", Specimen(_voting, numbers)


CATEGORY_ENCODERS: Final = (
    "OrdinalEncoder",
    "OneHotEncoder",
    "TargetEncoder",
    "CatBoostEncoder",
    "BinaryEncoder",
    "CountEncoder",
)


def _others() -> Iterator[tuple[str, Specimen]]:
    words, gaps = customers(), customers(missing=True)
    for encoder in CATEGORY_ENCODERS:
        yield f"category_encoders {encoder}", Specimen(partial(_encoded, "category_encoders", encoder), gaps)
    for encoder in ("OneHotEncoder", "OrdinalEncoder", "MeanEncoder"):
        yield f"feature_engine {encoder}", Specimen(partial(_encoded, "feature_engine.encoding", encoder), words)
    yield "feature_engine imputer and encoder", Specimen(_imputed, gaps)
    yield "skrub TableVectorizer", Specimen(partial(_encoded, "skrub", "TableVectorizer"), words)
    yield "skrub tabular pipeline", Specimen(_tabular, gaps)
    yield "imblearn pipeline", Specimen(_sampled, gaps[NUMBERS])
    yield "imblearn pipeline that samples first", Specimen(_sampled_first, words)
    yield "imblearn forest", Specimen(_balanced, words[NUMBERS])


def _imputed(X: Any) -> Any:
    imputation, encoding = library("feature_engine.imputation"), library("feature_engine.encoding")
    steps = (imputation.MeanMedianImputer(), imputation.CategoricalImputer(), encoding.OneHotEncoder())
    return make_pipeline(*steps, LogisticRegression(max_iter=2000)).fit(X, labels())


SPECIMENS: Final[dict[str, Specimen]] = {**dict(_boosting()), **dict(_wrapped()), **dict(_others())}
