"""server/model_manager/inference/signature/nullability.py: a column takes a missing value if the estimator took one."""

import numpy as np
import pandas as pd
from model_manager.inference.signature.infer import infer_signature
from model_manager.inference.signature.nullability import find_nullable
from model_manager.signature import Column, Layout, Rows, Signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.unit.zoo import ARRAY, LABELS, NUMBERS, QUANTITY

LOGISTIC = LogisticRegression(max_iter=500).fit(ARRAY, LABELS)
BOOSTING = HistGradientBoostingRegressor(max_iter=3).fit(NUMBERS, QUANTITY)


def columns_of(signature: Signature) -> dict[str, Column]:
    assert signature.columns is not None
    return {column.name: column for column in signature.columns}


def test_gaps_are_tried_out() -> None:
    assert all(column.nullable for column in columns_of(infer_signature(BOOSTING)).values())
    assert not any(column.nullable for column in columns_of(infer_signature(LOGISTIC)).values())
    part = ColumnTransformer([("filled", SimpleImputer(), ["a"]), ("kept", "passthrough", ["b"])])
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    columns = columns_of(infer_signature(make_pipeline(part, LinearRegression()).fit(frame, [1, 2])))
    assert (columns["a"].nullable, columns["b"].nullable) == (True, False)


def test_trying_gaps_stops_when_the_time_is_up() -> None:
    columns = tuple(Column(str(number), "FP64") for number in range(5))
    signature = Signature(Layout.ARRAY, columns, False, ())
    moments = iter([0.0, 0.5, 1.0, 3.0])

    def accepts(rows: Rows) -> None:
        if np.isnan(rows.blocks[0]).sum() > 1:
            raise ValueError("too many")

    example = Rows((np.zeros((1, 5)),))
    assert find_nullable(accepts, example, signature, range(5), clock=lambda: next(moments)) == {0, 1}
