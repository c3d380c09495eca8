"""V2 bodies: tensors in, and what is refused and where."""

from typing import Any

import numpy as np
import pytest
from model_manager.errors import InvalidInput
from model_manager.signature import Signature

from tests.unit.v2_bodies import (
    ANY_WIDTH,
    CITIES,
    COUNTED_FRAME,
    COUNTS,
    FLAGS,
    FRAME,
    MIXED_OBJECTS,
    NAMED,
    NUMERIC_FRAME,
    ONE_COLUMN_FRAME,
    PAIRS,
    SINGLES,
    TEXT,
    UNDECLARED_TEXT,
    WORDS,
    NoReference,
    X,
    body_of,
    codec,
    plain,
    tensor,
)

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
    fast = NoReference(signature, max_rows=3, model="iris", version="2").decode([], body)
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
        (PAIRS, body_of(tensor("x", [1, 2], "FP64", [1, 2]), parameters={"headers": {"b": 1}}), [[[1.0, 2.0]]]),
        (PAIRS, body_of(tensor("x", [1, 2], "FP64", [1, 2]), unheard_of=1, outputs=None), [[[1.0, 2.0]]]),
    ],
)
def test_unusual_bodies_are_read_all_the_same(signature: Signature, body: bytes, blocks: list[Any]) -> None:
    assert plain(codec(signature).decode([], body).rows) == blocks


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
            'input "x": binary_data_size says that its values follow the JSON, and the header Inference-Header-Content',
        ),
        (PAIRS, body_of(X | {"datatype": "FP8"}), 'input "x": unknown datatype "FP8"; known: BOOL, INT8'),
        (PAIRS, body_of(X | {"datatype": 8}), 'input "x": unknown datatype 8'),
        (
            PAIRS,
            body_of(X | {"datatype": "FP16"}),
            'input "x": datatype FP16 cannot be read: 16-bit floats cannot be written in JSON',
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
        codec(signature).decode([], body)
    assert message in str(refused.value)
