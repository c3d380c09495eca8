"""V2 tensors by typed decoders: the fast path of the Open Inference Protocol, compiled once per signature.

Each tensor's data stays raw text until its datatype is known; then one prepared decoder parses it. As in
typed_decoding.py, whatever is not surely right raises one of DOUBTS.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from model_manager.codecs.cells import FLOAT_LIMITS, INTEGER_BOUNDS, integer_bounds
from model_manager.codecs.moments import DATES
from model_manager.codecs.parameters import ENCODINGS, Parameters
from model_manager.codecs.typed_decoding import (
    Blocks,
    Doubt,
    Store,
    cannot_fail,
    cell_type,
    column_store,
    integer_type,
    list_type,
    numbers_store,
    text_column,
)
from model_manager.signature import DTYPES, Array, Column, Datatype, Layout, Rows, Signature

_UNSET = msgspec.UNSET
Decoders = Mapping[str, msgspec.json.Decoder[Any]]


class RawTensor(msgspec.Struct, gc=False):
    """One input as it came, its data still text; none where its values are binary, and where they are missing."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)  # a default itself would be none of JSON's schemas
    parameters: Parameters = msgspec.UNSET


class TypedTensors:
    """Read raw tensors of one signature into blocks, the whole in one tensor or one tensor per column."""

    def __init__(self, signature: Signature) -> None:
        self._frame = signature.layout is Layout.FRAME
        self._text = signature.layout is Layout.TEXT
        columns = signature.columns
        by_name = columns is not None and not self._text and (signature.named or self._frame)
        self.positions = {column.name: position for position, column in enumerate(columns or ()) if by_name}
        self._dates = frozenset(column.name for column in columns or () if column.moments is not None)
        self._width = len(columns) if columns is not None else None
        self._dtype = signature.dtype
        self._columns: list[tuple[Store, Decoders]] = []
        for column in columns or () if by_name else ():
            dtype = signature.dtype_of(column)
            self._columns.append((column_store(column, dtype), decoders_for(column, dtype)))
        self._whole, self._store = self._whole_decoders(signature)
        self._row_shape, self._row_store = self._one_row(signature)

    def read(self, tensors: Sequence[RawTensor]) -> Rows:
        """Store tensors as rows, or hold a single row to be stored with those of its batch. Raises one of DOUBTS."""
        if len(tensors) == 1 and tensors[0].shape == self._row_shape:
            tensor = tensors[0]
            if tensor.name not in self.positions and tensor.parameters is _UNSET:
                row = self._whole[tensor.datatype].decode(tensor.data)
                if len(row) == 1 and type(row[0]) is list:
                    row = row[0]
                if len(row) == self._row_shape[1] and list not in map(type, row):
                    return Rows.of_one(row, self._row_store)
        return Rows(self.blocks(tensors))

    def blocks(self, tensors: Sequence[RawTensor]) -> Blocks:
        """Store tensors as blocks. Raises one of DOUBTS, msgspec's errors among them."""
        if len(tensors) == 1 and tensors[0].name not in self.positions:
            return self._from_one(tensors[0])
        if len(tensors) != len(self._columns):
            raise Doubt
        blocks: list[Any] = [None] * len(tensors)
        rows = tensors[0].shape[0]
        for tensor in tensors:
            if tensor.parameters is not _UNSET:
                refuse_encoded(tensor.parameters, dates=tensor.name in self._dates)
            position = self.positions[tensor.name]
            store, decoders = self._columns[position]
            block = store(decoders[tensor.datatype].decode(tensor.data))
            if tensor.shape not in ([rows], [rows, 1]) or block.shape != (rows,) or blocks[position] is not None:
                raise Doubt
            blocks[position] = block
        if self._frame:
            return tuple(blocks)
        block = np.empty((rows, len(blocks)), dtype=self._dtype)
        for position, each in enumerate(blocks):
            block[:, position] = each
        return (block,)

    def column_block(self, tensor: RawTensor, position: int) -> Array:
        """Store one tensor as the block of the column at `position`. Raises one of DOUBTS."""
        store, decoders = self._columns[position]
        return store(decoders[tensor.datatype].decode(tensor.data))

    def _from_one(self, tensor: RawTensor) -> Blocks:
        if tensor.parameters is not _UNSET:
            refuse_encoded(tensor.parameters, dates=False)
        values = self._whole[tensor.datatype].decode(tensor.data)
        if self._text:
            block = self._store(values)
            if tensor.shape not in ([len(values)], [len(values), 1]):
                raise Doubt
            return (block,)
        rows, width = tensor.shape
        if width != (self._width or width) or width < 1:
            raise Doubt
        block = self._store(values)
        if block.ndim == 1 and len(block) == rows * width:
            block = block.reshape(rows, width)
        elif block.shape != (rows, width):
            raise Doubt
        return tuple(block.T) if self._frame else (block,)

    def _one_row(self, signature: Signature) -> tuple[list[int], Callable[[list[Any]], Blocks]]:
        """The shape of a single row that may be held as its values, and what stores those; of others no shape."""
        dtype, columns = self._dtype, signature.columns
        many = numbers_store(dtype, columns or ())

        def store(rows: list[Any]) -> Blocks:
            return (np.array(rows, dtype) if many is None else many(rows),)

        numbers = signature.layout is Layout.ARRAY and columns and not dtype.hasobject
        held = numbers and all(cannot_fail(column, signature) for column in columns or ())
        return ([1, len(columns)] if held and columns else []), store

    def _whole_decoders(self, signature: Signature) -> tuple[Decoders, Store]:
        """Prepare decoders for the whole in one tensor, where all columns follow the same rules."""
        columns = signature.columns
        if self._text:
            column = text_column(signature)
            return decoders_for(column, self._dtype), column_store(column, self._dtype)
        if columns is None:
            column = Column("", "FP64")
            return decoders_for(column, self._dtype, nested=True), column_store(column, self._dtype)
        first = columns[0]
        dtype = signature.dtype_of(first)
        store = column_store(first, dtype)
        if len({(column.datatype, column.nullable, column.boxed, column.missing) for column in columns}) != 1:
            return {}, store
        if self._frame and dtype.kind in "OM":
            return {}, store
        return decoders_for(first, dtype, nested=not dtype.hasobject), store


