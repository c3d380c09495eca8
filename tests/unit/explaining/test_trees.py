"""Trees are explained exactly: held to the definition of Shapley values, on trees of any shape."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.inference.explaining.tree_paths import TreePaths
from model_manager.inference.explaining.trees import trees_of
from model_manager.signature import Array
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.unit.explaining.staging import by_definition

WIDTH = 5
FEW = {"n_estimators": 3, "random_state": 0}
ENSEMBLES = [
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(**FEW, max_depth=4, class_weight="balanced"),
    RandomForestRegressor(**FEW, max_depth=5),
    ExtraTreesClassifier(**FEW, max_depth=4),
    GradientBoostingClassifier(**FEW),
    GradientBoostingRegressor(**FEW, loss="huber"),
    HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5, max_leaf_nodes=8),
    HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, max_leaf_nodes=8, categorical_features=[1, 3]),
]


def rows(random: np.random.Generator, count: int, *, gaps: bool) -> Array:
    """Numbers, of which columns 1 and 3 are small integers; with gaps in columns 0 and 1."""
    X = random.normal(size=(count, WIDTH))
    X[:, [1, 3]] = random.integers(0, 6, (count, 2))
    if gaps:
        X[random.random(count) < 0.2, 0] = np.nan
        X[random.random(count) < 0.2, 1] = np.nan
    return X


def agrees(estimator: Any, X: Array) -> None:
    read = trees_of(estimator)
    assert read is not None
    paths = TreePaths(read.trees, read.start, np.arange(WIDTH), WIDTH, float32=read.float32)
    answers = np.asarray(getattr(estimator, read.output)(X)).reshape(len(X), -1)
    if len(paths.base) == 1 and answers.shape[1] == 1 and hasattr(estimator, "classes_"):
        assert read.unit in ("log-odds", "score")
    matrix = X if getattr(estimator, "_preprocessor", None) is None else estimator._preprocess_X(X, reset=False)
    for row, answer in zip(matrix, answers, strict=True):
        found = paths.contributions(row)
        np.testing.assert_allclose(found, by_definition(read.trees, row), atol=1e-10)
        np.testing.assert_allclose(paths.base + found.sum(axis=0), answer, atol=1e-9)


@pytest.mark.parametrize(
    ("estimator", "gaps"),
    [(one, not type(one).__name__.startswith("GradientBoosting")) for one in ENSEMBLES],
    ids=[type(one).__name__ for one in ENSEMBLES],
)
def test_every_kind_of_ensemble_is_explained_by_the_definition(estimator: Any, gaps: bool) -> None:
    random = np.random.default_rng(1)
    X = rows(random, 120, gaps=gaps)
    score = np.nan_to_num(X[:, 0]) + (X[:, 1] == 2) * X[:, 2] - np.nan_to_num(X[:, 3])
    y = np.digitize(score, [-3.0, -1.0]) if hasattr(estimator, "predict_proba") else score
    fitted = estimator.fit(X, y)
    agrees(fitted, np.concatenate([X[:2], rows(random, 2, gaps=gaps)]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), depth=st.integers(1, 9), weighed=st.booleans(), gaps=st.booleans())
def test_trees_of_any_shape_are_explained_by_the_definition(seed: int, depth: int, weighed: bool, gaps: bool) -> None:
    random = np.random.default_rng(seed)
    X = rows(random, 60, gaps=gaps)
    weights = random.choice([0.0, 1.0, 3.0], 60) + (np.arange(60) < 2) if weighed else None
    tree = DecisionTreeRegressor(max_depth=depth, random_state=seed % 100, splitter="best" if gaps else "random")
    agrees(tree.fit(X, random.normal(size=60), sample_weight=weights), rows(random, 2, gaps=gaps))


def test_categories_that_were_not_seen_go_where_the_trees_send_them() -> None:
    X = rows(np.random.default_rng(2), 200, gaps=True)
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5, categorical_features=[1])
    model.fit(X, (X[:, 1] == 2) * 3.0 + (X[:, 1] == 4) * X[:, 2])
    read = trees_of(model)
    assert read is not None
    assert any(tree.members for tree in read.trees)
    paths = TreePaths(read.trees, read.start, np.arange(WIDTH), WIDTH, float32=False)
    order = np.r_[1, 0, 2:WIDTH]  # it has its categories first
    for category in (2.0, 4.0, 99.0, np.nan):
        row = X[:1].copy()
        row[0, 1] = category
        encoded = model._preprocess_X(row, reset=False)
        np.testing.assert_array_equal(order, [1, 0, 2, 3, 4])
        found = paths.contributions(encoded[0])
        np.testing.assert_allclose(paths.base + found.sum(axis=0), model.predict(row), atol=1e-9)


def test_what_is_no_sum_of_trees_is_left_to_others() -> None:
    X = rows(np.random.default_rng(3), 60, gaps=False)
    two = np.abs(X[:, :2])
    assert trees_of(RandomForestRegressor(n_estimators=2).fit(X, two)) is None, "it answers two numbers"
    assert trees_of(HistGradientBoostingRegressor(max_iter=2, loss="poisson").fit(X, two[:, 0])) is None
    assert trees_of(GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, X[:, 0])) is None
    assert trees_of(LinearRegression().fit(X, X[:, 0])) is None


def test_a_tree_that_is_one_leaf_moves_nothing() -> None:
    X = rows(np.random.default_rng(4), 10, gaps=False)
    read = trees_of(DecisionTreeRegressor().fit(X, np.ones(10)))
    assert read is not None
    paths = TreePaths(read.trees, read.start, np.arange(WIDTH), WIDTH, float32=True)
    assert paths.base == [1.0]
    assert not paths.contributions(X[0]).any()
