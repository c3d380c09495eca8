"""V2 bodies for tests: signatures of every kind, and how to write a request for them."""

import json
import math
from typing import Any

from model_manager.codecs.tail import Tail
from model_manager.codecs.v2 import V2Codec
from model_manager.signature import Column, Layout, Output, PredictRequest, Rows, Signature

OUTPUTS = (Output("predict", "BYTES", (-1,), classes=("no", "yes")), Output("predict_proba", "FP64", (-1, 2)))
PAIRS = Signature(Layout.ARRAY, (Column("0", "FP64"), Column("1", "FP64")), False, OUTPUTS)
NAMED = Signature(Layout.ARRAY, (Column("w", "FP64", nullable=True), Column("h", "FP64")), True, OUTPUTS)
COUNTS = Signature(Layout.ARRAY, (Column("0", "UINT8"), Column("1", "UINT8")), False, OUTPUTS)
SINGLES = Signature(Layout.ARRAY, (Column("0", "FP32"),), False, OUTPUTS)
FLAGS = Signature(Layout.ARRAY, (Column("0", "BOOL"), Column("1", "BOOL")), False, OUTPUTS)
WORDS = Signature(
    Layout.ARRAY, (Column("0", "BYTES", nullable=True), Column("1", "BYTES", nullable=True)), False, OUTPUTS
)
MIXED_OBJECTS = Signature(Layout.ARRAY, (Column("0", "BYTES"), Column("1", "INT64")), False, OUTPUTS)
FRAME = Signature(
    Layout.FRAME,
    (Column("age", "INT64"), Column("fare", "FP64", nullable=True), Column("sex", "BYTES", categories=("f", "m"))),
    True,
    OUTPUTS,
)
NUMERIC_FRAME = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "FP64")), True, OUTPUTS)
COUNTED_FRAME = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "INT8", nullable=True)), True, OUTPUTS)
ONE_COLUMN_FRAME = Signature(Layout.FRAME, (Column("a", "FP64"),), True, OUTPUTS)
CITIES = Signature(Layout.FRAME, (Column("city", "BYTES"), Column("land", "BYTES")), True, OUTPUTS)
TEXT = Signature(Layout.TEXT, (Column("text", "BYTES"),), False, OUTPUTS, tensor="text")
UNDECLARED_TEXT = Signature(Layout.TEXT, None, False, OUTPUTS)
ANY_WIDTH = Signature(Layout.ARRAY, None, False, OUTPUTS)


def codec(signature: Signature, *, max_rows: int = 3) -> V2Codec:
    return V2Codec(signature, max_rows=max_rows, model="iris", version="2")


class NoReference(V2Codec):
    """A codec that must not need the reference path."""

    def _reference_request(self, body: bytes, tail: Tail | None = None) -> PredictRequest:
        raise AssertionError(f"the typed decoders did not read {body!r}")


def tensor(name: str, shape: list[Any], datatype: Any, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def body_of(*tensors: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": tensors, **more}).encode()


def plain(rows: Rows) -> list[Any]:
    """Blocks as lists, NaN as None, so that they compare."""

    def without_nan(value: Any) -> Any:
        if isinstance(value, list):
            return [without_nan(each) for each in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return [without_nan(block.tolist()) for block in rows.blocks]


X = tensor("x", [1, 2], "FP64", [1, 2])
