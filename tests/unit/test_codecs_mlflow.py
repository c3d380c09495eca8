"""MLflow's bodies: frames, records, rows and CSV, read alike however they are read; what is refused, and where."""

import csv
import io
import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.codecs.mlflow import MLflowCodec
from model_manager.codecs.v1_examples import ClassifyCodec, RegressCodec
from model_manager.errors import InvalidInput, UnsupportedContent
from model_manager.signature import Column, Layout, Output, PredictRequest, Signature

OUTPUTS = (Output("predict", "BYTES", (-1,)), Output("predict_proba", "FP64", (-1, 2)))
IRIS = Signature(Layout.ARRAY, tuple(Column(str(n), "FP64") for n in range(3)), False, OUTPUTS)
NAMED = Signature(Layout.ARRAY, (Column("a", "FP64"), Column("b", "FP64", nullable=True)), True, OUTPUTS)
FRAME = Signature(
    Layout.FRAME,
    (
        Column("zip", "BYTES"),
        Column("age", "INT64"),
        Column("fare", "FP64", nullable=True),
        Column("cabin", "BYTES", nullable=True),
        Column("alone", "BOOL"),
    ),
    True,
    OUTPUTS,
)
TIMES = Signature(Layout.FRAME, (Column("a", "BYTES"), Column("b", "BYTES")), True, OUTPUTS)
TEXT = Signature(Layout.TEXT, None, False, OUTPUTS)
ANY_WIDTH = Signature(Layout.ARRAY, None, False, OUTPUTS)
CSV = [(b"content-type", b"text/csv; charset=utf-8")]


def codec(signature: Signature, max_rows: int = 3) -> MLflowCodec:
    return MLflowCodec(signature, max_rows=max_rows, model="m", version="1")


def plain(request: PredictRequest) -> list[Any]:
    def without_nan(value: Any) -> Any:
        if isinstance(value, list):
            return [without_nan(each) for each in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return [without_nan(block.tolist()) for block in request.rows.blocks]


class NoReference(MLflowCodec):
    """A codec that must not need the reference path."""

    def _reference_request(self, body: bytes) -> PredictRequest:
        raise AssertionError(f"the typed decoders did not read {body!r}")


ROW = {"zip": "01234", "age": 3, "fare": None, "cabin": None, "alone": True}
BLOCKS = [["01234"], [3], [None], [None], [True]]
READ: list[tuple[Signature, Any, list[Any]]] = [
    (FRAME, {"dataframe_records": [ROW]}, BLOCKS),
    (FRAME, {"dataframe_split": {"columns": list(ROW), "index": [7], "data": [list(ROW.values())]}}, BLOCKS),
    (FRAME, {"dataframe_split": {"data": [list(ROW.values())]}}, BLOCKS),
    (FRAME, {"instances": [ROW]}, BLOCKS),
    (IRIS, {"dataframe_split": {"columns": [0, 1, 2], "data": [[1, 2, 3]]}}, [[[1.0, 2.0, 3.0]]]),
    (IRIS, {"dataframe_split": {"columns": ["x", "y", "z"], "data": [[1, 2, 3]]}}, [[[1.0, 2.0, 3.0]]]),
    (IRIS, {"instances": [[1, 2, 3]]}, [[[1.0, 2.0, 3.0]]]),
    (NAMED, {"dataframe_split": {"columns": ["a", "b"], "data": [[1, None]]}}, [[[1.0, None]]]),
]


@pytest.mark.parametrize(("signature", "body", "blocks"), READ)
def test_usual_bodies_are_read_by_typed_decoders_and_alike_by_the_reference(
    signature: Signature, body: Any, blocks: list[Any]
) -> None:
    sent = json.dumps(body).encode()
    fast = NoReference(signature, max_rows=3, model="m", version="1").decode([], sent)
    slow = codec(signature)._reference_request(sent)
    assert plain(fast) == plain(slow) == blocks
    assert fast.rows.shape_key == slow.rows.shape_key
    assert fast.outputs == slow.outputs == ("predict",)


@pytest.mark.parametrize(
    ("signature", "body", "blocks"),
    [
        (NAMED, {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2], [3, 4]]}}, [[[2.0, 1.0], [4.0, 3.0]]]),
        (NAMED, {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2]], "index_names": [None]}}, [[[2.0, 1.0]]]),
        (IRIS, {"dataframe_split": {"columns": [2, 1, 0], "data": [[1, 2, 3]]}}, [[[3.0, 2.0, 1.0]]]),
        (IRIS, {"dataframe_records": [{"2": 3, "1": 2, "0": 1}]}, [[[1.0, 2.0, 3.0]]]),
        (IRIS, {"dataframe_records": [{"x": 1, "y": 2, "z": 3}] * 2}, [[[1.0, 2.0, 3.0]] * 2]),
        (IRIS, {"inputs": [[1, 2, 3]]}, [[[1.0, 2.0, 3.0]]]),
        (IRIS, {"inputs": {"input": [[1, 2, 3]]}}, [[[1.0, 2.0, 3.0]]]),
        (NAMED, {"inputs": {"b": [1], "a": [2]}}, [[[2.0, 1.0]]]),
        (TEXT, {"dataframe_split": {"columns": ["text"], "data": [["x"], ["y"]]}}, [["x", "y"]]),
        (TEXT, {"dataframe_records": [{"text": "x"}]}, [["x"]]),
        (ANY_WIDTH, {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}, [[[1.0, 2.0]]]),
    ],
)
def test_unusual_bodies_are_read_all_the_same(signature: Signature, body: Any, blocks: list[Any]) -> None:
    assert plain(codec(signature).decode([], json.dumps(body).encode())) == blocks


