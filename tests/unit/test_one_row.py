"""A single row's label by Python's own sums is scikit-learn's, or left to numpy."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.inference.compiled.builders import candidates
from model_manager.inference.compiled.fronts.front import build_front
from model_manager.inference.compiled.heads import unwrap
from model_manager.inference.compiled.linear.one_row import LabelOfOne, label_of_one_row
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Column, Rows, Signature
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler

Floats = NDArray[np.float64]

X: Floats = np.random.default_rng(3).normal(5.0, 3.0, (300, 4))
Y = np.array(["low", "middle", "high"], dtype=object)[np.digitize(X[:, 0] - X[:, 1], [-2.0, 2.0])]
TWO = Y == "low"


def way(estimator: Any, signature: Signature | None = None) -> LabelOfOne | None:
    """How single rows of an estimator are labelled."""
    signature = signature or infer_signature(estimator)
    inner, transformers = unwrap(estimator)
    return label_of_one_row(inner, build_front(transformers, signature).origins, signature)


def one(*values: float) -> Rows:
    return Rows((np.array([values]),))


@pytest.mark.parametrize("labels", [Y, TWO, TWO.astype(int)], ids=["three", "two", "numbers"])
@pytest.mark.parametrize(
    "before",
    [
        [],
        [StandardScaler()],
        [RobustScaler(), MaxAbsScaler()],
        [MinMaxScaler()],
        [SelectKBest(k=2), StandardScaler()],
        [ColumnTransformer([("a", StandardScaler(), [3, 0]), ("b", MinMaxScaler(), [1, 2])])],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps) or "plain",
)
def test_it_labels_every_row_as_scikit_learn_does(before: list[Any], labels: NDArray[Any]) -> None:
    estimator = make_pipeline(*before, LogisticRegression()).fit(X, labels)
    label = way(estimator)
    assert label is not None
    for row, expected in zip(X, estimator.predict(X), strict=True):
        answer = label(one(*row))
        assert answer is not None, "no row of these is near a tie"
        assert (answer.shape, answer[0]) == ((1,), expected)


def test_a_row_of_named_columns_is_one_too() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y)
    label = way(estimator)
    assert label is not None
    for row, expected in zip(X[:50], estimator.predict(frame[:50]), strict=True):
        answer = label(Rows(tuple(np.array([value]) for value in row)))
        assert answer is not None
        assert answer[0] == expected


@given(
    weights=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=3, max_size=3),
    row=st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
    tied=st.booleans(),
)
def test_it_never_differs_however_near_a_tie(weights: list[list[float]], row: list[float], tied: bool) -> None:
    if tied:  # the last score is the first, but for the rounding of another order
        weights = [weights[0], weights[1], [weights[0][0] * (1 + 1e-16), *weights[0][1:]]]
    estimator = LogisticRegression().fit(X[:, :3], Y)
    estimator.coef_ = np.array(weights)
    label = way(estimator)
    assert label is not None
    answer = label(one(*row))
    if answer is not None:
        assert answer[0] == estimator.predict(np.array([row]))[0]


def test_a_tie_is_left_to_numpy_and_answered_by_it() -> None:
    estimator = LogisticRegression().fit(X, Y)
    estimator.coef_[1] = estimator.coef_[0]
    estimator.intercept_[:] = [1.0, 1.0, -1e6]
    label = way(estimator)
    assert label is not None
    row = one(1.0, 2.0, 3.0, 4.0)
    assert label(row) is None
    form = next(each.build() for each in candidates(estimator, infer_signature(estimator)) if each.name == "numpy")
    assert form.predict(row, ("predict",))["predict"].tolist() == estimator.predict(row.blocks[0]).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
@pytest.mark.parametrize("at", [0, 3])
def test_values_that_are_hardly_numbers_are_left_to_numpy(value: float, labels: NDArray[Any], at: int) -> None:
    label = way(make_pipeline(StandardScaler(), LogisticRegression()).fit(X * 1e-3, labels))
    assert label is not None
    values = [1.0, 2.0, 3.0, 4.0]
    values[at] = value
    assert label(one(*values)) is None


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression().fit(X, X[:, 0]),
        make_pipeline(MinMaxScaler(clip=True), LogisticRegression()).fit(X, Y),
        make_pipeline(PolynomialFeatures(), LogisticRegression(max_iter=1000)).fit(X, Y),
        RidgeClassifier().fit(np.hstack([X] * 6), Y),
    ],
    ids=["values", "clipped", "products", "wide"],
)
def test_of_others_it_is_no_way(estimator: Any) -> None:
    assert way(estimator) is None


def test_of_columns_that_may_be_empty_it_is_no_way() -> None:
    estimator = LogisticRegression().fit(X, Y)
    known = infer_signature(estimator)
    columns = tuple(Column(str(at), "FP64", nullable=at == 1) for at in range(4))
    assert way(estimator, Signature(known.layout, columns, known.named, known.outputs)) is None


def test_what_is_answered_cannot_be_changed_by_whoever_gets_it() -> None:
    label = way(LogisticRegression().fit(X, Y))
    assert label is not None
    answer = label(one(*X[0]))
    assert answer is not None
    with pytest.raises(ValueError, match="read-only"):
        answer[0] = "other"
