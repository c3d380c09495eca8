"""V2's binary tensors: JSON first, the bytes of tensors behind it, and how many bytes are JSON in a header.

In front of the typed decoders of V2. What lies behind the JSON becomes blocks without a Python object for any number;
as everywhere, whatever is not surely right raises Doubt, and is read again by the reference path (tensors.py).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from model_manager.call import Headers
from model_manager.codecs import moments
from model_manager.codecs.binary_tensors import array_of
from model_manager.codecs.cells import FLOAT_LIMITS, INTEGER_BOUNDS, integer_bounds
from model_manager.codecs.json_text import excerpt, listing
from model_manager.codecs.parameters import BINARY_SIZE
from model_manager.codecs.tail import Tail
from model_manager.codecs.typed_decoding import Blocks, Doubt
from model_manager.codecs.typed_tensors import RawTensor, TypedTensors, refuse_encoded
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, LARGEST_EXACT, Array, Column, Datatype, Layout, Signature

LENGTH_HEADER: Final = b"inference-header-content-length"
_SHOWN: Final = "Inference-Header-Content-Length"


def json_length(headers: Headers, size: int) -> int | None:
    """How many of a body's `size` bytes are JSON, where a header says it; 0: the body is the one input's values.

    Raises InvalidInput for a header that is no such number.
    """
    for name, value in headers:
        if name == LENGTH_HEADER:
            text = value.strip()
            # Python reads no number of thousands of digits, and more than these are more than any body has
            length = int(text) if text.isdigit() and len(text) < 20 else -1
            if not 0 <= length <= size:
                shown = excerpt(value.decode("latin-1"))
                raise InvalidInput(f"header {_SHOWN}: expected how many of the {size} bytes are JSON, got {shown}")
            return length
    return None


def raw_tensor(body: bytes, signature: Signature) -> tuple[dict[str, Any], bytes]:
    """Describe a body that is nothing but the values of a version's one input, and give the bytes of its tensor.

    As many rows as there are; of strings one, the body itself. Raises InvalidInput for a version of another shape.
    """
    columns = signature.columns or ()
    if signature.layout is Layout.TEXT:
        name, datatype, width = signature.tensor, signature.datatype, None
    elif signature.layout is Layout.FRAME:
        if len(columns) != 1:
            names = listing([column.name for column in columns])
            raise InvalidInput(f"header {_SHOWN} is 0, so the body is one input, and this model has {names}")
        name, datatype, width = columns[0].name, columns[0].datatype, None
    elif signature.columns is None:
        raise InvalidInput(f"header {_SHOWN} is 0, and this model does not say how long a row is; describe it in JSON")
    else:
        name, datatype, width = signature.tensor, signature.datatype, len(columns)
    if signature.layout is Layout.TEXT or datatype == "BYTES":
        if width not in (None, 1):
            raise InvalidInput(f"header {_SHOWN} is 0, so the body is one string, and a row of this model has {width}")
        body, rows = len(body).to_bytes(4, "little") + body, 1
        datatype = "BYTES"
    else:
        row = DTYPES[datatype].itemsize * (width or 1)
        rows = len(body) // row
        if rows * row != len(body):
            raise InvalidInput(f"the body has {len(body)} bytes, and a row has {row}: {width or 1} of {datatype}")
    shape = [rows] if width is None else [rows, width]
    tensor = {"name": name, "datatype": datatype, "shape": shape, "parameters": {BINARY_SIZE: len(body)}}
    return {"inputs": [tensor], "parameters": {"binary_data_output": True}}, body


class BinaryTensors:
    """Store tensors of one signature as blocks, some or all of them binary. `most_rows`: with more, Doubt."""

    def __init__(self, signature: Signature, typed: TypedTensors, *, most_rows: int) -> None:
        self._signature = signature
        self._typed = typed
        self._most_rows = most_rows
        self._columns = signature.columns
        columns = signature.columns or ()
        rules = {(column.datatype, column.nullable, column.boxed) for column in columns}
        self._alike = len(rules) <= 1 and not any(column.moments for column in columns)
        strings = any(column.datatype == "BYTES" for column in columns)
        self._whole = not strings or (self._alike and signature.layout is Layout.ARRAY)

    def blocks(self, tensors: Sequence[RawTensor], tail: Tail) -> Blocks:
        """Store tensors as blocks. Raises one of DOUBTS; InvalidInput for bytes that cannot be read."""
        one = tensors[0]
        if len(tensors) == 1 and one.name not in self._typed.positions:
            return self._from_one(one, tail)
        if len(tensors) != len(self._typed.positions):
            raise Doubt
        signature, columns = self._signature, self._columns or ()
        blocks: list[Any] = [None] * len(tensors)
        rows = one.shape[0]
        for tensor in tensors:
            position = self._typed.positions[tensor.name]
            column = columns[position]
            if tensor.shape not in ([rows], [rows, 1]) or blocks[position] is not None:
                raise Doubt
            refuse_encoded(tensor.parameters, dates=column.moments is not None)
            if _size(tensor) is None:
                block = self._typed.column_block(tensor, position)
                if block.shape != (rows,):
                    raise Doubt
            else:
                block = _block(self._array(tensor, tail).reshape(rows), column, signature.dtype_of(column))
            blocks[position] = block
        if signature.layout is Layout.FRAME:
            return tuple(blocks)
        whole = np.empty((rows, len(blocks)), dtype=signature.dtype)
        for position, each in enumerate(blocks):
            whole[:, position] = each
        return (whole,)

    def _from_one(self, tensor: RawTensor, tail: Tail) -> Blocks:
        if _size(tensor) is None:
            return self._typed.blocks([tensor])
        refuse_encoded(tensor.parameters, dates=False)
        signature, shape = self._signature, tensor.shape
        array = self._array(tensor, tail)
        if signature.layout is Layout.TEXT:
            if shape[1:] not in ([], [1]) or not array.dtype.hasobject:
                raise Doubt
            return (array.reshape(shape[0]),)
        columns = self._columns
        if len(shape) != 2 or (columns is not None and len(columns) != shape[1]) or not array.size or not self._whole:
            raise Doubt
        if columns is None:
            return (_block(array, Column("", "FP64"), signature.dtype),)
        if signature.layout is Layout.FRAME:
            dtypes = [signature.dtype_of(column) for column in columns]
            return tuple([_block(*each) for each in zip(array.T, columns, dtypes, strict=True)])
        if self._alike:
            return (_block(array, columns[0], signature.dtype),)
        whole = np.empty(array.shape, dtype=signature.dtype)
        for position, column in enumerate(columns):
            whole[:, position] = _block(array[:, position], column, signature.dtype)
        return (whole,)

    def _array(self, tensor: RawTensor, tail: Tail) -> Array:
        shape = tensor.shape
        if tensor.data != _NO_DATA or not 0 < len(shape) <= 2 or not 0 < shape[0] <= self._most_rows:
            raise Doubt
        if len(shape) == 2 and tensor.datatype == "BYTES" and shape[1] != len(self._columns or (0,)) and shape[1] != 1:
            raise Doubt
        datatype: Any = tensor.datatype
        if datatype not in DTYPES:
            raise Doubt
        place = f"input {excerpt(tensor.name)}"
        return array_of(tail.take(_size(tensor), place), shape, datatype, place)


_NO_DATA: Final = msgspec.Raw(b"")


def _size(tensor: RawTensor) -> object:
    return tensor.parameters.get(BINARY_SIZE) if tensor.parameters else None


def _block(array: Array, column: Column, dtype: np.dtype[Any]) -> Array:
    """Convert what came to what a block of `dtype` holds of a column, or the columns of a tensor. Raises Doubt."""
    came = array.dtype
    if came.hasobject:
        if column.datatype != "BYTES":
            raise Doubt
        return array if column.moments is None else moments.block_of(array.tolist(), column.moments)
    if dtype.hasobject or column.datatype == "BYTES":
        raise Doubt
    if column.datatype == "BOOL":
        if came.kind != "b":
            raise Doubt
    elif column.datatype in INTEGER_BOUNDS:
        _require_integers(array, column, dtype)
    else:
        _require_floats(array, column.datatype, nullable=column.nullable)
    return array.astype(dtype, copy=False)


def _require_floats(array: Array, datatype: Datatype, *, nullable: bool) -> None:
    if array.dtype.kind == "f" and not nullable and np.isnan(array).any():
        raise Doubt
    own = DTYPES[datatype]
    if datatype in FLOAT_LIMITS and array.dtype != own and (array.dtype.kind != "f" or array.itemsize > own.itemsize):
        with np.errstate(over="ignore"):
            narrowed = array.astype(own)
        if np.count_nonzero(np.isinf(narrowed)) != np.count_nonzero(np.isinf(array)):
            raise Doubt


def _require_integers(array: Array, column: Column, dtype: np.dtype[Any]) -> None:
    if array.dtype.kind == "b" or (array.dtype == dtype and dtype.kind != "f"):
        return  # of a nullable column the block holds floats, and the floats that come may be no integers
    low, high = integer_bounds(column.datatype, dtype)
    if array.dtype.kind == "f":
        low, high = max(low, -LARGEST_EXACT), min(high, LARGEST_EXACT)
        array = array[~np.isnan(array)] if column.nullable else array
        if not (array == np.trunc(array)).all():
            raise Doubt
    if array.size and not (low <= array.min() and array.max() <= high):
        raise Doubt