@pytest.mark.parametrize(
    ("params", "outputs", "timeout_s"),
    [
        ({}, ("predict",), None),
        (None, ("predict",), None),
        ({"outputs": "predict_proba"}, ("predict_proba",), None),
        ({"outputs": ["predict_proba", "predict"], "timeout": 2_000_000}, ("predict_proba", "predict"), 2.0),
    ],
)
def test_params_choose_outputs_and_say_how_urgent_it_is(params: Any, outputs: tuple[str, ...], timeout_s: Any) -> None:
    request = codec(IRIS).decode([], json.dumps({"instances": [[1, 2, 3]], "params": params}).encode())
    assert (request.outputs, request.timeout_s) == (outputs, timeout_s)


SPLIT = '{"dataframe_split":{"columns":%s,"data":%s}}'


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (IRIS, "{}", 'has none of "dataframe_split", "dataframe_records", "instances", "inputs"; send one'),
        (IRIS, '{"instances":[],"inputs":[]}', 'has both "instances", "inputs"; send one'),
        (IRIS, '{"instances":[[1,2,3]],"instances":[[1,2,3]]}', '"instances" is given more than once'),
        (IRIS, '{"dataframe_split":[]}', 'dataframe_split: expected an object with "columns" and "data"'),
        (IRIS, '{"dataframe_split":{"data":[[1,2,3]],"data":[[1,2,3]]}}', '"data" is given more than once'),
        (IRIS, '{"dataframe_records":{}}', "dataframe_records: expected a list of objects, got an object"),
        (IRIS, SPLIT % ('"a"', "[]"), "dataframe_split: columns: expected a list of names"),
        (IRIS, SPLIT % ("[0,1,2]", "[]"), "dataframe_split: data: no rows"),
        (IRIS, SPLIT % ("[0,1,2]", "[[1,2,3],[1,2]]"), "data: row 1: expected 3 values, one a column, got 2"),
        (IRIS, SPLIT % ("[0,1,2]", "[[1,2,3],null]"), "data: row 1: expected 3 values, one a column, got null"),
        (IRIS, SPLIT % ("[0,1]", "[[1,2]]"), "dataframe_split: data: row 0: expected 3 values, got 2"),
        (IRIS, SPLIT % ("[0,1,2]", "[[1,2,3]" + ",[1,2,3]" * 3 + "]"), "4 rows are more than the 3"),
        (NAMED, SPLIT % ('["a","c"]', "[[1,2]]"), 'columns: unknown column "c"'),
        (NAMED, SPLIT % ('["a"]', "[[1]]"), 'columns: missing column "b"'),
        (NAMED, SPLIT % ('["a","b","a"]', "[[1,2,3]]"), 'columns: "a" is given more than once'),
        (NAMED, SPLIT % ('["a","b"]', '[[1,2],[1,"x"]]'), 'data: row 1, column "b": expected a number (FP64), got "x"'),
        (IRIS, '{"dataframe_records":[{"x":1,"y":2,"z":3},{"z":1,"y":2,"x":3}]}', "row 1: its keys are others"),
        (FRAME, '{"dataframe_records":[{"zip":"1"}]}', 'dataframe_records: row 0: missing columns "age", "fare"'),
        (IRIS, '{"instances":[[1,2,3]],"params":{"threshold":0.3}}', 'params: "threshold" is not known here'),
        (IRIS, '{"instances":[[1,2,3]],"params":{"outputs":3}}', "params: outputs: expected the name of an output"),
        (IRIS, '{"instances":[[1,2,3]],"params":{"outputs":["x"]}}', 'unknown output "x"'),
        (IRIS, '{"instances":[[1,2,3]],"params":[]}', "params: expected an object, got a list"),
        (IRIS, "[[1,2,3]]", "must be a JSON object"),
    ],
)
def test_bad_bodies_are_refused_with_the_place_of_the_fault(signature: Signature, body: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode([], body.encode())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("signature", "text", "blocks"),
    [
        (IRIS, "0,1,2\n1,2.5,-3e2\n", [[[1.0, 2.5, -300.0]]]),
        (IRIS, "2,1,0\r\n1,2,3\r\n", [[[3.0, 2.0, 1.0]]]),
        (IRIS, "x,y,z\n1,2,3", [[[1.0, 2.0, 3.0]]]),
        (IRIS, "\ufeffx,y,z\n\n1,2,3\n\n", [[[1.0, 2.0, 3.0]]]),
        (NAMED, "b,a\nNaN,1\n ,2\n,true\n", [[[1.0, None], [2.0, None], [1.0, None]]]),
        (FRAME, "alone,cabin,fare,age,zip\nTrue,,NA,3,01234\n", BLOCKS),
        (FRAME, 'zip,age,fare,cabin,alone\n"a,""b""\nc",3.0,,NA,0\n', [['a,"b"\nc'], [3], [None], ["NA"], [False]]),
        (TEXT, 'text\n"hello, you"\n', [["hello, you"]]),
        (TEXT, "text\n007\n", [["007"]]),
        (ANY_WIDTH, "a,b\n1,2\n", [[[1.0, 2.0]]]),
    ],
)
def test_csv_is_read_by_what_the_model_takes(signature: Signature, text: str, blocks: list[Any]) -> None:
    assert plain(codec(signature).decode(CSV, text.encode())) == blocks


