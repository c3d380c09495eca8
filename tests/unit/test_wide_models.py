"""Models of very many columns: what finding out about them costs grows with the columns, not with their square."""

from time import thread_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.protocols import codecs_for
from model_manager.inference.compiled.compilation import MAX_COLUMNS, compile_predictor
from model_manager.inference.compiled.form import NotCovered
from model_manager.inference.compiled.fronts.category_tables import CategoryTable
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from tools.wide_estimators import classifier_of_columns, classifier_of_words


class Counting(LogisticRegression):  # type: ignore[misc]
    """Counts how often it is asked."""

    asked = 0

    def predict(self, X: Any) -> Any:
        self.asked += 1
        return super().predict(X)


def counted(pipeline: Any) -> Any:
    pipeline[-1].__class__ = Counting
    return pipeline


def test_twenty_thousand_columns_are_described_within_three_seconds() -> None:
    estimator = classifier_of_words()
    began = thread_time()
    signature = infer_signature(estimator)
    codecs_for(signature, max_rows=10, model="words", version="1")
    assert thread_time() - began < 3
    assert signature.columns is not None
    assert len(signature.columns) == 20_000
    assert not any(column.nullable for column in signature.columns)


def test_alike_columns_are_tried_together() -> None:
    estimator = counted(classifier_of_columns())
    columns = infer_signature(estimator).columns
    assert columns is not None
    assert [column.nullable for column in columns] == [False, True] * 500
    assert estimator[-1].asked <= 8


def test_columns_of_other_parts_are_told_apart_however_many_there_are() -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 300)), columns=[f"c{at}" for at in range(300)])
    scaled, filled = list(table.columns[:200]), list(table.columns[200:])
    fill = make_pipeline(SimpleImputer(), StandardScaler())
    parts = ColumnTransformer([("scaled", StandardScaler(), scaled), ("filled", fill, filled)])
    estimator = counted(make_pipeline(parts, LogisticRegression()).fit(table, np.arange(30) % 2))
    columns = infer_signature(estimator).columns
    assert columns is not None
    assert {column.name for column in columns if column.nullable} == set(filled)
    assert estimator[-1].asked <= 8


def test_forms_are_not_looked_for_beyond_what_a_proof_can_hold() -> None:
    estimator = classifier_of_words()
    predictor = SklearnPredictor(estimator, infer_signature(estimator))
    report = compile_predictor(estimator, predictor, None).report
    assert report.reason == f"it has 20000 columns; forms are looked for up to {MAX_COLUMNS}"


@pytest.mark.parametrize("handle_unknown", ["ignore", "error"])
def test_tables_of_a_wide_encoder_are_filled_in_a_few_calls_and_answer_as_it_does(handle_unknown: str) -> None:
    calls = []

    class Encoder(OneHotEncoder):  # type: ignore[misc]
        def transform(self, X: Any) -> Any:
            calls.append(len(X))
            return super().transform(X)

    values = np.array([[f"{row % 3}" for _ in range(60)] for row in range(9)], dtype=object)
    encoder = Encoder(handle_unknown=handle_unknown, sparse_output=False).fit(values)
    table = CategoryTable([encoder], None)
    assert len(calls) <= (5 if handle_unknown == "ignore" else 185)
    mixed = values[:, :]
    mixed[np.arange(9), np.arange(9)] = "2"
    np.testing.assert_array_equal(table(list(mixed.T)), encoder.transform(mixed))


def test_tables_that_would_not_fit_are_not_made() -> None:
    values = np.array([[f"{row}"] for row in range(6000)], dtype=object)
    with pytest.raises(NotCovered, match="too many categories"):
        CategoryTable([OneHotEncoder(sparse_output=False).fit(values)], None)
    assert CategoryTable([OrdinalEncoder().fit(values)], None)([values[:, 0]])[:2].tolist() == [[0.0], [1.0]]
