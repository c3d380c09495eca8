"""inference/signature/presentations.py: estimators get what they can read: a DataFrame, float32."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import LoadFailed
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import (
    Array,
    Declared,
    DeclaredColumn,
    DeclaredTensor,
    Layout,
    Signature,
)
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

MANY = pd.DataFrame({"a": np.linspace(0.0, 3.0, 40), "b": np.linspace(5.0, 1.0, 40) ** 2})
TARGET = (MANY["a"] * 2 - MANY["b"]).to_numpy()


class Ratio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Reads columns by name, and says nothing of them."""

    def fit(self, X: Any, y: Any = None) -> "Ratio":
        return self

    def transform(self, X: Any) -> Any:
        return np.stack([X["a"], X["a"] / X["b"]], axis=1)


class Counted(Ratio):
    """Says how many there are, as numbers of columns go."""

    def fit(self, X: Any, y: Any = None) -> "Counted":
        self.n_features_in_ = X.shape[1]
        return self


def answer(estimator: Any, signature: Signature, body: Any, *, v2: bool = False) -> Array:
    codec = (V2Codec if v2 else V1Codec)(signature, max_rows=99, model="m", version="1")
    text = json.dumps(body).encode()
    predictor = SklearnPredictor(estimator, signature)
    name = signature.default_output
    typed, reference = (
        predictor.predict(decode(text).rows, (name,))[name]
        for decode in (partial(codec.decode, []), codec._reference_request)
    )
    np.testing.assert_array_equal(typed, reference)
    return typed


def packed(estimator: Any, sample: Any, folder: Path) -> Signature:
    write_package(estimator, name="m", version="1", repository=folder, sample=sample)
    metadata = parse_metadata((folder / "m" / "1" / "metadata.json").read_bytes())
    return infer_signature(estimator, declared_from(metadata))


@pytest.mark.parametrize("step", [Ratio, Counted])
def test_a_first_step_that_reads_columns_by_name_gets_a_dataframe(step: Any, tmp_path: Path) -> None:
    estimator = make_pipeline(step(), LinearRegression()).fit(MANY, TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    tensor = DeclaredTensor("input", "FP64", 2, ("a", "b"))
    signatures = [
        infer_signature(estimator, Declared(columns=columns)),
        infer_signature(estimator, Declared(None, tensor)),
    ]
    signatures.append(packed(estimator, MANY, tmp_path))
    for signature in signatures:
        assert signature.layout is Layout.FRAME
        for rows in ([[1.0, 4.0]], [{"b": 4.0, "a": 1.0}]):
            expected = estimator.predict(pd.DataFrame({"a": [1.0], "b": [4.0]}))
            np.testing.assert_array_equal(answer(estimator, signature, {"instances": rows}), expected)


@pytest.mark.parametrize("step", [Ratio, Counted])
def test_a_dataframe_of_columns_that_nobody_names_is_refused_with_the_way_out(step: Any) -> None:
    estimator = make_pipeline(step(), LinearRegression()).fit(MANY, TARGET)
    with pytest.raises(LoadFailed, match=rf"{step.__name__} reads columns of a DataFrame by name.*pack it"):
        infer_signature(estimator)


def test_an_array_stays_an_array_for_whom_it_does() -> None:
    estimator = LinearRegression().fit(MANY.to_numpy(), TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    assert infer_signature(estimator, Declared(columns=columns)).layout is Layout.ARRAY


def scaled(count: int) -> Any:
    return make_pipeline(StandardScaler(), KMeans(count))


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize(
    "make", [KMeans, MiniBatchKMeans, BisectingKMeans, lambda n: make_pipeline(StandardScaler(), KMeans(n))]
)
def test_estimators_that_take_only_float32_get_it(make: Any, framed: bool, tmp_path: Path) -> None:
    X: Any = MANY.astype(np.float32)
    X = X if framed else X.to_numpy()
    estimator = make(2).fit(X)
    for signature in (infer_signature(estimator), packed(estimator, X, tmp_path)):
        assert {column.datatype for column in signature.columns or ()} == {"FP32"}
        got = answer(estimator, signature, {"instances": MANY.to_numpy().tolist()})
        np.testing.assert_array_equal(got, estimator.predict(X))
    double: Any = MANY if framed else MANY.to_numpy()
    assert {column.datatype for column in infer_signature(make(2).fit(double)).columns or ()} == {"FP64"}


def test_a_table_of_float32_that_goes_into_an_array_is_packed_as_float32(tmp_path: Path) -> None:
    X = MANY.astype(np.float32)
    estimator = KMeans(2).fit(X.to_numpy())
    assert packed(estimator, X, tmp_path).datatype == "FP32"


def test_numbers_that_foreign_code_reads_stay_numbers() -> None:
    for function in (np.log1p, lambda X: X * 2, lambda X: X, lambda X: X.fillna(0.0), lambda X: X.clip(0, 1)):
        estimator = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(MANY, TARGET)
        assert [column.moments for column in infer_signature(estimator).columns or ()] == [None, None]


class Nosy(Ratio):
    """Fails on a made-up row with the error that means that a method is not there."""

    def transform(self, X: Any) -> Any:
        return X.no_such_thing


def test_a_method_that_fails_by_attribute_error_is_still_there() -> None:
    estimator = make_pipeline(Nosy(), LinearRegression())
    estimator.steps[-1][1].fit(MANY, TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    signature = infer_signature(estimator, Declared(columns=columns))
    assert [output.name for output in signature.outputs] == ["predict"]
