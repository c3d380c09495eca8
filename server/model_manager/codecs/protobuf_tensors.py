"""Tensors in messages ⇄ arrays: raw little-endian bytes, or lists typed by datatype. Beside protobuf.py."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from model_manager.codecs.binary_tensors import array_of, encode_text, no_text
from model_manager.codecs.json_text import excerpt
from model_manager.codecs.parameters import BINARY_SIZE
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


class Reading(NamedTuple):
    """How the values of one tensor become the block at `place`: `size` of them, sent as `carrier`."""

    place: int
    carrier: Datatype
    size: int
    column: Column
    dtype: np.dtype[Any]

    @property
    def raw_dtype(self) -> np.dtype[Any]:
        """The dtype of their raw contents."""
        return _LITTLE[self.carrier]


class Plan(NamedTuple):
    """How the tensors of a message become blocks; `width`: how many columns its only tensor holds, if it is that."""

    readings: tuple[Reading, ...]
    width: int | None


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

    def plan(self, tensors: Sequence[Any]) -> Plan | None:
        """Say how tensors are read; None where the reference path has to read them, or to refuse them."""
        if any(one.parameters or one.datatype not in _FIELDS or one.datatype == "BYTES" for one in tensors):
            return None
        if len(tensors) == 1 and tensors[0].name not in self._positions:
            return self._plan_of_one(tensors[0])
        if not self._frame or len(tensors) != len(self._columns):
            return None
        rows = tensors[0].shape[0] if tensors[0].shape else 0
        readings = []
        for tensor in tensors:
            place = self._positions.get(tensor.name)
            if place is None or list(tensor.shape) not in ([rows], [rows, 1]):
                return None
            readings.append(Reading(place, tensor.datatype, rows, *self._columns[place]))
        if len({one.place for one in readings}) != len(readings):
            return None
        return Plan(tuple(readings), None)

    def _plan_of_one(self, tensor: Any) -> Plan | None:
        if self._whole is None or len(tensor.shape) != 2:
            return None
        rows, width = tensor.shape
        if width != (self._width or width) or width < 1:
            return None
        return Plan((Reading(0, tensor.datatype, rows * width, *self._whole),), width)

    def blocks(self, plan: Plan, arrays: Sequence[Array]) -> Blocks | None:
        """Store the flat values of tensors; None where the reference path has to say what they are."""
        blocks: list[Any] = [None] * len(arrays)
        for array, reading in zip(arrays, plan.readings, strict=True):
            block = _cast(array, reading)
            if block is None:
                return None
            blocks[reading.place] = block
        if plan.width is None:
            return tuple(blocks)
        block = blocks[0].reshape(-1, plan.width)
        return tuple(block.T) if self._frame else (block,)


def values_of(tensors: Sequence[Any], raws: Sequence[bytes], plan: Plan) -> list[Array] | None:
    """The flat values of each tensor; None where what is sent is not surely what the plan says."""
    arrays: list[Array] = []
    for at, (tensor, reading) in enumerate(zip(tensors, plan.readings, strict=True)):
        dtype = reading.raw_dtype
        if raws:
            if tensor.HasField("contents") or len(raws[at]) != reading.size * dtype.itemsize:
                return None
            arrays.append(np.frombuffer(raws[at], dtype))
            continue
        contents = tensor.contents.ListFields()
        if len(contents) != 1 or contents[0][0].name != _FIELDS[reading.carrier] or reading.carrier in _NARROW:
            return None
        values = contents[0][1]
        if len(values) != reading.size:
            return None
        arrays.append(np.fromiter(values, dtype, reading.size))
    return arrays


def _cast(array: Array, reading: Reading) -> Array | None:
    """Give values the dtype of their block, in memory of its own; None where the reference path has to say how."""
    _, carrier, _, column, dtype = reading
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
        document["parameters"] = parameters = parameters_of(tensor.parameters)
        if raw is not None:
            parameters.pop(BINARY_SIZE, None)  # KServe's client says it of raw contents, too
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
        array = array_of(raw, list(tensor.shape), datatype, f"{place}, raw_input_contents")
        values: list[Any] = array.reshape(-1).tolist()
        return values
    field = _FIELDS.get(datatype)
    if field is None:
        raise InvalidInput(f"{place}: datatype {datatype} has no typed contents; send raw_input_contents")
    if given not in ([], [field]):
        other = next(name for name in given if name != field)
        raise InvalidInput(f"{place}: datatype {datatype} is carried by {field}, got {other}")
    sent = getattr(tensor.contents, field)
    if len(sent) != count:
        raise InvalidInput(f"{place}: shape {list(tensor.shape)} needs {count} values, {field} has {len(sent)}")
    return _texts(sent, place) if datatype == "BYTES" else list(sent)


def _texts(elements: Sequence[bytes], place: str) -> list[str]:
    texts: list[str] = []
    for element in elements:
        try:
            texts.append(element.decode())
        except UnicodeDecodeError as error:
            raise no_text(error, len(texts), place) from None
    return texts


def head_of(tag: int, length: int) -> bytes:
    """What stands before so many bytes of content, as a field of a message: its tag and its length."""
    head = bytearray((tag,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)


def set_contents(contents: Any, array: Array, datatype: Datatype) -> None:
    """Store an answer's values as typed contents."""
    values = array.reshape(-1).tolist()
    getattr(contents, _FIELDS[datatype]).extend(map(encode_text, values) if datatype == "BYTES" else values)
