"""Tensors in messages ⇄ arrays: raw little-endian bytes, or lists typed by datatype. Beside protobuf.py."""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np

from model_manager.codecs.json_text import excerpt
from model_manager.codecs.outputs import encode_json
from model_manager.codecs.rows import refuse_too_many
from model_manager.codecs.typed_decoding import Blocks
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Array, Column, Datatype, Layout, Signature

_FIELDS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which list of InferTensorContents carries a datatype."""

_LITTLE: Final[Mapping[str, np.dtype[Any]]] = {name: dtype.newbyteorder("<") for name, dtype in DTYPES.items()}
"""The dtype of raw contents; of BYTES, which have a form of their own, it says nothing."""

_FEW: Final = 64
_NARROW: Final = frozenset({"INT8", "INT16", "UINT8", "UINT16"})
"""Those whose list holds values that they do not."""
_LENGTH: Final = struct.Struct("<I")


class MessageTensors:
    """Read the tensors of one signature into blocks, where they hold finite numbers of a datatype that surely fits."""

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns or ()
        self._frame = signature.layout is Layout.FRAME
        self._text = signature.layout is Layout.TEXT
        self._columns = tuple((column, signature.dtype_of(column)) for column in columns)
        named = not self._text and (signature.named or self._frame)
        self._positions = {column.name: place for place, column in enumerate(columns) if named}
        self._whole: tuple[Column, np.dtype[Any]] | None = None
        if signature.columns is None:
            self._whole = None if self._text else (Column("", "FP64"), signature.dtype)
        elif columns and len({(one.datatype, one.nullable, one.missing) for one in columns}) == 1:
            self._whole = self._columns[0]
        self._width = len(columns) if signature.columns is not None else None

    def blocks(self, tensors: Sequence[Any], raws: Sequence[bytes]) -> Blocks | None:
        """Store tensors as blocks; None where the reference path has to read them, or to refuse them."""
        if len(tensors) == 1 and tensors[0].name not in self._positions:
            return self._from_one(tensors[0], raws[0] if raws else None)
        if not self._frame or len(tensors) != len(self._columns):
            return None
        blocks: list[Array | None] = [None] * len(tensors)
        rows = tensors[0].shape[0] if tensors[0].shape else 0
        for at, tensor in enumerate(tensors):
            place = self._positions.get(tensor.name)
            if place is None or blocks[place] is not None or list(tensor.shape) not in ([rows], [rows, 1]):
                return None
            array = _array_of(tensor, raws[at] if raws else None, rows)
            block = None if array is None else _cast(array, tensor.datatype, *self._columns[place])
            if block is None:
                return None
            blocks[place] = block
        return tuple(cast("list[Array]", blocks))

    def _from_one(self, tensor: Any, raw: bytes | None) -> Blocks | None:
        if self._whole is None or len(tensor.shape) != 2:
            return None
        rows, width = tensor.shape
        if width != (self._width or width) or width < 1:
            return None
        array = _array_of(tensor, raw, rows * width)
        block = None if array is None else _cast(array, tensor.datatype, *self._whole)
        if block is None:
            return None
        block = block.reshape(rows, width)
        return tuple(block.T) if self._frame else (block,)


def _array_of(tensor: Any, raw: bytes | None, count: int) -> Array | None:
    """The values of a tensor of numbers or booleans, flat; None for what is not surely right."""
    if tensor.parameters or tensor.datatype not in _FIELDS or tensor.datatype == "BYTES":
        return None
    dtype = _LITTLE[tensor.datatype]
    if raw is not None:
        if tensor.HasField("contents") or len(raw) != count * dtype.itemsize:
            return None
        return np.frombuffer(raw, dtype)
    contents = tensor.contents.ListFields()
    if len(contents) != 1 or contents[0][0].name != _FIELDS[tensor.datatype] or tensor.datatype in _NARROW:
        return None
    values = contents[0][1]
    return np.fromiter(values, dtype, count) if len(values) == count else None


def _cast(array: Array, carrier: str, column: Column, dtype: np.dtype[Any]) -> Array | None:
    """Give values the dtype of their block, in memory of its own; None where the reference path has to say how."""
    own = column.datatype
    if own not in ("FP32", "FP64"):
        return array.astype(dtype) if carrier == own and dtype == DTYPES[own] else None
    if dtype != DTYPES[own] or carrier == "BOOL":
        return None
    if carrier == own:
        block = array.astype(dtype)
    else:
        with np.errstate(over="ignore"):
            block = array.astype(np.float64).astype(dtype, copy=False)
    if block.size <= _FEW and math.isfinite(sum(block.tolist())):  # a fifth of what numpy takes
        return block
    if np.isfinite(block).all():
        return block
    return block if column.nullable and column.missing == "NaN" and not np.isinf(block).any() else None


def document_of(tensor: Any, raw: bytes | None, max_rows: int) -> dict[str, object]:
    """Give a tensor as JSON would have it, for the reference path. Raises InvalidInput, naming it."""
    shape, datatype, place = list(tensor.shape), tensor.datatype, f"input {excerpt(tensor.name)}"
    document = {"name": tensor.name, "shape": shape, "datatype": datatype, "data": []}
    if tensor.parameters:
        document["parameters"] = parameters_of(tensor.parameters)
    if datatype in DTYPES and len(shape) in (1, 2) and min(shape) >= 0:
        refuse_too_many(shape[0], max_rows, place)
        document["data"] = _values(tensor, raw, math.prod(shape), place)
        if datatype == "FP16":
            document["datatype"] = "FP32"  # whose values hold those of FP16
    return document


def parameters_of(given: Mapping[str, Any]) -> dict[str, object]:
    """Parameters as plain values; one that is set to nothing is None."""
    parameters: dict[str, object] = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        parameters[name] = None if kind is None else getattr(parameter, kind)
    return parameters


def _values(tensor: Any, raw: bytes | None, count: int, place: str) -> list[Any]:
    datatype = tensor.datatype
    given = [field.name for field, _ in tensor.contents.ListFields()]
    if raw is not None:
        if given:
            raise InvalidInput(f"{place}: has {given[0]} and raw_input_contents; send one of them")
        return (
            _texts(_elements(raw, count, place), place) if datatype == "BYTES" else _numbers(raw, tensor, count, place)
        )
    field = _FIELDS.get(datatype)
    if field is None:
        raise InvalidInput(f"{place}: datatype {datatype} has no typed contents; send raw_input_contents")
    if given not in ([], [field]):
        other = next(name for name in given if name != field)
        raise InvalidInput(f"{place}: datatype {datatype} is carried by {field}, got {other}")
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise InvalidInput(f"{place}: shape {list(tensor.shape)} needs {count} values, {field} has {len(values)}")
    return _texts(values, place) if datatype == "BYTES" else list(values)


def _numbers(raw: bytes, tensor: Any, count: int, place: str) -> list[Any]:
    dtype = _LITTLE[tensor.datatype]
    if len(raw) != count * dtype.itemsize:
        needs = f"shape {list(tensor.shape)} of {tensor.datatype} needs {count * dtype.itemsize}"
        raise InvalidInput(f"{place}: {needs} bytes, raw_input_contents has {len(raw)}")
    values: list[Any] = np.frombuffer(raw, dtype).tolist()
    return values


def _elements(raw: bytes, count: int, place: str) -> Iterator[bytes]:
    """The elements of raw BYTES. Raises InvalidInput where they are not as many as the shape says."""
    at = 0
    for number in range(count):
        begin = at + _LENGTH.size
        end = begin + _LENGTH.unpack_from(raw, at)[0] if begin <= len(raw) else begin
        if end > len(raw):
            raise InvalidInput(f"{place}: raw_input_contents ends within element {number} of {count}")
        yield raw[begin:end]
        at = end
    if at != len(raw):
        raise InvalidInput(f"{place}: raw_input_contents has {len(raw) - at} bytes more than its {count} elements")


def _texts(elements: Any, place: str) -> list[str]:
    texts: list[str] = []
    for element in elements:
        try:
            texts.append(element.decode())
        except UnicodeDecodeError:
            raise InvalidInput(f"{place}: element {len(texts)}: is no text in UTF-8") from None
    return texts


def raw_bytes(array: Array, datatype: Datatype) -> bytes:
    """An answer's values as raw contents."""
    if datatype != "BYTES":
        return array.astype(_LITTLE[datatype], copy=False).tobytes()
    return b"".join([_LENGTH.pack(len(one)) + one for one in _encoded(array)])


def raw_field(raw: bytes) -> tuple[bytes, bytes]:
    """Raw contents as a field of an answer: its tag and length, and itself."""
    length, digits = len(raw), bytearray(b"\x32")
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return bytes(digits), raw


def set_contents(contents: Any, array: Array, datatype: Datatype) -> None:
    """Store an answer's values as typed contents."""
    values = _encoded(array) if datatype == "BYTES" else array.reshape(-1).tolist()
    getattr(contents, _FIELDS[datatype]).extend(values)


def _encoded(array: Array) -> list[bytes]:
    """Texts as they are; another value as JSON writes it."""
    return [
        value.encode() if isinstance(value, str) else encode_json(value).strip(b'"')
        for value in array.reshape(-1).tolist()
    ]