@pytest.mark.parametrize(
    ("signature", "text", "message"),
    [
        (IRIS, "", "CSV: the body is empty"),
        (IRIS, "0,1,2\n", "CSV: no rows"),
        (IRIS, "5.1,3.5,1.4\n5.1,3.5,1.4\n", "the first line holds numbers; it has to name the columns"),
        (IRIS, "x,y\n1,2\n", "CSV: expected 3 columns, got 2"),
        (IRIS, "x,y,z\n1,2,3\n1,2\n", "CSV: row 1: expected 3 fields, got 2"),
        (IRIS, "x,y,z\n" + "1,2,3\n" * 5, "are more than the 3 this server takes"),
        (IRIS, "x,y,z\n1,2,1_0\n", 'CSV: row 0, column 2: expected a number (FP64), got "1_0"'),
        (IRIS, "x,y,z\n1,2,1e999\n", "CSV: row 0, column 2: expected a number (FP64), got one too large"),
        (IRIS, "x,y,z\n1,2,inf\n", 'row 0, column 2: expected a number (FP64), got "inf"'),
        (IRIS, "x,y,z\n1,2,\n", "row 0, column 2: expected a number (FP64), got null"),
        (IRIS, 'x,y,z\n1,2,"3\n', "CSV: line 2 cannot be read"),
        (NAMED, "a,b,c\n1,2,3\n", 'CSV: the first line, which names columns: unknown column "c"'),
        (NAMED, ",a,b\n0,1,2\n", 'CSV: the first line, which names columns: unknown column ""'),
        (NAMED, "a,a\n1,2\n", 'CSV: the column "a" is there more than once'),
        (FRAME, "zip,age,fare,cabin,alone\n1,2.5,,,1\n", 'row 0, column "age": expected an integer'),
        (FRAME, "zip,age,fare,cabin,alone\n1,2,,,yes\n", 'row 0, column "alone": expected true or false, got "yes"'),
    ],
)
def test_bad_csv_is_refused_with_the_place_of_the_fault(signature: Signature, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode(CSV, text.encode())
    assert message in str(refused.value)


def test_csv_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="CSV: the body is not UTF-8: invalid start byte at byte 2"):
        codec(TEXT).decode(CSV, b"a\n\xff\n")


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0")),
            st.integers(-(2**53), 2**53),
            st.floats(allow_infinity=False),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_csv_writes_comes_back(table: list[tuple[str, int, float, bool]]) -> None:
    names = ["zip", "age", "fare", "alone"]
    columns = tuple(column for column in FRAME.columns or () if column.name in names)
    file = io.StringIO()
    csv.writer(file).writerows([names, *table])
    request = codec(Signature(Layout.FRAME, columns, True, OUTPUTS)).decode(CSV, file.getvalue().encode())
    expected = [[None if value != value else value for value in column] for column in zip(*table, strict=True)]
    assert plain(request) == expected


