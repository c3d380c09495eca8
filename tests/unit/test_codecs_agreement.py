"""Properties of both protocols: the typed decoders agree with the reference, and junk never raises but InvalidInput."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.codecs.cells import FLOAT_LIMITS, INTEGER_BOUNDS, integer_bounds
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Column, Datatype, Layout, Missing, Output, PredictRequest, Rows, Signature

OUTPUTS = (Output("predict", "INT64", (-1,)), Output("predict_proba", "FP64", (-1, 2)))
DATATYPES = cast("list[Datatype]", list(DTYPES))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(['a":', "12:30", "\\", '"', " :"])


def cells(column: Column, signature: Signature) -> st.SearchStrategy[Any]:
    """Values that a column takes."""
    values: st.SearchStrategy[Any]
    if column.datatype == "BYTES":
        values = TEXTS
    elif column.datatype == "BOOL":
        values = st.booleans()
    elif column.datatype in INTEGER_BOUNDS:
        low, high = integer_bounds(column.datatype, signature.dtype_of(column))
        values = st.integers(low, high) | st.integers(max(low, -100), min(high, 100)).map(float)
    else:
        limit = FLOAT_LIMITS.get(column.datatype, float(np.finfo(np.float64).max))
        values = st.floats(-limit, limit) | st.integers(-(2**70), 2**70) if limit > 2**70 else st.floats(-limit, limit)
    if column.datatype not in ("BYTES", "BOOL"):
        values |= st.booleans()
    return st.none() | values if column.nullable else values


@st.composite
def columns_named(draw: st.DrawFn, name: str, datatypes: list[Datatype]) -> Column:
    datatype = draw(st.sampled_from(datatypes))
    boxed = datatype != "BYTES" and draw(st.integers(0, 4)) == 0
    missing = draw(st.sampled_from(["NaN", "None"])) if boxed or datatype == "BYTES" else "NaN"
    return Column(name, datatype, nullable=draw(st.booleans()), boxed=boxed, missing=cast(Missing, missing))


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    layout = draw(st.sampled_from(Layout))
    named = draw(st.booleans())
    if layout is Layout.TEXT:
        column = draw(columns_named("text", ["BYTES"]))
        return Signature(layout, draw(st.sampled_from([None, (column,)])), False, OUTPUTS)
    if layout is Layout.ARRAY and draw(st.integers(0, 9)) == 0:
        return Signature(layout, None, False, OUTPUTS)
    names = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    datatypes = DATATYPES if draw(st.booleans()) else [draw(st.sampled_from(DATATYPES))]
    columns = tuple(draw(columns_named(name, datatypes)) for name in names)
    return Signature(layout, columns, named, OUTPUTS)


def columns_of(signature: Signature) -> tuple[Column, ...]:
    if signature.columns is not None:
        return signature.columns
    return (Column("text", "BYTES"),) if signature.layout is Layout.TEXT else (Column("0", "FP64"), Column("1", "FP64"))


def to_json(draw: st.DrawFn, document: Any) -> bytes:
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]))
    return json.dumps(document, ensure_ascii=draw(st.booleans()), separators=separators).encode()


@st.composite
def v1_requests(draw: st.DrawFn) -> tuple[Signature, bytes]:
    signature = draw(signatures())
    columns = columns_of(signature)
    table = draw(st.lists(st.tuples(*(cells(column, signature) for column in columns)), min_size=1, max_size=4))
    by_name = signature.layout is Layout.FRAME or (signature.named and signature.layout is Layout.ARRAY)
    names = [column.name for column in columns]
    kind = draw(st.sampled_from(["list", "object", "columns"] if by_name else ["list"]))
    document: dict[str, Any]
    if signature.layout is Layout.TEXT:
        document = {"instances": [row[0] for row in table]}
    elif kind == "columns":
        document = {"inputs": {name: [row[at] for row in table] for at, name in enumerate(names)}}
    elif kind == "object":
        document = {"instances": [dict(zip(names, row, strict=True)) for row in table]}
    else:
        document = {draw(st.sampled_from(["instances", "inputs"])): table}
    if draw(st.booleans()):
        document["signature_name"] = "predict_proba"
    return signature, to_json(draw, document)


@st.composite
def v2_requests(draw: st.DrawFn) -> tuple[Signature, bytes]:
    signature = draw(signatures())
    columns = columns_of(signature)
    table = draw(st.lists(st.tuples(*(cells(column, signature) for column in columns)), min_size=1, max_size=4))
    rows, width = len(table), len(columns)

    def carrier(usual: Datatype) -> Datatype:
        """Choose a datatype; at times one that cannot carry the values, so that both must refuse."""
        return draw(st.sampled_from([*([usual] * 30), *DATATYPES]))

    by_name = signature.layout is Layout.FRAME or (signature.named and signature.layout is Layout.ARRAY)
    if by_name and draw(st.booleans()):
        tensors = [
            {
                "name": column.name,
                "shape": draw(st.sampled_from([[rows], [rows, 1]])),
                "datatype": carrier(column.datatype),
                "data": [row[at] for row in table],
            }
            for at, column in enumerate(columns)
        ]
        tensors = draw(st.permutations(tensors))
    else:
        data = [value for row in table for value in row] if draw(st.booleans()) else table
        datatype = carrier(signature.datatype)
        shape = [rows] if signature.layout is Layout.TEXT and data is not table else [rows, width]
        tensors = [{"name": "input", "shape": shape, "datatype": datatype, "data": data}]
    return signature, to_json(draw, {"id": "1", "inputs": tensors})


def outcome(decode: Callable[[bytes], PredictRequest], body: bytes) -> PredictRequest | None:
    try:
        return decode(body)
    except InvalidInput:
        return None


def assert_same(one: PredictRequest | None, other: PredictRequest | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    assert (one.outputs, one.id, one.columnar, one.both) == (other.outputs, other.id, other.columnar, other.both)
    assert one.rows.shape_key == other.rows.shape_key
    for left, right in zip(one.rows.blocks, other.rows.blocks, strict=True):
        assert repr(left.tolist()) == repr(right.tolist())  # NaN, 1 and 1.0, True and 1 all told apart


def is_well_formed(request: PredictRequest | None, signature: Signature) -> bool:
    if request is None:
        return False
    rows: Rows = request.rows
    return len(rows.blocks) == (len(columns_of(signature)) if signature.layout is Layout.FRAME else 1)


@given(v1_requests())
@settings(max_examples=300, deadline=None)
def test_v1_typed_decoders_agree_with_the_reference_on_what_is_valid(request: tuple[Signature, bytes]) -> None:
    signature, body = request
    codec = V1Codec(signature, max_rows=4, model="m", version="1")
    decoded = codec.decode([], body)
    assert is_well_formed(decoded, signature)
    assert_same(decoded, codec._reference_request(body))


@given(v2_requests())
@settings(max_examples=300, deadline=None)
def test_v2_typed_decoders_agree_with_the_reference_on_any_carrier(request: tuple[Signature, bytes]) -> None:
    signature, body = request
    codec = V2Codec(signature, max_rows=4, model="m", version="1")
    assert_same(outcome(partial(codec.decode, []), body), outcome(codec._reference_request, body))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["name", "shape", "datatype", "data", "input"]), inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["instances", "inputs", "outputs", "signature_name", "id", "parameters", "?"])


def both_codecs(signature: Signature) -> list[V1Codec | V2Codec]:
    return [
        V1Codec(signature, max_rows=4, model="m", version="1"),
        V2Codec(signature, max_rows=4, model="m", version="1"),
    ]


@given(signatures(), st.dictionaries(KEYS, JUNK, max_size=3))
@settings(max_examples=200, deadline=None)
def test_junk_in_valid_json_is_decoded_alike_or_refused(signature: Signature, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    for codec in both_codecs(signature):
        assert_same(outcome(partial(codec.decode, []), body), outcome(codec._reference_request, body))


@given(v1_requests() | v2_requests(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_body_is_decoded_alike_or_refused(request: tuple[Signature, bytes], data: st.DataObject) -> None:
    signature, body = request
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 3)))
    patch = data.draw(
        st.binary(max_size=3) | st.sampled_from([b"null", b'"', b",", b"]", b"1e999", b"NaN", b"[[", b"-"])
    )
    damaged = body[:start] + patch + body[end:]
    for codec in both_codecs(signature):
        assert_same(outcome(partial(codec.decode, []), damaged), outcome(codec._reference_request, damaged))


@given(st.binary(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused_and_nothing_else(body: bytes) -> None:
    signature = Signature(Layout.ARRAY, None, False, OUTPUTS)
    for codec in both_codecs(signature):
        with pytest.raises(InvalidInput):
            codec.decode([], body)
