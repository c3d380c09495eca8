"""V1 bodies: what is read by the typed decoders, what is refused and where, and how answers are written."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from model_manager.codecs.v1 import V1Codec
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Column, Layout, Output, PredictRequest, Rows, Signature

OUTPUTS = (Output("predict", "BYTES", (-1,)), Output("predict_proba", "FP64", (-1, 2)))
IRIS = Signature(Layout.ARRAY, tuple(Column(str(n), "FP64") for n in range(4)), False, OUTPUTS)
PARTLY_NULLABLE = Signature(Layout.ARRAY, (Column("a", "FP64"), Column("b", "FP64", nullable=True)), True, OUTPUTS)
FRAME = Signature(
    Layout.FRAME,
    (
        Column("age in years", "INT64"),
        Column("fare", "FP64", nullable=True),
        Column("cabin", "BYTES", nullable=True),
        Column("alone", "BOOL"),
        Column("Größe", "FP64"),
    ),
    True,
    OUTPUTS,
)
ONE_COLUMN_FRAME = Signature(Layout.FRAME, (Column("city", "BYTES"),), True, OUTPUTS)
CITIES = Signature(Layout.FRAME, (Column("city", "BYTES"), Column("land", "BYTES")), True, OUTPUTS)
TEXT = Signature(Layout.TEXT, None, False, OUTPUTS)
NULLABLE_TEXT = Signature(Layout.TEXT, (Column("text", "BYTES", nullable=True),), False, OUTPUTS)
ANY_WIDTH = Signature(Layout.ARRAY, None, False, OUTPUTS)
OBJECTS = Signature(Layout.ARRAY, (Column("a", "BYTES", nullable=True), Column("b", "INT64")), True, OUTPUTS)
ONE_NAMED = Signature(Layout.ARRAY, (Column("x", "FP64"),), True, OUTPUTS)
ODD_NAMES = Signature(Layout.FRAME, (Column('say "x"', "FP64"), Column("y", "FP64")), True, OUTPUTS)
NAMED_INPUT = Signature(Layout.ARRAY, (Column("input", "FP64"),), True, OUTPUTS)
NAMED_B64 = Signature(Layout.FRAME, (Column("b64", "BYTES"),), True, OUTPUTS)
HUGE_INTEGERS = Signature(Layout.FRAME, (Column("id", "UINT64", nullable=True),), True, OUTPUTS)
MIXED_WITH_HUGE = Signature(Layout.ARRAY, (Column("0", "UINT64"), Column("1", "FP64")), False, OUTPUTS)


def codec(signature: Signature, *, max_rows: int) -> V1Codec:
    return V1Codec(signature, max_rows=max_rows, model="m", version="1")


def encoded(request: PredictRequest, results: Mapping[str, Array]) -> bytes:
    """The body of an answer of iris."""
    headers, body = codec(IRIS, max_rows=2).encode(request, results)
    assert [header for header in headers if header[0] != b"x-infinite-values"] == [
        (b"content-type", b"application/json"),
        (b"x-model-name", b"m"),
        (b"x-model-version", b"1"),
    ]
    return body


class NoReference(V1Codec):
    """A codec that must not need the reference path."""

    def _reference_request(self, body: bytes) -> PredictRequest:
        raise AssertionError(f"the typed decoders did not read {body!r}")


def plain(rows: Rows) -> list[Any]:
    """Blocks as lists, NaN as None, so that they compare."""

    def without_nan(value: Any) -> Any:
        if isinstance(value, list):
            return [without_nan(each) for each in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return [without_nan(block.tolist()) for block in rows.blocks]


FRAME_OBJECT = '{"fare":null,"age in years":3,"cabin":"12:30","alone":true,"Größe":2}'.encode()

FRAME_COLUMNS = '{"inputs":{"age in years":[3],"fare":[null],"cabin":["x"],"alone":[true],"Größe":[2]}}'.encode()

READ_FAST: list[tuple[Signature, bytes, list[Any] | None]] = [
    (IRIS, b'{"instances":[[5.1,3.5,1.4,2]]}', [[[5.1, 3.5, 1.4, 2.0]]]),
    (IRIS, b'{"inputs":[[5.1,3.5,1.4,2]]}', [[[5.1, 3.5, 1.4, 2.0]]]),
    (IRIS, b'{"signature_name":"predict_proba","instances":[[1,2,3,4]]}', [[[1.0, 2.0, 3.0, 4.0]]]),
    (IRIS, b'{"outputs":["predict_proba","predict"],"instances":[[1,2,3,4]]}', [[[1.0, 2.0, 3.0, 4.0]]]),
    (PARTLY_NULLABLE, b'{"instances":[[1,null],[2,3]]}', [[[1.0, None], [2.0, 3.0]]]),
    (PARTLY_NULLABLE, b'{"instances":[{"b":null,"a":1}]}', [[[1.0, None]]]),
    (PARTLY_NULLABLE, b'{"inputs":{"b":[null,3],"a":[1,2]}}', [[[1.0, None], [2.0, 3.0]]]),
    (FRAME, b'{"instances":[' + FRAME_OBJECT + b"]}", [[3], [None], ["12:30"], [True], [2.0]]),
    (FRAME, b'{"instances":[[3,1.5,null,false,2],[4,1,"x",true,0]]}', None),
    (FRAME, FRAME_COLUMNS, [[3], [None], ["x"], [True], [2.0]]),
    (ONE_COLUMN_FRAME, b'{"instances":[{"city":"Oslo"},{"city":"Rome"}]}', [["Oslo", "Rome"]]),
    (ONE_COLUMN_FRAME, b'{"instances":[["Oslo"]]}', [["Oslo"]]),
    (TEXT, b'{"instances":["to: you, \\"x\\""]}', [['to: you, "x"']]),
    (NULLABLE_TEXT, b'{"instances":["a",null]}', [["a", None]]),
    (ANY_WIDTH, b'{"instances":[[1,2],[3,4]]}', [[[1.0, 2.0], [3.0, 4.0]]]),
    (OBJECTS, b'{"instances":[["x",1],[null,2]]}', [[["x", 1], [None, 2]]]),
    (OBJECTS, b'{"instances":[{"a":"x","b":1}]}', [[["x", 1]]]),
    (OBJECTS, b'{"inputs":{"a":["x",null],"b":[1,2]}}', [[["x", 1], [None, 2]]]),
    (ONE_NAMED, b'{"instances":[{"x":1},{"x":2}]}', [[[1.0], [2.0]]]),
    (ONE_NAMED, b'{"instances":[[1],[2]]}', [[[1.0], [2.0]]]),
    (ODD_NAMES, b'{"instances":[[1,2]]}', [[1.0], [2.0]]),
]


@pytest.mark.parametrize(("signature", "body", "blocks"), READ_FAST)
def test_usual_bodies_are_read_by_the_typed_decoders_and_alike_by_the_reference(
    signature: Signature, body: bytes, blocks: list[Any] | None
) -> None:
    fast = NoReference(signature, max_rows=10, model="m", version="1").decode([], body)
    slow = codec(signature, max_rows=10)._reference_request(body)
    assert blocks is None or plain(fast.rows) == blocks
    assert plain(fast.rows) == plain(slow.rows)
    assert fast.rows.shape_key == slow.rows.shape_key
    assert (fast.outputs, fast.columnar, fast.both) == (slow.outputs, slow.columnar, slow.both)


@pytest.mark.parametrize(
    ("signature", "body", "blocks"),
    [
        (IRIS, b'{"parameters":{"sequence_id":{"b":1}},"instances":[[1,2,3,4]]}', [[[1.0, 2.0, 3.0, 4.0]]]),
        (IRIS, b'{"inputs":{"input":[[1,2,3,4]]}}', [[[1.0, 2.0, 3.0, 4.0]]]),
        (PARTLY_NULLABLE, b'{"inputs":{"input":[[1,2]]}}', [[[1.0, 2.0]]]),
        (PARTLY_NULLABLE, b'{"instances":[[1,2],{"a":3,"b":4}]}', [[[1.0, 2.0], [3.0, 4.0]]]),
        (PARTLY_NULLABLE, b'{"instances":[{"a":3,"b":4},[1,2]]}', [[[3.0, 4.0], [1.0, 2.0]]]),
        (OBJECTS, b'{"instances":[["x",1],{"a":"y","b":2}]}', [[["x", 1], ["y", 2]]]),
        (FRAME, b'{"instances":[[3.0,1,"x",true,2]]}', [[3], [1.0], ["x"], [True], [2.0]]),
        (TEXT, b'{"instances":[["a"],"b"]}', [["a", "b"]]),
        (TEXT, b'{"inputs":{"input":["a"]}}', [["a"]]),
        (TEXT, b'{"instances":["\\":"],"signature_name":null}', [['":']]),
        (ODD_NAMES, b'{"instances":[{"say \\"x\\"":1,"y":2}]}', [[1.0], [2.0]]),
        (ODD_NAMES, b'{"inputs":{"say \\"x\\"":[1],"y":[2]}}', [[1.0], [2.0]]),
        (HUGE_INTEGERS, b'{"instances":[[9007199254740992],[null]]}', [[2.0**53, None]]),
        (HUGE_INTEGERS, b'{"inputs":{"id":[1]}}', [[1.0]]),
        (MIXED_WITH_HUGE, b'{"instances":[[1,2]]}', [[[1.0, 2.0]]]),
        (ONE_NAMED, b'{"instances":[1,{"x":2}]}', [[[1.0], [2.0]]]),
        (IRIS, b'{"instances":[{"input":[1,2,3,4]},[5,6,7,8]]}', [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]),
        (PARTLY_NULLABLE, b'{"instances":[{"input":{"b":2,"a":1}},{"input":[3,null]}]}', [[[1.0, 2.0], [3.0, None]]]),
        (ANY_WIDTH, b'{"instances":[{"input":[1,2]}]}', [[[1.0, 2.0]]]),
        (NAMED_INPUT, b'{"instances":[{"input":1}]}', [[[1.0]]]),
        (TEXT, b'{"instances":[{"input":"a"},{"b64":"Yg=="},{"input":{"b64":"w7w="}}]}', [["a", "b", "ü"]]),
        (TEXT, b'{"inputs":[{"b64":"Yg=="}]}', [["b"]]),
        (ONE_COLUMN_FRAME, b'{"instances":[{"b64":"Yg=="},{"city":{"b64":"Yg=="}}]}', [["b", "b"]]),
        (CITIES, b'{"inputs":{"city":["Oslo"],"land":[{"b64":"Tg=="}]}}', [["Oslo"], ["N"]]),
        (NAMED_B64, b'{"instances":[{"b64":"YQ=="}]}', [["YQ=="]]),
    ],
)
def test_unusual_bodies_are_read_all_the_same(signature: Signature, body: bytes, blocks: list[Any]) -> None:
    request = codec(signature, max_rows=10).decode([], body)
    assert plain(request.rows) == blocks
    assert request.outputs == ("predict",)


ONE_ROW = b'"instances":[[1,2,3,4]]'


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        (b"{" + ONE_ROW + b"}", ("predict",)),
        (b'{"signature_name":"serving_default",' + ONE_ROW + b"}", ("predict",)),
        (b'{"signature_name":"predict_proba",' + ONE_ROW + b"}", ("predict_proba",)),
        (b'{"outputs":["predict_proba","predict"],' + ONE_ROW + b"}", ("predict_proba", "predict")),
        (b'{"outputs":["predict_proba"],"signature_name":"serving_default",' + ONE_ROW + b"}", ("predict_proba",)),
        (b'{"outputs":"predict_proba",' + ONE_ROW + b"}", ("predict_proba",)),
        (b'{"id":"7","params":{"a":1},"x":[],' + ONE_ROW + b"}", ("predict",)),
        (b'{"outputs":[],' + ONE_ROW + b"}", ("predict",)),
        (b'{"outputs":null,"signature_name":null,"parameters":null,' + ONE_ROW + b"}", ("predict",)),
    ],
)
def test_outputs_are_chosen_by_name(body: bytes, outputs: tuple[str, ...]) -> None:
    assert codec(IRIS, max_rows=10).decode([], body).outputs == outputs


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (IRIS, b'{"instances":[[1,2,3,4]', "the body is not JSON: it ends too early"),
        (IRIS, b'{"instances":[[1,2,NaN,4]]}', "row 0, column 2: expected a number (FP64), got NaN: no missing values"),
        (IRIS, b"[[1,2,3,4]]", "must be a JSON object, got a list of 1 value"),
        (IRIS, b"{}", 'has neither of "instances" (a list of rows) and "inputs"'),
        (IRIS, b'{"instances":[[1,2,3,4]],"inputs":[]}', "has both"),
        (IRIS, b'{"instances":[[1,2,3,4]],"instances":[[1,2,3,4]]}', '"instances" is given more than once'),
        (IRIS, b'{"instances":[[1,2,3,4]],"inst\\u0061nces":[[1,2,3,4]]}', '"instances" is given more than once'),
        (TEXT, b'{"instances":[{"b64":"!"}]}', 'instances: row 0: "b64": "!" is not base64'),
        (TEXT, b'{"instances":[{"b64":"YQ"}]}', 'instances: row 0: "b64": "YQ" is not base64'),
        (TEXT, b'{"instances":[{"b64":"/w=="}]}', 'instances: row 0: "b64": the bytes are no text in UTF-8'),
        (TEXT, b'{"instances":[{"b64":7}]}', 'instances: row 0: "b64": expected a string, got 7'),
        (CITIES, b'{"instances":[["Oslo",{"b64":"!"}]]}', 'instances: row 0, column "land": "b64": "!" is not base64'),
        (CITIES, b'{"inputs":{"city":["a"],"land":[{"b64":"!"}]}}', 'inputs: column "land": row 0: "b64": "!" is not'),
        (IRIS, b'{"instances":[[1,2,3,{"b64":"MQ=="}]]}', "row 0, column 3: expected a number (FP64), got an object"),
        (IRIS, b'{"instances":[{"input":[1,2,3]}]}', "instances: row 0: expected 4 values, got 3"),
        (IRIS, b'{"instances":[{"inputs":[1,2,3,4]}]}', "instances: row 0: expected a list, got an object"),
        (IRIS, b'{"instances":[[1,2,3,4]],"parameters":3}', "parameters: expected an object, got 3"),
        (IRIS, b'{"instances":[]}', "instances: no rows"),
        (IRIS, b'{"instances":null}', "instances: expected a list of rows, got null"),
        (IRIS, b'{"instances":[[1,2,3,4],[1,2,3,4],[1,2,3,4]]}', "3 rows are more than the 2 this server takes"),
        (IRIS, b'{"instances":[[1,2,3,4],[1,2,3,4],[1,2,3,4]]}', "(max_rows_per_request)"),
        (IRIS, b'{"instances":[[1,2,3,4],[1,2,3]]}', "instances: row 1: expected 4 values, got 3"),
        (
            IRIS,
            b'{"instances":[[1,2,1e999,4]]}',
            "instances: row 0, column 2: expected a number (FP64), got one too large",
        ),
        (
            IRIS,
            b'{"instances":[[1,2,1' + b"0" * 400 + b",4]]}",
            "row 0, column 2: expected a number (FP64), got one too",
        ),
        (IRIS, b'{"inputs":{"x":[1]}}', 'inputs: expected a list of rows, or an object of "input" alone'),
        (IRIS, b'{"inputs":{"input":[[1]]}}', 'inputs: "input": row 0: expected 4 values, got 1'),
        (IRIS, b'{"inputs":{"input":3}}', 'inputs: "input": expected a list of rows, got 3'),
        (IRIS, b'{"inputs":{"input":[],"input":[]}}', 'inputs: "input" is given more than once'),
        (FRAME, b'{"inputs":{"fare":[1,2,3]}}', "inputs: 3 rows are more than the 2"),
        (ODD_NAMES, b'{"instances":[[1,2],[1]]}', "instances: row 1: expected 2 values, got 1"),
        (CITIES, b'{"inputs":{"city":["Oslo"],"land":[]}}', 'column "land": has 0 rows, but column "city" has 1'),
        (CITIES, b'{"inputs":{"city":[],"land":[]}}', "inputs: no rows"),
        (FRAME, b'{"inputs":{"fare":1}}', 'inputs: missing columns "age in years", "cabin"'),
        (PARTLY_NULLABLE, b'{"instances":[[null,1]]}', 'row 0, column "a": expected a number (FP64), got null'),
        (PARTLY_NULLABLE, b'{"instances":[{"a":1,"b":2,"a":3}]}', 'instances: row 0: "a" is given more than once'),
        (PARTLY_NULLABLE, b'{"inputs":{"a":[1],"b":[2],"a":[3]}}', 'inputs: "a" is given more than once'),
        (PARTLY_NULLABLE, b'{"inputs":{"a":[1],"b":[]}}', 'inputs: column "b": has 0 rows, but column "a" has 1'),
        (OBJECTS, b'{"instances":[[["x"],1]]}', 'row 0, column "a": expected a string, got a list of 1 value'),
        (TEXT, b'{"instances":[null]}', "instances: row 0: expected a string, got null"),
        (TEXT, b'{"instances":[]}', "instances: no rows"),
        (ANY_WIDTH, b'{"instances":[[1],[1,2]]}', "instances: row 1: expected 1 values, got 2"),
        (ANY_WIDTH, b'{"instances":[[]]}', "instances: row 0: expected at least one value"),
        (IRIS, b'{"signature_name":3,' + ONE_ROW + b"}", "signature_name: expected the name of an output, got 3"),
        (IRIS, b'{"signature_name":"x",' + ONE_ROW + b"}", 'unknown output "x"; this version has "predict", "predict_'),
        (IRIS, b'{"outputs":"x",' + ONE_ROW + b"}", 'unknown output "x"; this version has "predict", "predict_'),
        (IRIS, b'{"outputs":[1],' + ONE_ROW + b"}", "outputs: expected the name of an output or a list of them"),
        (IRIS, b'{"outputs":["predict","predict"],' + ONE_ROW + b"}", 'outputs: "predict" is asked for more than once'),
        (IRIS, b'{"outputs":["predict"],"signature_name":"predict",' + ONE_ROW + b"}", "names outputs twice"),
    ],
)
def test_bad_bodies_are_refused_with_the_place_of_the_fault(signature: Signature, body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature, max_rows=2).decode([], body)
    assert message in str(refused.value)


ROWS = Rows((np.zeros((2, 4)),))
RESULTS: dict[str, Any] = {
    "predict": np.array(["setosa", "virginica"], dtype=object),
    "predict_proba": np.array([[0.25, 0.75], [np.nan, 1.0]]),
}


@pytest.mark.parametrize(
    ("outputs", "columnar", "answer"),
    [
        (("predict",), False, {"predictions": ["setosa", "virginica"]}),
        (("predict_proba",), True, {"outputs": [[0.25, 0.75], [None, 1.0]]}),
        (
            ("predict", "predict_proba"),
            False,
            {
                "predictions": [
                    {"predict": "setosa", "predict_proba": [0.25, 0.75]},
                    {"predict": "virginica", "predict_proba": [None, 1.0]},
                ]
            },
        ),
        (
            ("predict_proba", "predict"),
            True,
            {"outputs": {"predict_proba": [[0.25, 0.75], [None, 1.0]], "predict": ["setosa", "virginica"]}},
        ),
    ],
)
def test_answers_have_the_shape_that_was_asked_for(outputs: tuple[str, ...], columnar: bool, answer: Any) -> None:
    body = encoded(PredictRequest(ROWS, outputs, columnar=columnar), RESULTS)
    assert json.loads(body) == answer


@pytest.mark.parametrize("outputs", [("predict",), ("predict", "predict_proba")])
def test_a_list_of_rows_under_inputs_is_answered_under_the_names_of_both_servers(outputs: tuple[str, ...]) -> None:
    """KServe's clients read `predictions` there, by row, and TensorFlow Serving's `outputs`, by column."""
    asked = codec(IRIS, max_rows=2).decode([], b'{"inputs":[[1,2,3,4]]}')
    assert (asked.columnar, asked.both) == (True, True)
    assert not codec(IRIS, max_rows=2).decode([], b'{"inputs":{"input":[[1,2,3,4]]}}').both
    both, by_row, by_column = (
        json.loads(encoded(PredictRequest(ROWS, outputs, columnar=columnar, both=both), RESULTS))
        for columnar, both in ((True, True), (False, False), (True, False))
    )
    assert both == by_row | by_column


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (np.array([1, 2], dtype=np.int8), [1, 2]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([[[1.0]], [[2.0]]]), [[[1.0]], [[2.0]]]),
        (np.array([np.float64(1.5), np.str_("x")], dtype=object), [1.5, "x"]),
        (np.array([np.int64(1), np.bool_(True), None], dtype=object), [1, True, None]),
        (np.array([np.inf, -np.inf]), [None, None]),
    ],
)
def test_every_dtype_has_a_json_form(array: Any, values: list[Any]) -> None:
    body = encoded(PredictRequest(ROWS, ("predict",)), {"predict": array})
    assert json.loads(body) == {"predictions": values}


def test_an_output_that_json_cannot_carry_is_our_error_not_the_callers() -> None:
    with pytest.raises(NotImplementedError, match="an output holds a object"):
        encoded(PredictRequest(ROWS, ("predict",)), {"predict": np.array([object()])})
