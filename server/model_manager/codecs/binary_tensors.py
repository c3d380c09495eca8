"""Raw bytes ⇄ one array, for every datatype: what binary tensors of V2 and raw contents of gRPC hold.

Little-endian, row-major, nothing between the values; BOOL is a byte of 0 or 1, and each string of BYTES stands behind
its length, four bytes. Numbers are not copied: an array is a view of the bytes that came, wherever they lie well.
"""

import sys
from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from model_manager.codecs.json_text import excerpt
from model_manager.codecs.outputs import encode_json
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Array, Datatype

_LENGTH: Final = 4  # bytes in front of each string
_SWAPPED: Final = sys.byteorder == "big"


def check_size(size: int, shape: Sequence[int], datatype: Datatype, place: str) -> int:
    """Count the values of a shape, and hold the bytes that there are of them against it, before anything is read.

    `size` in bytes. Raises InvalidInput, which names `place`.
    """
    count = prod(shape)  # of Python's integers, which do not overflow
    if min(shape, default=0) < 0:
        raise InvalidInput(f"{place}: expected a shape of whole numbers from 0, got {list(shape)}")
    if datatype == "BYTES":
        if count * _LENGTH > size:
            raise InvalidInput(
                f"{place}: shape {_shown(shape)} needs {count} strings, each behind four bytes of length; "
                f"{size} bytes are fewer"
            )
        return count
    needed = count * DTYPES[datatype].itemsize
    if needed != size:
        raise InvalidInput(f"{place}: shape {_shown(shape)} of {datatype} needs {needed} bytes, got {size}")
    return count


def array_of(raw: bytes | memoryview, shape: Sequence[int], datatype: Datatype, place: str) -> Array:
    """Read bytes as an array of `shape`: of the datatype's dtype, or of str objects for BYTES.

    Raises InvalidInput naming `place`, and the value that is none: of a BOOL, or a string that is not UTF-8.
    """
    count = check_size(len(raw), shape, datatype, place)
    if datatype == "BYTES":
        strings = np.empty(count, dtype=object)
        strings[:] = _strings(memoryview(raw), count, place)
        return strings.reshape(tuple(shape))
    if datatype == "BOOL":
        flags = np.frombuffer(raw, np.uint8)
        if count and flags.max() > 1:
            at = int(np.argmax(flags > 1))
            raise InvalidInput(f"{place}: value {at}: expected 0 or 1 for a BOOL, got {flags[at]}")
        return flags.view(np.bool_).reshape(tuple(shape))
    numbers = np.frombuffer(raw, DTYPES[datatype].newbyteorder("<"))
    if _SWAPPED or not numbers.flags.aligned:
        numbers = numbers.astype(DTYPES[datatype])
    return numbers.reshape(tuple(shape))


def bytes_of(array: Array) -> bytes:
    """Write an array's values; what is not a number or a boolean is written as strings."""
    if array.dtype.kind in "OUSM":
        return b"".join([_string(value) for value in array.reshape(-1).tolist()])
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _shown(shape: Sequence[int]) -> str:
    return "[" + ", ".join(excerpt(dimension) for dimension in shape) + "]"


def _strings(raw: memoryview, count: int, place: str) -> list[str]:
    strings: list[str] = []
    at, size = 0, len(raw)
    for number in range(count):
        start = at + _LENGTH
        at = start + int.from_bytes(raw[at:start], "little")
        if start > size or at > size:
            raise InvalidInput(f"{place}: value {number}: the bytes end within it, at byte {size} of {max(at, start)}")
        try:
            strings.append(str(raw[start:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{place}: value {number}: expected UTF-8, {error.reason} at its byte {error.start}; "
                "send text, or declare content_type base64 for bytes that are none"
            ) from None
    if at != size:
        raise InvalidInput(f"{place}: {size - at} bytes are left behind the last of {count} strings")
    return strings


def _string(value: Any) -> bytes:
    """One string behind its length. A missing one is empty: bytes have no null."""
    if value is None:
        text = b""
    elif isinstance(value, str):
        text = value.encode()
    else:
        text = value if isinstance(value, bytes) else encode_json(value)
    return len(text).to_bytes(_LENGTH, "little") + text
