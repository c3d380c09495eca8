"""Binary tensors of V2: into the same blocks as JSON's, refused in the same words, and answers in binary."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.codecs.binary_tensors import array_of, bytes_of
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Array, Column, Layout, PredictRequest, Signature

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
    OUTPUTS,
    PAIRS,
    SINGLES,
    TEXT,
    WORDS,
    NoReference,
    X,
    codec,
    plain,
    tensor,
)

GAPS = Signature(PAIRS.layout, (Column("0", "FP64", nullable=True), Column("1", "FP64", nullable=True)), False, OUTPUTS)
MAY_LACK = Signature(Layout.FRAME, (Column("0", "FP64"), Column("1", "INT8", nullable=True)), False, OUTPUTS)
NAN, INF = float("nan"), float("inf")
Sent = tuple[list[tuple[bytes, bytes]], bytes]


def binary(name: str, array: Array, datatype: str) -> tuple[dict[str, Any], bytes]:
    raw = bytes_of(array)
    described = {"name": name, "shape": list(array.shape), "datatype": datatype}
    return described | {"parameters": {"binary_data_size": len(raw)}}, raw


def numbers(values: Any, datatype: Any = "FP64", name: str = "x") -> tuple[dict[str, Any], bytes]:
    return binary(name, np.array(values, DTYPES[datatype]), datatype)


def strings(name: str, values: Any) -> tuple[dict[str, Any], bytes]:
    return binary(name, np.array(values, object), "BYTES")


def sent(*tensors: Any, **more: Any) -> Sent:
    """Headers and body; a tensor is one of JSON, or one and its bytes."""
    described = [each if isinstance(each, dict) else each[0] for each in tensors]
    text = json.dumps({"inputs": described, **more}).encode()
    raw = b"".join(each[1] for each in tensors if not isinstance(each, dict))
    return [(b"inference-header-content-length", b"%d" % len(text))], text + raw


def fast(signature: Signature, request: Sent) -> PredictRequest:
    return NoReference(signature, max_rows=3, model="iris", version="2").decode(*request)


class OnlyReference(V2Codec):
    """A codec whose fast path doubts everything."""

    def _fast_request(self, body: bytes, tail: Any = None) -> PredictRequest:
        raise ValueError


def slow(signature: Signature, request: Sent) -> PredictRequest:
    return OnlyReference(signature, max_rows=3, model="iris", version="2").decode(*request)


@pytest.mark.parametrize(
    ("signature", "request_sent", "blocks"),
    [
        (PAIRS, sent(numbers([[1, 2], [3, 4]])), [[[1.0, 2.0], [3.0, 4.0]]]),
        (PAIRS, sent(numbers([[1, -INF]])), [[[1.0, -INF]]]),
        (PAIRS, sent(numbers([[1, 2]], "FP16")), [[[1.0, 2.0]]]),
        (PAIRS, sent(numbers([[True, False]], "BOOL")), [[[1.0, 0.0]]]),
        (PAIRS, sent(numbers([[2**64 - 1, 0]], "UINT64")), [[[float(2**64), 0.0]]]),
        (NAMED, sent(numbers([NAN], name="w"), tensor("h", [1, 1], "FP64", [1])), [[[None, 1.0]]]),
        (NAMED, sent(tensor("h", [1], "FP32", [1.5]), numbers([[2]], "INT8", "w")), [[[2.0, 1.5]]]),
        (NAMED, sent(numbers([[NAN, 1]])), [[[None, 1.0]]]),
        (COUNTS, sent(numbers([[1, 255]], "INT64")), [[[1, 255]]]),
        (COUNTS, sent(numbers([[1, 255]], "FP32")), [[[1, 255]]]),
        (SINGLES, sent(numbers([[0.1]], "FP64")), [[[float(np.float32(0.1))]]]),
        (FLAGS, sent(numbers([[True, False]], "BOOL")), [[[True, False]]]),
        (WORDS, sent(strings("x", [["a", "é"]])), [[["a", "é"]]]),
        (TEXT, sent(strings("x", ["a", "b"])), [["a", "b"]]),
        (TEXT, sent(strings("x", [["a"], ["b"]])), [["a", "b"]]),
        (NUMERIC_FRAME, sent(numbers([[1, 2], [3, 4]])), [[1.0, 3.0], [2.0, 4.0]]),
        (COUNTED_FRAME, sent(numbers([[1, 127], [3, NAN]])), [[1.0, 3.0], [127.0, None]]),
        (ANY_WIDTH, sent(numbers([[1, 2, 3]], "INT16")), [[[1.0, 2.0, 3.0]]]),
        (
            FRAME,
            sent(strings("sex", ["f"]), numbers([1], "INT64", "age"), numbers([NAN], name="fare")),
            [[1], [None], ["f"]],
        ),
    ],
)  # fmt: skip
def test_bytes_become_the_blocks_that_the_reference_makes_of_them(
    signature: Signature, request_sent: Sent, blocks: list[Any]
) -> None:
    quick, sure = fast(signature, request_sent), slow(signature, request_sent)
    assert plain(quick.rows) == plain(sure.rows) == blocks
    assert quick.rows.shape_key == sure.rows.shape_key


def test_numbers_that_lie_well_are_not_copied() -> None:
    headers, body = sent(numbers([[1, 2], [3, 4]]), id="x" * 9)
    for padding in range(8):
        headers, body = sent(numbers([[1, 2], [3, 4]]), id="x" * padding)
        block = fast(PAIRS, (headers, body)).rows.blocks[0]
        assert block.flags.aligned
        if (len(body) - 32 + np.frombuffer(body, np.uint8).ctypes.data) % 8 == 0:
            assert np.shares_memory(block, np.frombuffer(body, np.uint8))
            return
    raise AssertionError("one of eight lies well")


@pytest.mark.parametrize("signature", [PAIRS, NAMED, COUNTS, SINGLES, FLAGS, NUMERIC_FRAME, COUNTED_FRAME, ANY_WIDTH])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_the_numbers_are_both_paths_agree(signature: Signature, data: st.DataObject) -> None:
    width = len(signature.columns or (0, 0))
    datatype = data.draw(st.sampled_from([name for name in DTYPES if name != "BYTES"]))
    dtype = DTYPES[datatype]
    edges = [0, 1, 2.5, 127, 128, 255, 256, -1, 2**53, 2**53 + 2, 2**63, 1e39, -1e300, NAN, INF]
    with np.errstate(all="ignore"):
        held = np.array([data.draw(st.sampled_from(edges)) for _ in range(width)], np.float64).astype(dtype)
    request = sent(numbers(held.reshape(1, width), datatype))
    try:
        sure: Any = slow(signature, request)
    except InvalidInput as refused:
        sure = str(refused)
    try:
        both: Any = codec(signature).decode(*request)
    except InvalidInput as refused:
        both = str(refused)
    if isinstance(sure, str):
        assert both == sure
    else:
        assert plain(both.rows) == plain(sure.rows)
        assert both.rows.shape_key == sure.rows.shape_key


def with_length(value: bytes, body: bytes = b'{"inputs":[]}') -> Sent:
    return [(b"inference-header-content-length", value)], body


@pytest.mark.parametrize(
    ("signature", "request_sent", "message"),
    [
        (PAIRS, with_length(b"-1"), "header Inference-Header-Content-Length: expected how many of the 13 bytes"),
        (PAIRS, with_length(b"14"), 'of the 13 bytes are JSON, got "14"'),
        (PAIRS, with_length(b"1" * 5000), "of the 13 bytes are JSON, got"),
        (PAIRS, with_length(b"x"), 'got "x"'),
        (PAIRS, with_length(b"\xb2"), "got"),
        (PAIRS, with_length(b"12"), "the body is not JSON: it ends too early, at byte 12"),
        (PAIRS, with_length(b"13"), "inputs: expected at least one tensor"),
        (PAIRS, sent((numbers([[1, 2]])[0], bytes(15))), 'input "x": binary_data_size is 16, but 15 bytes are left'),
        (PAIRS, sent((numbers([[1, 2]])[0], bytes(17))), "1 bytes are left behind the binary tensors"),
        (PAIRS, sent(numbers([[1, 2]])[0] | X), 'input "x": has both data and binary_data_size'),
        (PAIRS, sent(X | {"parameters": {"binary_data_size": 0}}), "has both data and binary_data_size"),
        (PAIRS, sent(tensor("x", [1, 2], "FP64", None) | {"parameters": {"binary_data_size": 0}}), "has both"),
        *(
            (PAIRS, sent((numbers([[1, 2]])[0] | change, bytes(16))), message)
            for change, message in (
                ({"parameters": {"binary_data_size": -1}}, "binary_data_size: expected bytes, a whole number from 0"),
                ({"parameters": {"binary_data_size": "16"}}, 'a whole number from 0, got "16"'),
                ({"parameters": {"binary_data_size": True}}, "a whole number from 0, got true"),
                ({"parameters": {"binary_data_size": 16, "shared_memory_offset": 1}}, '"shared_memory_offset" is'),
                ({"shape": [-1, -2]}, "expected a shape of whole numbers from 0, got -1 in it"),
                ({"shape": [2**62, 2**62]}, "a dimension of 4611686018427387904 is more than"),
                ({"shape": [1, 2**31]}, "needs 17179869184 bytes, got 16"),
                ({"shape": [4, 2]}, "4 rows are more than the 3"),
                ({"shape": [2, 1]}, "expected shape [rows, 2], got [2, 1]"),
                ({"shape": [2]}, "expected shape [rows, 2], got [2]; one row is [1, 2]"),
                ({"shape": []}, "expected a shape of one or two dimensions"),
                ({"datatype": "BF16"}, 'unknown datatype "BF16"'),
                ({"datatype": "FP32"}, "shape [1, 2] of FP32 needs 8 bytes, got 16"),
            )
        ),
        (PAIRS, sent(numbers([[1, NAN]])), 'input "x": row 0, column 1: expected a number (FP64), got NaN'),
        (SINGLES, sent(numbers([[1e39]])), 'input "x": row 0, column 0: expected a number (FP32), got one too large'),
        (COUNTS, sent(numbers([[1, 256]], "INT64")), "column 1: expected an integer from 0 to 255 (UINT8), got 256"),
        (COUNTS, sent(numbers([[0.5, 1]])), "row 0, column 0: expected an integer from 0 to 255 (UINT8), got 0.5"),
        (MAY_LACK, sent(numbers([[0, 2.5]])), 'column "1": expected an integer from -128 to 127 (INT8), got 2.5'),
        (MAY_LACK, sent(numbers([[0, 128]])), 'column "1": expected an integer from -128 to 127 (INT8), got 128'),
        (FLAGS, sent((numbers([[True, False]], "BOOL")[0], b"\1\2")), 'input "x": value 1: expected 0 or 1 for a BOOL'),
        (FLAGS, sent(numbers([[1, 0]], "INT8")), 'input "x": expected datatype BOOL, got INT8'),
        (TEXT, sent(numbers([1])), 'input "x": expected datatype BYTES, got FP64'),
        (TEXT, sent((strings("x", ["é"])[0], b"\2\0\0\0\xff\xff")), "expected UTF-8"),
        (MIXED_OBJECTS, sent(strings("x", [["a", "b"]])), "column 1: expected an integer"),
        (NAMED, sent(numbers([1], name="w"), numbers([1, 2], name="h")), 'has 2 rows, but input "w" has 1'),
        (NAMED, sent(numbers([1], name="w"), numbers([1], name="w")), '"w" is given more than once'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(signature: Signature, request_sent: Sent, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode(*request_sent)
    assert message in str(refused.value)


def test_binary_bodies_without_their_header_are_named_as_such() -> None:
    _, body = sent(numbers([[1, 2.5]]))
    with pytest.raises(
        InvalidInput, match="JSON with binary tensors behind it, and the header Inference-Header-Content"
    ):
        codec(PAIRS).decode([], body)


RAW = [(b"inference-header-content-length", b"0"), (b"content-type", b"application/octet-stream")]


@pytest.mark.parametrize(
    ("signature", "body", "blocks"),
    [
        (PAIRS, struct.pack("<4d", 1, 2, 3, 4), [[[1.0, 2.0], [3.0, 4.0]]]),
        (COUNTS, b"\1\2", [[[1, 2]]]),
        (TEXT, "é?".encode(), [["é?"]]),
        (Signature(FRAME.layout, FRAME.columns[:1], True, FRAME.outputs), struct.pack("<q", 7), [[7]]),  # type: ignore[index]
        (Signature(CITIES.layout, CITIES.columns[:1], True, CITIES.outputs), b"Ulm", [["Ulm"]]),  # type: ignore[index]
    ],
)
def test_a_body_that_is_the_one_input_is_read_and_answered_in_binary(
    signature: Signature, body: bytes, blocks: list[Any]
) -> None:
    request = fast(signature, (RAW, body))
    assert plain(request.rows) == blocks
    headers, _ = codec(signature).encode(request, {"predict": np.array(["a"]), "predict_proba": np.zeros((1, 2))})
    assert dict(headers)[b"content-type"] == b"application/octet-stream"


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (PAIRS, bytes(17), "the body has 17 bytes, and a row has 16: 2 of FP64"),
        (PAIRS, b"", "no rows; send at least one"),
        (PAIRS, bytes(64), "4 rows are more than the 3"),
        (FRAME, bytes(8), 'the body is one input, and this model has "age", "fare", "sex"'),
        (ANY_WIDTH, bytes(8), "this model does not say how long a row is"),
        (WORDS, b"a", "the body is one string, and a row of this model has 2"),
        (TEXT, b"\xff", "expected UTF-8"),
    ],
)
def test_a_body_that_cannot_be_the_one_input_is_refused(signature: Signature, body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode(RAW, body)
    assert message in str(refused.value)


RESULTS = {"predict": np.array(["no", "yös"]), "predict_proba": np.array([[0.75, 0.25], [NAN, INF]])}


def answered(**more: Any) -> tuple[Mapping[bytes, bytes], dict[str, Any], dict[str, Any]]:
    """Headers, the JSON, and the outputs' values by name, however they came."""
    request = fast(PAIRS, ([], json.dumps({"inputs": [tensor("x", [2, 2], "FP64", [1, 2, 3, 4])], **more}).encode()))
    headers, body = codec(PAIRS).encode(request, RESULTS)
    length = int(dict(headers).get(b"inference-header-content-length", len(body)))
    document, at, values = json.loads(body[:length]), length, {}
    for output in document["outputs"]:
        size = output["parameters"].get("binary_data_size")
        if size is None:
            values[output["name"]] = output["data"]
        else:
            raw = body[at : at + size]
            values[output["name"]] = array_of(raw, output["shape"], output["datatype"], "output")
            at += size
    assert at == len(body)
    return dict(headers), document, values


