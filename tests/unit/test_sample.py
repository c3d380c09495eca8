"""server/model_manager/packaging/sample.py: training rows, laid out as a server would get them."""

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import PackageRefused
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.zoo import CHURN, FRAME, encode_and_scale

ON_FRAME = make_pipeline(encode_and_scale(), LogisticRegression()).fit(FRAME, CHURN)


def test_a_sample_is_laid_out_as_the_signature_says() -> None:
    rows = rows_of(FRAME.head(2), infer_signature(ON_FRAME))
    assert [block.dtype.kind for block in rows.blocks] == ["f", "O", "f", "O", "f"]
    assert rows.blocks[1][0] is np.nan or np.isnan(rows.blocks[1][0])


def test_a_sample_that_lacks_a_column_or_holds_text_for_numbers_is_refused() -> None:
    with pytest.raises(PackageRefused, match="no column 'city'"):
        rows_of(FRAME.drop(columns="city"), infer_signature(ON_FRAME))
    with pytest.raises(PackageRefused, match="column 'age' does not fit datatype FP64: could not convert"):
        rows_of(FRAME.assign(age="old"), infer_signature(ON_FRAME))


def test_what_is_missing_in_a_table_of_strings_and_integers_is_nan() -> None:
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a", 1], ["b", 2]], [0, 1])
    table = pd.DataFrame({"kind": ["a", "b"], "size": pd.array([1, None], dtype="Int64")})
    (block,) = rows_of(table, infer_signature(estimator)).blocks
    assert block[0].tolist() == ["a", 1]
    assert np.isnan(block[1, 1])
