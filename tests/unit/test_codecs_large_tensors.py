"""Large tensors: read as the typed decoders read them, or left to them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.codecs.large_tensors import SMALLEST_BODY, LargeTensors
from model_manager.codecs.typed_decoding import Doubt
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput
from model_manager.signature import Column, Layout, Output, Signature

OUTPUTS = (Output("predict", "FP64", (-1,)), Output("transform", "FP64", (-1, 2)))
NUMBERS = tuple(Column(name, "FP64") for name in "abcd")
ARRAY = Signature(Layout.ARRAY, NUMBERS, True, OUTPUTS)
FRAME = Signature(Layout.FRAME, NUMBERS, True, OUTPUTS)
ANY_WIDTH = Signature(Layout.ARRAY, None, False, OUTPUTS)
MIXED = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "BYTES")), True, OUTPUTS)

VALUES = np.random.default_rng(7).normal(scale=1e3, size=(500, 4))


def body(data: Any, shape: list[int] | None = None, datatype: str = "FP64", **extra: Any) -> bytes:
    tensor = {"name": "input", "shape": shape or [500, 4], "datatype": datatype, "data": data}
    return json.dumps({"inputs": [tensor], **extra}).encode()


@pytest.mark.parametrize("data", [VALUES.tolist(), VALUES.ravel().tolist()], ids=["nested", "flat"])
@pytest.mark.parametrize("signature", [ARRAY, FRAME, ANY_WIDTH], ids=["array", "frame", "any width"])
def test_a_large_tensor_is_read_to_the_last_bit(signature: Signature, data: Any) -> None:
    sent = body(data, id="7", outputs=[{"name": "transform"}])
    assert len(sent) > SMALLEST_BODY
    read = LargeTensors(signature).read(sent)
    assert (read.id, read.outputs) == ("7", ("transform",))
    together = np.column_stack(read.blocks) if signature is FRAME else read.blocks[0]
    np.testing.assert_array_equal(together, VALUES)
    codec = V2Codec(signature, max_rows=500, model="m", version="1")
    request = codec.decode([], sent)
    assert (request.id, request.outputs) == ("7", ("transform",))
    np.testing.assert_array_equal(request.rows.blocks[0], read.blocks[0])
    assert codec.decode([], body(data)).outputs == ("predict", "transform")


RAGGED = [*VALUES[:-2].tolist(), [1.0] * 5, [1.0] * 3]
HIDDEN = [*VALUES[:-1].ravel().tolist(), 1.0, [2.0, 3.0], [], 4.0]


@pytest.mark.parametrize(
    "sent",
    [
        body(RAGGED),
        body(HIDDEN),
        body([*VALUES[:-1].tolist(), [1.0, 2.0, 3.0, None]]),
        body([*VALUES[:-1].tolist(), [1.0, 2.0, 3.0, "4"]]),
        body([*VALUES[:-1].tolist(), [1.0, 2.0, 3.0, True]]),
        body(VALUES.tolist(), [4, 500]),
        body(VALUES.tolist(), [-500, -4]),
        body(VALUES.tolist(), [499, 4]),
        body(VALUES.tolist(), [500, 4, 1]),
        body((VALUES * 1e300).tolist(), datatype="FP32"),
        body(VALUES.tolist(), datatype="INT64"),
        body(VALUES.tolist(), unknown=1),
        body(VALUES.tolist(), parameters={"a": 1}),
        body(VALUES.tolist(), id=7),
        body(VALUES.tolist(), outputs=[{"name": "predict", "parameters": {}}]),
        body(VALUES.tolist())[:-1],
        body(VALUES.tolist()).replace(b'{"inputs"', b'{"inputs": 1, "inputs"', 1),
        body(VALUES.tolist()).replace(b'"shape"', b'"shape": [1], "shape"', 1),
        body(VALUES.tolist()).replace(b'"input"', b'"a"', 1),
        b'{"inputs": []}',
        b"[]",
        b"",
    ],
)
def test_whatever_is_not_surely_right_is_left_to_the_typed_decoders(sent: bytes) -> None:
    reader = LargeTensors(ARRAY)
    with pytest.raises(Doubt):
        reader.read(sent)
    np.testing.assert_array_equal(reader.read(body(VALUES.tolist())).blocks[0], VALUES)  # and it goes on reading


@pytest.mark.parametrize("data", [RAGGED, HIDDEN, [*VALUES[:-1].tolist(), [1.0, 2.0, 3.0, "4"]]])
def test_a_large_tensor_that_is_wrong_is_refused_with_its_place(data: Any) -> None:
    codec = V2Codec(ARRAY, max_rows=1000, model="m", version="1")
    with pytest.raises(InvalidInput, match="input"):
        codec.decode([], body(data))


def test_more_rows_than_allowed_are_refused_however_large() -> None:
    with pytest.raises(InvalidInput, match="max_rows_per_request"):
        V2Codec(ARRAY, max_rows=499, model="m", version="1").decode([], body(VALUES.tolist()))


def test_signatures_with_more_than_floats_are_not_for_this_path() -> None:
    assert LargeTensors(ARRAY).usable
    assert not LargeTensors(MIXED).usable


def test_without_the_extra_the_typed_decoders_read_the_same() -> None:
    asked = (
        "import sys; sys.modules['simdjson'] = None\n"
        "from model_manager.codecs.v2 import V2Codec\n"
        "from tests.unit.test_codecs_large_tensors import ARRAY, VALUES, LargeTensors, body\n"
        "codec = V2Codec(ARRAY, max_rows=500, model='m', version='1')\n"
        "assert (codec.decode([], body(VALUES.tolist())).rows.blocks[0] == VALUES).all()\n"
        "print(LargeTensors(ARRAY).usable)"
    )
    assert subprocess.check_output([sys.executable, "-c", asked], text=True) == "False\n"


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(finite | st.integers(-(2**53), 2**53), min_size=4, max_size=4), min_size=1, max_size=20))
def test_both_fast_paths_agree(rows: list[list[float]]) -> None:
    sent = body(rows, [len(rows), 4])
    typed = V2Codec(ARRAY, max_rows=100, model="m", version="1").decode([], sent).rows.blocks[0]
    np.testing.assert_array_equal(LargeTensors(ARRAY).read(sent).blocks[0], typed)