@pytest.mark.parametrize(
    ("more", "in_binary"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": False}}, set()),
        ({"parameters": {"binary_data_output": True}}, {"predict", "predict_proba"}),
        ({"outputs": [{"name": "predict_proba", "parameters": {"binary_data": True}}]}, {"predict_proba"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "predict"}, {"name": "predict_proba", "parameters": {"binary_data": False}}],
            },
            {"predict"},
        ),
    ],
)
def test_outputs_are_binary_where_they_are_asked_for_in_binary(more: dict[str, Any], in_binary: set[str]) -> None:
    headers, document, values = answered(**more)
    assert {name for name, value in values.items() if isinstance(value, np.ndarray)} == in_binary
    octets = headers[b"content-type"] == b"application/octet-stream"
    assert octets == (b"inference-header-content-length" in headers) == bool(in_binary)
    assert headers[b"x-model-version"] == b"2"
    for output in document["outputs"]:
        binary = output["name"] in in_binary
        assert ("data" in output, "binary_data_size" in output["parameters"]) == (not binary, binary)
    if "predict_proba" in in_binary:
        np.testing.assert_array_equal(values["predict_proba"], RESULTS["predict_proba"])
    if "predict" in in_binary:
        assert values["predict"].tolist() == ["no", "yös"]


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "BYTES"])
def test_every_datatype_leaves_as_it_is(dtype: Any) -> None:
    array = np.array([0, 1, 1], DTYPES[dtype])
    request = fast(
        PAIRS, sent(numbers([[1, 2]]), parameters={"binary_data_output": True}, outputs=[{"name": "predict"}])
    )
    headers, body = codec(PAIRS).encode(request, {"predict": array})
    length = int(dict(headers)[b"inference-header-content-length"])
    assert json.loads(body[:length])["outputs"][0]["datatype"] == dtype
    assert body[length:] == array.tobytes()


