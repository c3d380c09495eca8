"""A signature that was found in a child is the same in the server, or it is found out again."""

from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest
from model_manager.inference.signature.infer import infer_signature
from model_manager.serving.child import Message, Proven, told
from model_manager.signature import Column, Layout, Moments, Output, Signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.models import constant, iris_classifier


def table_model() -> Signature:
    frame = pd.DataFrame({"city": ["Paris", None, "Berlin"], "age": [1.0, 2.0, 3.0], "ok": [True, False, True]})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough"))
    return infer_signature(make_pipeline(model, LogisticRegression()).fit(frame, ["a", "b", "a"]))


SIGNATURES = {
    "array": infer_signature(constant(1.0)),
    "labels": infer_signature(iris_classifier()),
    "table": table_model(),
    "of all kinds": Signature(
        Layout.FRAME,
        (
            Column("a", "BYTES", categories=("x", 1, 1.0, True), missing="None", categorical=True),
            Column("b", "BYTES", moments=Moments("ns", "Europe/Berlin"), nullable=True),
        ),
        True,
        (Output("predict", "FP64", (-1, 2), columns=("a", None), sparse=True),),
        on_request=(Output("std", "FP32", (-1,)),),
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_it_comes_back_as_it_was(name: str) -> None:
    signature = SIGNATURES[name]
    assert signature.dtype is not None  # what was worked out is left behind
    carried = msgspec.msgpack.decode(msgspec.msgpack.encode(Proven(told(signature))), type=Message)
    assert isinstance(carried, Proven)
    assert carried.signature == signature
    assert repr(carried.signature) == repr(signature)


@pytest.mark.parametrize("category", [np.str_("x"), np.int64(1), "\ud800"])
def test_one_that_cannot_be_told_is_found_out_again(category: str) -> None:
    signature = SIGNATURES["of all kinds"]
    column = replace((signature.columns or ())[0], categories=(category,))
    sent = told(replace(signature, columns=(column,)))
    if sent is not None:
        carried = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Signature)
        assert repr(carried.columns) == repr((column,))
