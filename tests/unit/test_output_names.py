"""server/model_manager/inference/signature/output_names.py: what a row of an answer holds, and what is not told."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.v2_metadata import describe_outputs
from model_manager.errors import LoadFailed
from model_manager.inference.signature.infer import infer_signature
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import Declared, DeclaredTensor
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler

from tests.unit.zoo import ARRAY, FRAME, TARGET, TEXTS

NUMBERS = FRAME[["visits", "member"]].astype(float)


class Own(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of one's own: nobody knows what its names are made of."""

    def fit(self, X: Any, y: Any = None) -> "Own":
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.asarray(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        return np.array([f"of {index}" for index in range(self.n_features_in_)], dtype=object)


def names(estimator: Any, declared: Declared = Declared()) -> tuple[str | None, ...]:  # noqa: B008  it is frozen
    signature = infer_signature(estimator, declared)
    (output,) = [one for one in signature.outputs if one.name == "transform"]
    return output.columns


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (StandardScaler().fit(NUMBERS), ("visits", "member")),
        (PCA(2).fit(ARRAY), ("pca0", "pca1")),
        (KMeans(2, n_init=1).fit(ARRAY), ("kmeans0", "kmeans1")),
        (make_pipeline(StandardScaler(), SelectKBest(k=2)).fit(ARRAY, TARGET), ("x2", "x3")),
        (
            PolynomialFeatures(2, include_bias=False).fit(NUMBERS),
            ("visits", "member", "visits^2", "visits member", "member^2"),
        ),
        (OrdinalEncoder().fit(FRAME[["plan"]]), ("plan",)),
    ],
)
def test_the_estimators_own_names_are_those_of_its_columns(estimator: Any, expected: tuple[str, ...]) -> None:
    assert names(estimator) == expected


def test_columns_that_metadata_names_are_called_by_their_names() -> None:
    declared = Declared(tensor=DeclaredTensor("input", "FP64", 4, ("a", "b", "c", "d")))
    assert names(SelectKBest(k=2).fit(ARRAY, TARGET), declared) == ("c", "d")


def test_values_of_the_training_data_are_not_told_by_the_names_made_of_them() -> None:
    """GET /v2/models/<m> is for anyone: an encoder's names hold what it saw, a street as well as a plan."""
    columns = ColumnTransformer(
        [
            ("strings", OneHotEncoder(), ["city", "plan"]),
            ("bins", KBinsDiscretizer(2, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), ["visits"]),
            ("numbers", StandardScaler(), ["visits"]),
        ]
    ).fit(FRAME.dropna())
    own = columns.get_feature_names_out().tolist()
    assert own[:2] == ["strings__city_bern", "strings__city_graz"]
    assert names(columns) == (*[None] * 7, "numbers__visits")


def test_words_are_not_told() -> None:
    assert names(CountVectorizer().fit(TEXTS)) == ()
    table = pd.DataFrame({"text": TEXTS, "length": [float(len(text)) for text in TEXTS]})
    columns = ColumnTransformer([("text", CountVectorizer(), "text"), ("length", StandardScaler(), ["length"])])
    told = names(columns.fit(table))
    assert {*told[:-1]} == {None}
    assert told[-1] == "length__length"


@pytest.mark.parametrize(
    "estimator",
    [
        Own().fit(ARRAY),
        make_pipeline(StandardScaler(), Own()).fit(ARRAY),
        OneHotEncoder(feature_name_combiner=lambda feature, category: f"{feature} is {category}").fit(FRAME[["plan"]]),
        PolynomialFeatures(3).fit(np.zeros((2, 30))),
    ],
)
def test_names_of_which_nothing_is_known_or_that_are_thousands_are_left_out(estimator: Any) -> None:
    assert names(estimator) == ()


def test_the_author_may_name_what_a_row_holds() -> None:
    metadata = """{"outputs": [
        {"name": "transform", "datatype": "FP64", "shape": [-1, 2], "columns": ["free", "paid"]}]}"""
    signature = infer_signature(OneHotEncoder().fit(FRAME[["plan"]]), declared_from(parse_metadata(metadata.encode())))
    assert signature.outputs[0].columns == ("free", "paid")
    (described,) = describe_outputs(signature)
    assert described["parameters"]["columns"] == ["free", "paid"]


def test_names_for_other_columns_than_there_are_are_refused() -> None:
    metadata = b'{"outputs": [{"name": "transform", "datatype": "FP64", "shape": [-1], "columns": ["a", "b", "c"]}]}'
    with pytest.raises(
        LoadFailed, match=re.escape("outputs: transform: 3 columns are named, and its shape is [-1, 2]")
    ):
        infer_signature(PCA(2).fit(ARRAY), declared_from(parse_metadata(metadata)))
