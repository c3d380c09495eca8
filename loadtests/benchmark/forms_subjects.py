"""The estimators whose forms are timed: one of every kind that has a form, fitted to data of an ordinary size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from model_manager.signature import Array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

TRAINED = 2000
ASKED = 512


@dataclass(frozen=True, slots=True)
class Subject:
    """A fitted estimator, what it is called in the table, and rows that it has not seen."""

    name: str
    estimator: Any
    rows: Any


def subjects(matching: str = "") -> Iterator[Subject]:
    """Fit one after the other those whose name holds `matching`, in the order of the table."""
    for name, estimator, data in _ALL:
        if matching.lower() in name.lower():
            X, y = data()
            yield Subject(name, estimator.fit(X[:TRAINED], y[:TRAINED]), X[TRAINED:])


def _classes() -> tuple[Array, Array]:
    X, y = make_classification(TRAINED + ASKED, 20, n_informative=10, n_classes=3, random_state=0)
    return X, np.array(["low", "middle", "high"])[y]


def _numbers() -> tuple[Array, Array]:
    X, y = make_regression(TRAINED + ASKED, 20, noise=5.0, random_state=0)
    return X, y


def _customers() -> tuple[pd.DataFrame, Array]:
    """A table of strings and numbers, some missing."""
    random, count = np.random.default_rng(0), TRAINED + ASKED
    table = pd.DataFrame(
        {
            "contract": random.choice(["monthly", "yearly", "biennial"], count),
            "town": random.choice([f"town {number}" for number in range(200)], count),
            "age": random.normal(46, 16, count).round(),
            "charges": random.normal(60, 20, count),
        }
    )
    table.loc[random.random(count) < 0.1, "age"] = np.nan
    return table, np.where(table["charges"] + random.normal(0, 9, count) > 60, "leaves", "stays")


def _texts() -> tuple[Array, Array]:
    """Texts of 60 words, drawn as often as words of a language are, from 20,000."""
    random = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(20_000)])
    drawn = np.minimum(random.zipf(1.3, (TRAINED + ASKED, 60)), len(words)) - 1
    texts = np.array([" ".join(row) for row in words[drawn]], dtype=object)
    return texts, np.array(["news", "sport", "arts"])[drawn.sum(axis=1) % 3]


def _scaled(head: Any) -> Pipeline:
    return make_pipeline(StandardScaler(), head)


def _table(encoder: Any) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [("strings", encoder, ["contract", "town"]), ("numbers", numbers, ["age", "charges"])]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression())


_ALL: tuple[tuple[str, Any, Callable[[], tuple[Any, Any]]], ...] = (
    ("StandardScaler, LogisticRegression", _scaled(LogisticRegression()), _classes),
    ("StandardScaler, Ridge", _scaled(Ridge()), _numbers),
    ("table: OneHotEncoder, LogisticRegression", _table(OneHotEncoder(handle_unknown="ignore")), _customers),
    ("table: TargetEncoder, LogisticRegression", _table(TargetEncoder()), _customers),
    ("RandomForestClassifier, 100 trees", RandomForestClassifier(random_state=0), _classes),
    ("GradientBoostingClassifier", GradientBoostingClassifier(random_state=0), _classes),
    ("HistGradientBoostingClassifier", HistGradientBoostingClassifier(random_state=0), _classes),
    ("IsolationForest", IsolationForest(random_state=0), _classes),
    ("text: TfidfVectorizer, LogisticRegression", make_pipeline(TfidfVectorizer(), LogisticRegression()), _texts),
    ("text: pairs of words, LinearSVC", make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC()), _texts),
    ("text: CountVectorizer, MultinomialNB", make_pipeline(CountVectorizer(), MultinomialNB()), _texts),
    (
        "text: TfidfVectorizer, TruncatedSVD, LogisticRegression",
        make_pipeline(TfidfVectorizer(), TruncatedSVD(50, random_state=0), LogisticRegression()),
        _texts,
    ),
    (
        "text: TfidfVectorizer, CalibratedClassifierCV of LinearSVC",
        make_pipeline(TfidfVectorizer(), CalibratedClassifierCV(LinearSVC())),
        _texts,
    ),
    ("SVC", _scaled(SVC()), _classes),
    ("SVC, linear kernel", _scaled(SVC(kernel="linear")), _classes),
    ("SVR", _scaled(SVR()), _numbers),
    ("OneClassSVM", _scaled(OneClassSVM(nu=0.1)), _classes),
    ("MLPClassifier, 100 neurons", _scaled(MLPClassifier(max_iter=500, random_state=0)), _classes),
    ("MLPRegressor, 2 × 50 neurons", _scaled(MLPRegressor(hidden_layer_sizes=(50, 50), max_iter=900)), _numbers),
    ("GaussianNB", GaussianNB(), _classes),
    ("BernoulliNB", BernoulliNB(), _classes),
    ("CalibratedClassifierCV of LinearSVC", CalibratedClassifierCV(_scaled(LinearSVC())), _classes),
    (
        "VotingClassifier, soft: linear, forest, Bayes",
        VotingClassifier(
            [
                ("a", _scaled(LogisticRegression())),
                ("b", RandomForestClassifier(50, random_state=0)),
                ("c", GaussianNB()),
            ],
            voting="soft",
        ),
        _classes,
    ),
    (
        "VotingRegressor: linear, forest",
        VotingRegressor([("a", _scaled(Ridge())), ("b", RandomForestRegressor(50, random_state=0))]),
        _numbers,
    ),
    ("OneVsRestClassifier of LogisticRegression", OneVsRestClassifier(_scaled(LogisticRegression())), _classes),
    (
        "StackingClassifier: SVC, forest",
        StackingClassifier([("a", _scaled(SVC())), ("b", RandomForestClassifier(50, random_state=0))], cv=3),
        _classes,
    ),
    ("KNeighborsClassifier", _scaled(KNeighborsClassifier()), _classes),
    ("KNeighborsRegressor, by distance", _scaled(KNeighborsRegressor(weights="distance")), _numbers),
)
