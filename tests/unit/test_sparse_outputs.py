"""Sparse answers are made dense as far as memory and JSON bear it, and are refused before they are made beyond that."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.codecs.v2_metadata import describe_outputs
from model_manager.errors import InvalidInput, LoadFailed
from model_manager.inference.methods import call
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Column, Layout, Output, Signature
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.zoo import TEXTS

WIDE = Output("transform", "FP64", (-1, 30_000), sparse=True)
PAIRS = (Column("0", "FP64"), Column("1", "FP64"))
BESIDE_LABELS = Signature(Layout.ARRAY, PAIRS, False, (Output("predict", "INT64", (-1,)),), on_request=(WIDE,))
ALONE = Signature(Layout.ARRAY, PAIRS, False, (WIDE,))
MOST = 279  # 64 MiB of 30,000 doubles a row


class Enormous(BaseEstimator):  # type: ignore[misc]
    """Answers 8 MB for each row, were it dense."""

    def fit(self, X: Any, y: Any = None) -> "Enormous":
        return self

    def transform(self, X: Any) -> Any:
        return scipy.sparse.csr_matrix((len(X), 1_000_000))


def test_a_matrix_that_would_not_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError, match="a sparse answer of 80,000,000,000 bytes when dense; 67,108,864 are served"):
        call(Enormous(), "transform", np.zeros((10_000, 2)))


@pytest.mark.parametrize("estimator", [HashingVectorizer(), make_pipeline(HashingVectorizer())])
def test_a_row_that_is_too_wide_is_refused_at_load_with_the_way_out(estimator: Any) -> None:
    with pytest.raises(LoadFailed) as caught:
        infer_signature(estimator.fit(TEXTS))
    assert caught.value.reason == "not_a_model"
    assert str(caught.value) == (
        "transform answers a sparse matrix of 1,048,576 columns, 8,388,608 bytes a row once it is dense as JSON needs "
        "it; at most 262,144 are served: let it make fewer columns (max_features, n_features, min_frequency), or put "
        "TruncatedSVD behind it"
    )


def test_what_fits_is_served_and_says_how_many_rows_at_once() -> None:
    signature = infer_signature(HashingVectorizer(n_features=30_000).fit(TEXTS))
    assert signature.outputs == (WIDE,)
    (described,) = describe_outputs(signature)
    assert described["parameters"] == {"max_rows": MOST}
    assert infer_signature(OneHotEncoder(sparse_output=False).fit([["a"], ["b"]])).outputs[0].most_rows is None
    assert infer_signature(TfidfVectorizer().fit(TEXTS)).outputs[0].sparse


def v1_body(rows: int, *names: str) -> bytes:
    return json.dumps({"instances": [[1.0, 2.0]] * rows, **({"outputs": names} if names else {})}).encode()


def v2_body(rows: int, *names: str) -> bytes:
    tensor = {"name": "input", "shape": [rows, 2], "datatype": "FP64", "data": [1.123456789, 2.123456789] * rows}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": name} for name in names]}).encode()


@pytest.mark.parametrize(("codec", "body"), [(V1Codec, v1_body), (V2Codec, v2_body)])
@pytest.mark.parametrize(("signature", "names"), [(ALONE, ()), (BESIDE_LABELS, ("predict", "transform"))])
def test_more_rows_than_can_be_dense_are_the_callers_to_split(
    codec: Any, body: Any, signature: Signature, names: tuple[str, ...]
) -> None:
    decode = codec(signature, max_rows=10_000, model="m", version="1").decode
    assert len(decode([], body(MOST, *names)).rows) == MOST
    for rows in (MOST + 1, 2000):  # the second is a body that is read in another way
        with pytest.raises(InvalidInput) as caught:
            decode([], body(rows, *names))
        assert str(caught.value) == (
            'outputs: "transform" answers 30000 values a row, most of them zero: at most 279 rows at once, '
            f"got {rows}; ask for fewer at a time"
        )


@pytest.mark.parametrize(("codec", "body"), [(V1Codec, v1_body), (V2Codec, v2_body)])
def test_other_outputs_of_the_same_version_take_as_many_rows_as_ever(codec: Any, body: Any) -> None:
    decode = codec(BESIDE_LABELS, max_rows=10_000, model="m", version="1").decode
    assert len(decode([], body(2000)).rows) == 2000
    assert len(decode([], body(2000, "predict")).rows) == 2000