def refuse_encoded(parameters: Parameters, *, dates: bool) -> None:
    """Raise Doubt for values declared to be encoded, or to be dates where none are taken."""
    if parameters:
        content_type = parameters.get("content_type")
        if content_type in ENCODINGS or (content_type == DATES and not dates):
            raise Doubt


def decoders_for(column: Column, dtype: np.dtype[Any], *, nested: bool = False) -> Decoders:
    """Prepare, for every datatype that may carry this column, a decoder of its values; `nested` also takes rows.

    Only carriers whose values come out of a block of `dtype` exactly as by the reference path are among them.
    """
    decoders: dict[str, msgspec.json.Decoder[Any]] = {}
    for datatype in DTYPES:
        if dtype.hasobject and datatype != column.datatype:
            continue  # an object block would keep the carrier's kind of number
        try:
            item = _carried_type(column, datatype, dtype)
        except Doubt:
            continue
        one_level = list_type(item)
        decoders[datatype] = msgspec.json.Decoder(list_type(item | one_level) if nested else one_level)
    return decoders


def _carried_type(column: Column, carrier: Datatype, dtype: np.dtype[Any]) -> Any:
    """Give the type that both datatypes accept, the carrier's and the column's. Raises Doubt where there is none."""
    own = column.datatype
    if carrier == own and carrier != "FP16":
        return cell_type(own, dtype, nullable=column.nullable)
    if "BYTES" in (own, carrier) or own == "BOOL" or carrier in ("FP16", "UINT64"):
        raise Doubt
    if carrier == "BOOL":
        return cell_type("BOOL", dtype, nullable=column.nullable)
    if carrier in INTEGER_BOUNDS and own in INTEGER_BOUNDS:
        (low, high), (least, most) = INTEGER_BOUNDS[carrier], integer_bounds(own, dtype)
        kind = integer_type(max(low, least), min(high, most), dtype)
        return kind | None if column.nullable else kind
    if carrier in INTEGER_BOUNDS:
        if own == "FP16":
            raise Doubt
        return cell_type(carrier, DTYPES[carrier], nullable=column.nullable)
    if own in INTEGER_BOUNDS:  # whole numbers in a float tensor; written as 3.0 they are read by the reference path
        return cell_type(own, dtype, nullable=column.nullable)
    narrower = min(own, carrier, key=lambda each: FLOAT_LIMITS.get(each, np.inf))
    return cell_type(narrower, dtype, nullable=column.nullable)
