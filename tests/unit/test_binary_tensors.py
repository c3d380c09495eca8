"""Raw bytes ⇄ arrays: every datatype both ways, and bytes that do not hold what their shape says."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from model_manager.codecs.binary_tensors import array_of, bytes_of
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Datatype

NUMBERS: list[Datatype] = [name for name in DTYPES if name != "BYTES"]


@pytest.mark.parametrize("datatype", NUMBERS)
@settings(max_examples=20)
@given(data=st.data())
def test_numbers_come_back_bit_for_bit(datatype: Datatype, data: st.DataObject) -> None:
    shape = data.draw(arrays.array_shapes(max_dims=2, min_side=0, max_side=5))
    array = data.draw(arrays.arrays(DTYPES[datatype], shape))
    raw = bytes_of(array)
    again = array_of(raw, shape, datatype, "input")
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, shape, array.tobytes())


def test_numbers_are_little_endian_and_row_major() -> None:
    raw = struct.pack("<6h", 1, 2, 3, -1, -2, -3)
    assert array_of(raw, [2, 3], "INT16", "input").tolist() == [[1, 2, 3], [-1, -2, -3]]
    assert bytes_of(np.array([[1, -1], [2, -2], [3, -3]], ">i2").T) == raw
    assert bytes_of(np.array([True, False])) == b"\1\0"


def test_numbers_are_not_copied_unless_they_lie_badly() -> None:
    raw = bytes(17)
    view = memoryview(raw)[1:]
    assert array_of(view, [2], "FP64", "input").flags.aligned
    aligned = np.zeros(2)
    assert np.shares_memory(array_of(memoryview(aligned.data.cast("B")), [2], "FP64", "input"), aligned)


@settings(max_examples=50)
@given(texts=st.lists(st.text(max_size=6), max_size=6))
def test_strings_come_back(texts: list[str]) -> None:
    raw = bytes_of(np.array(texts, dtype=object))
    assert raw == b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    assert array_of(raw, [len(texts)], "BYTES", "input").tolist() == texts


def test_what_answers_hold_beside_strings_is_written_as_text() -> None:
    written = [b"", b"1", b"true", b"x"]
    assert bytes_of(np.array([None, 1, True, b"x"], dtype=object)) == b"".join(
        struct.pack("<I", len(text)) + text for text in written
    )
    assert bytes_of(np.array(["é"])) == struct.pack("<I", 2) + "é".encode()


@pytest.mark.parametrize(
    ("raw", "shape", "datatype", "message"),
    [
        (bytes(15), [2], "FP64", "x: shape [2] of FP64 needs 16 bytes, got 15"),
        (bytes(17), [2], "FP64", "x: shape [2] of FP64 needs 16 bytes, got 17"),
        (b"", [2**40, 2**40], "INT8", f"x: shape [{2**40}, {2**40}] of INT8 needs {2**80} bytes, got 0"),
        (bytes(8), [-1, -1], "FP64", "x: expected a shape of whole numbers from 0, got [-1, -1]"),
        (b"\1\2", [2], "BOOL", "x: value 1: expected 0 or 1 for a BOOL, got 2"),
        (bytes(7), [2], "BYTES", "x: shape [2] needs 2 strings, each behind four bytes of length; 7 bytes are fewer"),
        (b"\4\0\0\0abc", [1], "BYTES", "x: value 0: the bytes end within it, at byte 7 of 8"),
        (b"\xff\xff\xff\xffabc", [1], "BYTES", f"x: value 0: the bytes end within it, at byte 7 of {2**32 + 3}"),
        (b"\4\0\0\0abcd\0\0", [2], "BYTES", "x: value 1: the bytes end within it, at byte 10 of 12"),
        (b"\1\0\0\0ab", [1], "BYTES", "x: 1 bytes are left behind the last of 1 strings"),
        (b"\1\0\0\0\xff", [1], "BYTES", "x: value 0: expected UTF-8, invalid start byte at its byte 0"),
    ],
)
def test_bytes_that_do_not_hold_the_shape_are_refused(
    raw: bytes, shape: list[int], datatype: Any, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        array_of(raw, shape, datatype, "x")
    assert str(refused.value).startswith(message)
