"""Models are explained by the columns of their input, whatever lies between, and each explanation adds up."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import NotExplained
from model_manager.inference.explaining.coalitions import Coalitions
from model_manager.inference.explaining.columns import Mixed, features_of, steps_of
from model_manager.inference.explaining.explainer import Explained, Explainer, explainer_of
from model_manager.inference.explaining.trees import trees_of
from model_manager.inference.predictor import SklearnPredictor
from model_manager.signature import DeclaredColumn, Rows
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from tests.unit.explaining.staging import by_definition, predictor_of, rows_of, shapley

IRIS = load_iris()
RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "plan": RANDOM.choice(["free", "paid", "trial"], 300),
        "age": np.where(RANDOM.random(300) < 0.1, np.nan, RANDOM.normal(40, 10, 300).round()),
        "zip": RANDOM.choice(["01234", "98765"], 300),
        "calls": RANDOM.poisson(2.0, 300).astype(float),
    }
)
LEFT = np.where((TABLE["plan"] == "trial") | (TABLE["calls"] > 3), "yes", "no")
COLUMNS = tuple(
    DeclaredColumn(name, "BYTES" if name in ("plan", "zip") else "FP64", nullable=True) for name in TABLE.columns
)


def prepared(last: Any, *, remainder: Any = "drop") -> Any:
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    front = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore"), ["zip", "plan"]), ("numbers", numbers, ["age"])],
        remainder=remainder,
    )
    return Pipeline([("front", front), ("last", last)])


def table_rows(table: pd.DataFrame) -> Rows:
    kinds = {"plan": object, "zip": object}
    return Rows(tuple(table[name].to_numpy(dtype=kinds.get(name, np.float64)) for name in table.columns))


def odd_rows() -> pd.DataFrame:
    """Rows as clients send them: usual, with gaps, of categories that nobody has seen."""
    odd = TABLE.head(4).copy()
    odd.loc[1, "age"] = np.nan
    odd.loc[2, "plan"] = "a new, other plan"
    odd.loc[3, "zip"] = None
    return odd


def added_up(explainer: Explainer, predictor: SklearnPredictor, rows: Rows) -> Explained:
    found = explainer.explain(rows)
    answers = predictor.predict(rows, (explainer.output.name,))[explainer.output.name].reshape(len(rows), -1)
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=1), answers, atol=1e-9)
    return found


@pytest.mark.parametrize(
    ("last", "method", "unit"),
    [
        (RandomForestClassifier(10, random_state=0, max_depth=6), "trees", "probability"),
        (LogisticRegression(), "linear", "log-odds"),
        (RidgeClassifier(), "linear", "score"),
        (SVC(), "permutations", "score"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_a_table_of_strings_and_gaps_is_explained_by_its_columns(last: Any, method: str, unit: str) -> None:
    predictor = predictor_of(prepared(last, remainder="passthrough").fit(TABLE, LEFT), COLUMNS)
    explainer = explainer_of(predictor, table_rows(TABLE.head(30)), budget=100)
    assert (explainer.method, explainer.unit) == (method, unit)
    found = added_up(explainer, predictor, table_rows(odd_rows()))
    assert found.contributions.shape[:2] == (4, 4)
    strength = np.abs(found.contributions[0, :, -1])
    assert strength[[0, 3]].min() > strength[2], "plan and calls matter, the zip code is noise"


def test_one_hot_columns_are_summed_back_into_theirs() -> None:
    model = prepared(RandomForestClassifier(5, random_state=0, max_depth=4)).fit(TABLE, LEFT)
    steps, last = steps_of(model)
    columns = features_of(steps, list(TABLE.columns))
    assert columns.tolist() == [2, 2, 0, 0, 0, 1, 1]
    explainer = explainer_of(predictor_of(model, COLUMNS), None, budget=1)
    found = explainer.explain(table_rows(odd_rows())).contributions
    assert not found[:, 3].any(), "calls are dropped on the way"
    read = trees_of(last)
    assert read is not None
    matrix = np.asarray(model[:-1].transform(odd_rows()), dtype=np.float64)
    for row, got in zip(matrix, found, strict=True):
        features = by_definition(read.trees, row)
        for column in range(4):
            np.testing.assert_allclose(got[column], features[columns == column].sum(axis=0), atol=1e-10)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([StandardScaler(), MinMaxScaler()], [0, 1, 2, 3]),
        ([SelectKBest(k=2)], [2, 3]),
        ([KBinsDiscretizer(3)], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        ([SplineTransformer(2, degree=1)], [0, 0, 1, 1, 2, 2, 3, 3]),
        ([TargetEncoder()], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        ([OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)], [0, 1, 2, 3]),
        ([make_union(StandardScaler(), SelectKBest(k=1))], [0, 1, 2, 3, 2]),
        (
            [ColumnTransformer([("b", "passthrough", [3, 0]), ("a", "drop", [1])], remainder=StandardScaler())],
            [3, 0, 2],
        ),
        ([PCA(2)], None),
        ([PolynomialFeatures()], None),
        ([ColumnTransformer([("a", PCA(1), [0, 1])])], None),
    ],
    ids=str,
)
def test_features_are_traced_back_to_columns(steps: list[Any], expected: list[int] | None) -> None:
    made = make_pipeline(*steps, RandomForestClassifier(2)).fit(IRIS.data, IRIS.target)
    before, _ = steps_of(made)
    names = ["0", "1", "2", "3"]
    if expected is None:
        with pytest.raises(Mixed):
            features_of(before, names)
    else:
        assert features_of(before, names).tolist() == expected


def test_columns_in_another_order_than_the_model_was_fitted_on_are_not_traced() -> None:
    model = make_pipeline(StandardScaler(), Ridge()).fit(TABLE[["calls", "age"]].fillna(0), TABLE["calls"])
    with pytest.raises(Mixed, match="another order"):
        features_of(steps_of(model)[0], ["age", "calls"])


def test_what_mixes_columns_is_explained_by_asking_all_of_it_by_the_definition() -> None:
    model = make_pipeline(PCA(2), KNeighborsClassifier(7)).fit(IRIS.data, IRIS.target_names[IRIS.target])
    predictor, background = predictor_of(model), IRIS.data[::15]
    explainer = explainer_of(predictor, rows_of(background), budget=1000)
    assert (explainer.method, explainer.output.name) == ("subsets", "predict_proba")
    found = added_up(explainer, predictor, rows_of(IRIS.data[[0, 77]]))
    for row, got in zip(IRIS.data[[0, 77]], found.contributions, strict=True):

        def value(known: frozenset[int], row: Any = row) -> Any:
            mixed = background.copy()
            mixed[:, list(known)] = row[list(known)]
            return model.predict_proba(mixed).mean(axis=0)

        np.testing.assert_allclose(got, shapley(value, 4), atol=1e-12)


def test_permutations_come_near_the_definition_and_add_up() -> None:
    X = np.random.default_rng(1).normal(size=(80, 14))
    y = np.where(X[:, 0] * X[:, 1] + X[:, 2] > 0, 1, 0)
    predictor = predictor_of(SVC().fit(X, y))
    linear = predictor_of(LinearSVC().fit(X, y))
    explainer = explainer_of(predictor, rows_of(X[:20]), budget=3000)
    assert explainer.method == "permutations"
    added_up(explainer, predictor, rows_of(X[20:22]))
    exact = explainer_of(linear, rows_of(X[:5]), budget=1).explain(rows_of(X[20:21])).contributions

    def answer(rows: Rows) -> Any:
        return linear.predict(rows, ("decision_function",))["decision_function"].reshape(-1, 1)

    asked = Coalitions(answer, linear.signature, rows_of(X[:5]), budget=140)
    np.testing.assert_allclose(asked.contributions(rows_of(X[20:21])), exact[0], atol=1e-9)


@pytest.mark.parametrize("budget", [1, 57, 400])
def test_no_more_rows_are_asked_for_than_the_budget_allows(budget: int) -> None:
    asked: list[int] = []
    predictor = predictor_of(LinearRegression().fit(IRIS.data, IRIS.target))

    def answer(rows: Rows) -> Any:
        asked.append(len(rows))
        return rows.blocks[0][:, :1]

    coalitions = Coalitions(answer, predictor.signature, rows_of(IRIS.data), budget=budget)
    asked.clear()
    coalitions.contributions(rows_of(IRIS.data[:1]))
    ends = 2 * 20  # of each permutation both ends are asked as well
    assert sum(asked) <= max(budget, 2 * 4) + max(1, budget // 8) * 2 + ends


def test_boosting_that_encodes_its_own_categories_is_explained_by_its_columns() -> None:
    table = TABLE.assign(plan=TABLE["plan"].astype("category"))[["age", "plan", "calls"]]
    model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5, categorical_features="from_dtype")
    model.fit(table, LEFT)
    categories = ("free", "paid", "trial")
    declared = (
        DeclaredColumn("age", "FP64", nullable=True),
        DeclaredColumn("plan", "BYTES", nullable=True, categories=categories, categorical=True),
        DeclaredColumn("calls", "FP64", nullable=True),
    )
    predictor = predictor_of(model, declared)
    explainer = explainer_of(predictor, None, budget=1)
    assert explainer.method == "trees"
    odd = odd_rows()
    rows = Rows((odd["age"].to_numpy(), odd["plan"].to_numpy(dtype=object), odd["calls"].to_numpy()))
    found = added_up(explainer, predictor, rows)
    assert np.abs(found.contributions[:, 1]).max() > 0.01, "plan matters"


def test_searches_are_looked_through() -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]}, cv=2)
    predictor = predictor_of(search.fit(IRIS.data, IRIS.target))
    explainer = explainer_of(predictor, rows_of(IRIS.data), budget=1)
    assert explainer.method == "linear"
    found = added_up(explainer, predictor, rows_of(IRIS.data[:3]))
    np.testing.assert_allclose(found.base, search.predict(IRIS.data).mean())


@pytest.mark.parametrize(
    ("model", "background", "why"),
    [
        (LinearRegression().fit(IRIS.data, IRIS.target), None, "golden rows"),
        (KNeighborsClassifier().fit(IRIS.data, IRIS.target), None, "golden rows"),
        (make_pipeline(CountVectorizer(), LogisticRegression()).fit(["a bad", "my good"], [0, 1]), None, "by column"),
        (DecisionTreeRegressor().fit(IRIS.data, IRIS.data[:, :2]), rows_of(IRIS.data), "no numbers"),
    ],
    ids=["linear", "asked", "text", "two numbers"],
)
def test_what_is_not_explained_says_why(model: Any, background: Rows | None, why: str) -> None:
    with pytest.raises(NotExplained, match=why):
        explainer_of(predictor_of(model), background, budget=100)


def test_scores_of_a_model_without_classes_are_explained() -> None:
    predictor = predictor_of(IsolationForest(n_estimators=5, random_state=0).fit(IRIS.data))
    explainer = explainer_of(predictor, rows_of(IRIS.data[:20]), budget=500)
    added_up(explainer, predictor, rows_of(IRIS.data[:2]))
