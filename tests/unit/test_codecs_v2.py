"""V2 bodies: tensors in and out, what is refused and where, and what the metadata says of the tensors."""

import json
import math
from typing import Any

import numpy as np
import pytest

from server.codecs.v2 import V2Codec
from server.errors import InvalidInput
from server.signature import Column, Layout, Output, PredictRequest, Rows, Signature

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

    def _reference_request(self, body: bytes) -> PredictRequest:
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


AGE, FARE, SEX = (
    tensor("age", [2], "INT64", [1, 2]),
    tensor("fare", [2, 1], "FP32", [1.5, None]),
    tensor("sex", [2], "BYTES", ["f", "unheard of"]),
)
MIXED_BLOCKS = [[1, 2], [1.5, None], ["f", "unheard of"]]


@pytest.mark.parametrize(
    ("signature", "body", "blocks"),
    [
        (PAIRS, body_of(tensor("any name", [2, 2], "FP64", [1, 2, 3, 4])), [[[1.0, 2.0], [3.0, 4.0]]]),
        (PAIRS, body_of(tensor("x", [2, 2], "FP64", [[1, 2], [3, 4]])), [[[1.0, 2.0], [3.0, 4.0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "INT8", [1, 2])), [[[1.0, 2.0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "FP32", [1.5, 2])), [[[1.5, 2.0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "BOOL", [True, False])), [[[1.0, 0.0]]]),
        (COUNTS, body_of(tensor("x", [1, 2], "INT64", [1, 255])), [[[1, 255]]]),
        (COUNTS, body_of(tensor("x", [1, 2], "FP64", [1, 255])), [[[1, 255]]]),
        (SINGLES, body_of(tensor("x", [1, 1], "FP64", [0.1])), [[[float(np.float32(0.1))]]]),
        (FLAGS, body_of(tensor("x", [1, 2], "BOOL", [True, False])), [[[True, False]]]),
        (NAMED, body_of(tensor("h", [1], "FP64", [1]), tensor("w", [1, 1], "FP64", [None])), [[[None, 1.0]]]),
        (WORDS, body_of(tensor("x", [1, 2], "BYTES", ["a", None])), [[["a", None]]]),
        (FRAME, body_of(SEX, AGE, FARE), MIXED_BLOCKS),
        (FRAME, body_of(SEX, AGE, FARE, parameters={"content_type": "pd"}, id="1"), MIXED_BLOCKS),
        (NUMERIC_FRAME, body_of(tensor("x", [2, 2], "FP64", [1, 2, 3, 4])), [[1.0, 3.0], [2.0, 4.0]]),
        (ONE_COLUMN_FRAME, body_of(tensor("a", [2], "FP64", [1, 2])), [[1.0, 2.0]]),
        (ONE_COLUMN_FRAME, body_of(tensor("x", [2, 1], "FP64", [1, 2])), [[1.0, 2.0]]),
        (TEXT, body_of(tensor("text", [2], "BYTES", ["a", "b"])), [["a", "b"]]),
        (TEXT, body_of(tensor("text", [2, 1], "BYTES", ["a", "b"])), [["a", "b"]]),
        (UNDECLARED_TEXT, body_of(tensor("x", [1], "BYTES", ["a"], parameters={"content_type": "str"})), [["a"]]),
        (ANY_WIDTH, body_of(tensor("x", [1, 3], "FP64", [1, 2, 3])), [[[1.0, 2.0, 3.0]]]),
        (
            PAIRS,
            body_of(tensor("x", [1, 2], "FP64", [1, 2]), id=None, model_name="iris", model_version=None, outputs=[]),
            [[[1.0, 2.0]]],
        ),
    ],
)
def test_usual_bodies_are_read_by_the_typed_decoders_and_alike_by_the_reference(
    signature: Signature, body: bytes, blocks: list[Any]
) -> None:
    fast = NoReference(signature, max_rows=3, model="iris", version="2").decode(body)
    slow = codec(signature)._reference_request(body)
    assert plain(fast.rows) == plain(slow.rows) == blocks
    assert fast.rows.shape_key == slow.rows.shape_key
    assert (fast.outputs, fast.id) == (slow.outputs, slow.id)


@pytest.mark.parametrize(
    ("signature", "body", "blocks"),
    [
        (COUNTS, body_of(tensor("x", [1, 2], "FP64", [1.0, 2.0])), [[[1, 2]]]),
        (COUNTS, body_of(tensor("x", [1, 2], "BOOL", [True, False])), [[[1, 0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "UINT64", [1, 2**64 - 1])), [[[1.0, 2.0**64]]]),
        (MIXED_OBJECTS, body_of(tensor("x", [2, 2], "BYTES", ["a", 1, "b", 2])), [[["a", 1], ["b", 2]]]),
        (FRAME, body_of(AGE, SEX, tensor("fare", [2, 1], "FP64", [[1.5], [None]])), MIXED_BLOCKS),
        (COUNTED_FRAME, body_of(tensor("x", [2, 2], "FP64", [1, 2.0, 3, None])), [[1.0, 3.0], [2.0, None]]),
        (TEXT, body_of(tensor("text", [1, 1], "BYTES", [["a"]])), [["a"]]),
        (PAIRS, body_of(tensor("x", [1, 2], "FP64", [1, 2]), parameters={"a": {"b": 1}}), [[[1.0, 2.0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "FP64", [1, 2]), unheard_of=1, outputs=None), [[[1.0, 2.0]]]),
    ],
)
def test_unusual_bodies_are_read_all_the_same(signature: Signature, body: bytes, blocks: list[Any]) -> None:
    assert plain(codec(signature).decode(body).rows) == blocks


X = tensor("x", [1, 2], "FP64", [1, 2])


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in X.items() if name != key}


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (PAIRS, b"{", "the body is not JSON"),
        (PAIRS, b"{}", 'the body has no "inputs", a list of tensors'),
        (PAIRS, b'{"instances":[[1,2]]}', "instances is V1's word"),
        (PAIRS, b'{"inputs":{}}', "inputs: expected a list of tensors, got an object"),
        (PAIRS, body_of(), "inputs: expected at least one tensor"),
        (PAIRS, body_of(3), "inputs[0]: expected a tensor, an object with name, shape, datatype and data; got 3"),
        (PAIRS, body_of(without("name")), "inputs[0]: expected a name, got null"),
        (PAIRS, body_of(without("shape")), 'input "x": shape is missing'),
        (PAIRS, body_of(without("datatype")), 'input "x": datatype is missing'),
        (PAIRS, body_of(without("data")), 'input "x": data is missing'),
        (
            PAIRS,
            body_of(without("data") | {"parameters": {"binary_data_size": 16}}),
            'input "x": data is missing; binary tensors are not read here, send data as JSON',
        ),
        (PAIRS, body_of(X | {"datatype": "FP8"}), 'input "x": unknown datatype "FP8"; known: BOOL, INT8'),
        (PAIRS, body_of(X | {"datatype": 8}), 'input "x": unknown datatype 8'),
        (
            PAIRS,
            body_of(X | {"datatype": "FP16"}),
            'input "x": datatype FP16 cannot be read: 16-bit floats have no JSON',
        ),
        (PAIRS, body_of(X | {"datatype": "BYTES"}), 'input "x": expected datatype FP64, got BYTES'),
        (FLAGS, body_of(X), 'input "x": expected datatype BOOL, got FP64'),
        (MIXED_OBJECTS, body_of(X), 'input "x": expected datatype BYTES, got FP64'),
        (PAIRS, body_of(X | {"shape": 2}), 'input "x": expected a shape such as [rows, columns], got 2'),
        (PAIRS, body_of(X | {"shape": []}), 'input "x": expected a shape of one or two dimensions, got 0'),
        (PAIRS, body_of(X | {"shape": [1, 1, 2]}), 'input "x": expected a shape of one or two dimensions, got 3'),
        (PAIRS, body_of(X | {"shape": [-1, -2]}), 'input "x": expected a shape of whole numbers from 0, got -1 in it'),
        (PAIRS, body_of(X | {"shape": [True, 2]}), "got true in it"),
        (PAIRS, body_of(X | {"shape": [1.0, 2]}), "got 1.0 in it"),
        (PAIRS, body_of(X | {"shape": [2**62, 4]}), "a dimension of 4611686018427387904 is more than any request can"),
        (PAIRS, body_of(X | {"shape": [2, 2]}), 'input "x": shape [2, 2] needs 4 values, data has 2'),
        (PAIRS, body_of(X | {"shape": [2]}), 'input "x": expected shape [rows, 2], got [2]; one row is [1, 2]'),
        (PAIRS, body_of(tensor("x", [3], "FP64", [1, 2, 3])), 'input "x": expected shape [rows, 2], got [3]'),
        (PAIRS, body_of(tensor("x", [1, 3], "FP64", [1, 2, 3])), 'input "x": expected shape [rows, 2], got [1, 3]'),
        (PAIRS, body_of(X | {"data": 3}), 'input "x": expected data to be a list, got 3'),
        (PAIRS, body_of(X | {"data": [[1, 2], [3, 4]]}), 'input "x": shape [1, 2] needs 1 rows, data has 2'),
        (PAIRS, body_of(X | {"data": [[1, 2, 3]]}), 'input "x": row 0: expected 2 values, got 3'),
        (
            PAIRS,
            body_of(tensor("x", [2, 2], "FP64", [[1, 2], 3])),
            'input "x": row 1: expected a list of 2 values, got 3',
        ),
        (PAIRS, body_of(tensor("x", [0, 2], "FP64", [])), 'input "x": no rows'),
        (PAIRS, body_of(tensor("x", [4, 2], "FP64", [0] * 8)), "4 rows are more than the 3 this server takes"),
        (PAIRS, body_of(X, X), 'inputs: expected one tensor, got 2: "x", "x"'),
        (PAIRS, body_of(X | {"data": [1, None]}), 'input "x": row 0, column 1: expected a number (FP64), got null'),
        (PAIRS, body_of(X | {"data": [1, "a"]}), 'input "x": row 0, column 1: expected a number (FP64), got "a"'),
        (
            PAIRS,
            body_of(X | {"datatype": "INT8", "data": [1, 200]}),
            "row 0, column 1: expected an integer from -128 to 127",
        ),
        (PAIRS, body_of(X | {"datatype": "INT8", "data": [1, 1.5]}), "(INT8), got 1.5"),
        (
            PAIRS,
            body_of(X | {"datatype": "FP32", "data": [1, 1e39]}),
            "expected a number (FP32), got one too large for it",
        ),
        (PAIRS, body_of(X | {"datatype": "BOOL"}), 'input "x": row 0, column 0: expected true or false, got 1'),
        (
            COUNTS,
            body_of(X | {"data": [1, 300]}),
            "row 0, column 1: expected an integer from 0 to 255 (UINT8), got 300",
        ),
        (COUNTS, body_of(X | {"data": [1, 1.5]}), "(UINT8), got 1.5"),
        (FRAME, body_of(AGE, FARE), 'inputs: missing column "sex"'),
        (FRAME, body_of(AGE, FARE, SEX, X), 'inputs: unknown column "x"'),
        (FRAME, body_of(AGE, FARE, SEX, AGE), 'inputs: "age" is given more than once'),
        (FRAME, body_of(AGE, FARE, tensor("sx", [2], "BYTES", ["f", "m"])), 'unknown column "sx"; did you mean "sex"?'),
        (
            FRAME,
            body_of(AGE, FARE, tensor("sex", [1], "BYTES", ["f"])),
            'input "sex": has 1 rows, but input "age" has 2',
        ),
        (
            FRAME,
            body_of(AGE, FARE, tensor("sex", [2, 2], "BYTES", ["f"] * 4)),
            'input "sex": expected shape [rows] or [rows',
        ),
        (
            FRAME,
            body_of(AGE, FARE, tensor("sex", [2], "INT8", [1, 2])),
            'input "sex": expected datatype BYTES, got INT8',
        ),
        (
            FRAME,
            body_of(AGE, FARE, tensor("sex", [2], "BYTES", ["f", 1])),
            'input "sex": row 1: expected a string, got 1',
        ),
        (FRAME, body_of(FARE, SEX, AGE | {"data": [1, None]}), 'input "age": row 1: expected an integer'),
        (FRAME, body_of(AGE), 'inputs: missing columns "fare", "sex"'),
        (
            CITIES,
            body_of(tensor("x", [1, 2], "BYTES", ["Oslo", "Norway"])),
            'inputs: unknown column "x"; known: "city"',
        ),
        (NUMERIC_FRAME, body_of(tensor("a", [1], "FP64", [1])), 'inputs: missing column "b"'),
        (NUMERIC_FRAME, body_of(tensor("x", [1], "FP64", [1])), 'input "x": expected shape [rows, 2], got [1]'),
        (COUNTED_FRAME, body_of(X | {"data": [1, 1.5]}), 'input "x": row 0, column "b": expected an integer from -128'),
        (TEXT, body_of(tensor("text", [1], "INT8", [1])), 'input "text": expected datatype BYTES, got INT8'),
        (TEXT, body_of(tensor("text", [1], "BYTES", [1])), 'input "text": row 0: expected a string, got 1'),
        (TEXT, body_of(tensor("text", [1, 2], "BYTES", ["a", "b"])), "expected shape [rows] or [rows, 1], got [1, 2]"),
        (TEXT, body_of(tensor("text", [2], "BYTES", ["a"])), "shape [2] needs 2 values, data has 1"),
        (ANY_WIDTH, body_of(tensor("x", [1], "FP64", [1])), 'input "x": expected shape [rows, columns], got [1]'),
        (ANY_WIDTH, body_of(tensor("x", [1, 0], "FP64", [])), 'input "x": expected shape [rows, columns], got [1, 0]'),
        (PAIRS, body_of(X, id=7), "id: expected a string, got 7"),
        (PAIRS, body_of(X, parameters=7), "parameters: expected an object, got 7"),
        (PAIRS, body_of(X, outputs=7), "outputs: expected a list of objects with a name, got 7"),
        (PAIRS, body_of(X, outputs=["predict"]), 'outputs[0]: expected an object with a name, got "predict"'),
        (PAIRS, body_of(X, outputs=[{"name": 3}]), "outputs[0]: expected an object with a name"),
        (PAIRS, body_of(X, outputs=[{"name": "?"}]), 'unknown output "?"; this version has "predict", "predict_proba"'),
        (PAIRS, body_of(X, outputs=[{"name": "predict"}] * 2), '"predict" is asked for more than once'),
        (PAIRS, body_of(X)[:-1] + b',"outputs":[{"name":"predict","name":"x"}]}', 'outputs[0]: "name" is given more'),
        (PAIRS, body_of(X)[:-1] + b',"inputs":[]}', 'the body: "inputs" is given more than once'),
        (
            PAIRS,
            body_of(X).replace(b'"shape"', b'"data": [9, 9], "shape"'),
            'inputs[0]: "data" is given more than once',
        ),
    ],
)
def test_bad_bodies_are_refused_with_the_place_of_the_fault(signature: Signature, body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode(body)
    assert message in str(refused.value)


def test_all_declared_outputs_answer_unless_some_are_asked_for() -> None:
    assert codec(PAIRS).decode(body_of(X)).outputs == ("predict", "predict_proba")
    asked = body_of(X, outputs=[{"name": "predict_proba", "parameters": {"binary_data": False}}])
    assert NoReference(PAIRS, max_rows=3, model="m", version="1").decode(asked).outputs == ("predict_proba",)


def test_outputs_are_chosen_alike_by_the_reference() -> None:
    asked = body_of(X, outputs=[{"name": "predict_proba", "parameters": {"nested": {}}}])
    assert codec(PAIRS).decode(asked).outputs == ("predict_proba",)


def test_the_answer_names_model_and_version_and_holds_flat_tensors() -> None:
    request = PredictRequest(Rows((np.zeros((2, 2)),)), ("predict_proba", "predict"), id='a"1')
    results: dict[str, Any] = {
        "predict": np.array(["no", "yes"]),
        "predict_proba": np.array([[1.0, 0.0], [np.nan, 1.0]]),
    }
    assert json.loads(codec(PAIRS).encode(request, results)) == {
        "model_name": "iris",
        "model_version": "2",
        "id": 'a"1',
        "outputs": [
            {"name": "predict_proba", "datatype": "FP64", "shape": [2, 2], "data": [1.0, 0.0, None, 1.0]},
            {"name": "predict", "datatype": "BYTES", "shape": [2], "data": ["no", "yes"]},
        ],
    }


@pytest.mark.parametrize(
    ("array", "datatype"),
    [
        (np.array([1], dtype=np.int32), "INT32"),
        (np.array([True]), "BOOL"),
        (np.array([1.0], dtype=np.float32), "FP32"),
        (np.array([1.0], dtype=np.float16), "FP32"),
        (np.array(["a"], dtype=object), "BYTES"),
    ],
)
def test_tensors_answer_in_the_datatype_of_their_array(array: Any, datatype: str) -> None:
    answer = json.loads(codec(PAIRS).encode(PredictRequest(Rows((array,)), ("predict",)), {"predict": array}))
    assert answer["outputs"] == [{"name": "predict", "datatype": datatype, "shape": [1], "data": array.tolist()}]


def test_an_id_goes_out_as_it_came_in() -> None:
    assert codec(PAIRS).decode(body_of(X, id="7")).id == "7"
    assert codec(PAIRS).decode(body_of(X, id="")).id == ""
    assert codec(PAIRS).decode(body_of(X)).id is None


def test_an_answer_to_a_request_without_an_id_has_one_of_its_own() -> None:
    request, results = PredictRequest(Rows((np.zeros((1, 2)),)), ("predict",)), {"predict": np.array([1.0])}
    ids = {json.loads(codec(PAIRS).encode(request, results))["id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("signature", "described"),
    [
        (PAIRS, [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]),
        (ANY_WIDTH, [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}]),
        (TEXT, [{"name": "text", "datatype": "BYTES", "shape": [-1]}]),
        (
            NAMED,
            [
                {
                    "name": "input",
                    "datatype": "FP64",
                    "shape": [-1, 2],
                    "parameters": {"columns": ["w", "h"], "nullable": [True, False]},
                }
            ],
        ),
        (
            FRAME,
            [
                {"name": "age", "datatype": "INT64", "shape": [-1]},
                {"name": "fare", "datatype": "FP64", "shape": [-1], "parameters": {"nullable": True}},
                {"name": "sex", "datatype": "BYTES", "shape": [-1], "parameters": {"categories": ["f", "m"]}},
            ],
        ),
        (
            Signature(Layout.ARRAY, (Column("0", "BYTES", categories=("a",)),), False, OUTPUTS),
            [{"name": "input", "datatype": "BYTES", "shape": [-1, 1], "parameters": {"categories": [["a"]]}}],
        ),
    ],
)
def test_inputs_are_described_as_they_are_to_be_sent(signature: Signature, described: list[dict[str, Any]]) -> None:
    assert codec(signature).describe_inputs() == described


def test_outputs_are_described_with_their_classes() -> None:
    assert codec(PAIRS).describe_outputs() == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1], "parameters": {"classes": ["no", "yes"]}},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ]