@pytest.mark.parametrize("orient", ["split", "records"])
def test_frames_as_pandas_writes_them(orient: Any) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, 4.0]}, index=[5, 6])
    body = {f"dataframe_{orient}": json.loads(frame.to_json(orient=orient))}
    assert plain(codec(NAMED).decode([], json.dumps(body).encode())) == [[[1.0, None], [2.0, 4.0]]]
    text = frame.to_csv(index=False).encode()
    assert plain(codec(NAMED).decode(CSV, text)) == [[[1.0, None], [2.0, 4.0]]]


def test_a_large_frame_with_an_index_is_within_bounds_and_one_too_large_is_not() -> None:
    rows = [[1.5, 2.5]] * 10_000
    split = {"index": list(range(10_000)), "columns": ["a", "b"], "data": rows}
    reader = codec(NAMED, 10_000)
    assert len(reader.decode([], json.dumps({"dataframe_split": split}).encode()).rows) == 10_000
    with pytest.raises(InvalidInput, match="more values than 10000 rows"):
        reader.decode([], b'{"dataframe_split":{"data":[[%b]]}}' % b",".join([b"0"] * 40_000))


def test_csv_with_more_values_than_any_request_needs_is_refused_before_it_is_read() -> None:
    reader = codec(TIMES, 1000)
    for line in (b"," * 100_000, b"a,b\n" + b"," * 100_000):
        with pytest.raises(InvalidInput, match="the body holds more values than 1000 rows of 2 columns need"):
            reader.decode(CSV, line)
    rows = b'"1,2,3,4,5,6,7,8,9",12:30:00\n' * 1000
    assert len(reader.decode(CSV, b"a,b\n" + rows).rows) == 1000


KEYS = st.sampled_from(
    [
        "dataframe_split",
        "dataframe_records",
        "instances",
        "inputs",
        "params",
        "columns",
        "data",
        "index",
        "outputs",
        "examples",
        "context",
        "signature_name",
        "a",
        "b",
        "0",
        "b64",
        "input",
        "zip",
        "age",
        "?",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.sampled_from([IRIS, NAMED, FRAME, TEXT, ANY_WIDTH]))
def test_junk_in_valid_json_is_read_alike_or_refused(document: Any, signature: Signature) -> None:
    """By the typed decoders no more than by the reference, and by neither with another error than a refusal."""
    body = json.dumps(document).encode()
    reader = codec(signature)
    try:
        slow: Any = reader._reference_request(body)
    except InvalidInput as refused:
        slow = str(refused)
    try:
        fast: Any = reader.decode([], body)
    except InvalidInput as refused:
        fast = str(refused)
    if isinstance(slow, str) or isinstance(fast, str):
        assert fast == slow
    else:
        assert (plain(fast), fast.outputs) == (plain(slow), slow.outputs)
    for kind in (ClassifyCodec, RegressCodec):
        with suppress(InvalidInput):
            kind(signature, max_rows=3, model="m", version="1").decode([], body)


@given(
    st.text(st.sampled_from('ab,01.2"\n\r\\:\0é'), max_size=40), st.sampled_from([IRIS, NAMED, FRAME, TEXT, ANY_WIDTH])
)
def test_any_text_is_read_as_csv_or_refused(text: str, signature: Signature) -> None:
    try:
        rows = len(codec(signature).decode(CSV, text.encode()).rows)
        said = ""
    except InvalidInput as refused:
        rows, said = 0, str(refused)
    assert 0 < rows <= 3 or "CSV" in said


def test_content_types_and_encodings() -> None:
    body = b'{"instances":[[1,2,3]]}'
    for declared in (b"application/json; charset=utf-8", b"text/plain", b"application/json; format=pandas-split"):
        assert len(codec(IRIS).decode([(b"content-type", declared)], body).rows) == 1
    with pytest.raises(UnsupportedContent, match=r"'text/html' is not served here.*send JSON.*or text/csv"):
        codec(IRIS).decode([(b"content-type", b"text/html")], b"<html>")
    for declared in (b"text/csv", b"application/json"):
        with pytest.raises(UnsupportedContent, match="'gzip' is not served here"):
            codec(IRIS).decode([(b"content-encoding", b"gzip"), (b"content-type", declared)], b"x")


def test_answers_are_predictions_by_row() -> None:
    request = codec(IRIS).decode([], b'{"inputs":[[1,2,3]]}')
    headers, body = codec(IRIS).encode(request, {"predict": np.array(["a"], dtype=object)})
    assert json.loads(body) == {"predictions": ["a"]}
    assert (b"x-model-version", b"1") in headers