def best(name: str, most: int, **more: Any) -> Any:
    _, _, values = answered(outputs=[{"name": name, "parameters": {"classification": most, **more}}])
    return values[name]


def test_the_best_classes_are_strings_of_value_index_and_label() -> None:
    assert best("predict_proba", 1) == ["0.750000:0", "inf:1"]
    assert best("predict_proba", 9) == ["0.750000:0", "0.250000:1", "inf:1", "nan:0"]
    assert best("predict_proba", 1, binary_data=True).tolist() == [["0.750000:0"], ["inf:1"]]


def test_classes_have_their_labels_where_the_output_declares_them() -> None:
    outputs = (PAIRS.outputs[0], type(PAIRS.outputs[1])("p", "INT8", (-1, 2), classes=("no", True)))
    labelled = Signature(PAIRS.layout, PAIRS.columns, False, outputs)
    asked = json.dumps({"inputs": [X], "outputs": [{"name": "p", "parameters": {"classification": 2}}]}).encode()
    request = codec(labelled).decode([], asked)
    _, body = codec(labelled).encode(request, {"p": np.array([[3, 7]], np.int8)})
    (output,) = json.loads(body)["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [1, 2], ["7:1:True", "3:0:no"])


def test_literals_are_written_where_a_request_takes_them() -> None:
    request = codec(PAIRS).decode([], json.dumps({"inputs": [X], "parameters": {"non_finite_literals": True}}).encode())
    _, body = codec(PAIRS).encode(request, RESULTS)
    assert b'"data":[0.75,0.25,NaN,Infinity]' in body
    assert "yös".encode() in body


@pytest.mark.parametrize(
    ("parameters", "data", "rows"),
    [
        ({"content_type": "base64"}, ["VWxt"], ["Ulm"]),
        ({"content_type": "base64"}, ["w6k="], ["é"]),
        ({"content_type": "pd_json"}, ['"Ulm"'], ["Ulm"]),
        ({"content_type": "hg_json"}, ['"Ulm"'], ["Ulm"]),
    ],
)
def test_declared_encodings_are_undone(parameters: dict[str, str], data: list[str], rows: list[str]) -> None:
    inputs = [tensor("text", [1], "BYTES", data, parameters=parameters)]
    assert plain(codec(TEXT).decode([], json.dumps({"inputs": inputs}).encode()).rows) == [rows]
    array = np.array(data, object)
    described, raw = binary("text", array, "BYTES")
    described["parameters"] |= parameters
    assert plain(codec(TEXT).decode(*sent((described, raw))).rows) == [rows]


def test_json_in_strings_may_hold_what_the_column_takes() -> None:
    inputs = [
        tensor("age", [2], "BYTES", ["1", "2.0"], parameters={"content_type": "pd_json"}),
        tensor("fare", [2], "BYTES", ["null", "1.5"], parameters={"content_type": "pd_json"}),
        tensor("sex", [2], "BYTES", ['"f"', '"m"'], parameters={"content_type": "pd_json"}),
    ]
    rows = codec(FRAME).decode([], json.dumps({"inputs": inputs}).encode()).rows
    assert plain(rows) == [[1, 2], [None, 1.5], ["f", "m"]]


@pytest.mark.parametrize(
    ("content_type", "value", "message"),
    [
        ("base64", "Ulm!", 'input "text": row 0: declared to be base64, and is not: "Ulm!"'),
        ("base64", "é", "it holds letters that base64 has not"),
        ("base64", "/w==", "what it encodes is no UTF-8"),
        ("base64", 3, "row 0: expected a string of base64, got 3"),
        ("pd_json", "{", "row 0: declared to be pd_json, and is not"),
        ("pd_json", "[" * 100_000, "row 0: its pd_json is nested too deeply"),
        ("hg_json", "3", 'input "text": row 0: expected a string, got 3'),
    ],
)
def test_what_is_not_in_its_encoding_is_refused(content_type: str, value: object, message: str) -> None:
    inputs = [tensor("text", [1], "BYTES", [value], parameters={"content_type": content_type})]
    with pytest.raises(InvalidInput) as refused:
        codec(TEXT).decode([], json.dumps({"inputs": inputs}).encode())
    assert message in str(refused.value)


def test_infinities_that_are_sent_as_such_reach_the_model() -> None:
    for body in (b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[-Infinity, Infinity]}]}',):
        assert codec(PAIRS).decode([], body).rows.blocks[0].tolist() == [[-INF, INF]]


def test_missing_values_as_python_writes_them_take_the_fast_path() -> None:
    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[NaN, 1]}]}'
    body = body.replace(b'"x"', b'"NaN"')
    assert plain(fast(GAPS, ([], body)).rows) == [[[None, 1.0]]]
