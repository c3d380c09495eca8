"""Typed decoding, compiled once per signature: the fast path from parsed rows or columns to blocks.

Only what is surely right comes out of here. msgspec refuses wrong types, widths, ranges, nulls and column names while
it parses; whatever else looks odd raises one of DOUBTS. The codec then reads the same bytes by the reference path,
which names the fault or finds that there is none.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from struct import Struct
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec.structs import astuple

from model_manager.codecs.cells import FLOAT_LIMITS, INTEGER_BOUNDS, integer_bounds
from model_manager.codecs.moments import block_of
from model_manager.signature import DTYPES, Array, Column, Datatype, Layout, Rows, Signature

DOUBTS: Final = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError)
"""What fast decoding may raise; msgspec's errors and UnicodeDecodeError are ValueErrors."""

Blocks = tuple[Array, ...]
Store = Callable[[Sequence[Any]], Array]
"""Puts one column's parsed values, None for a missing one, into a block."""

_PACKED: Final = frozenset("bBhHiIlLqQfd")
"""The dtypes that the struct module has too, under the same character and in the same size."""
_LARGEST_BOUND: Final = 2**63 - 1
"""msgspec takes no larger one."""


class Doubt(ValueError):
    """The fast path cannot vouch for these bytes."""


def cell_type(datatype: Datatype, dtype: np.dtype[Any], *, nullable: bool) -> Any:
    """Give the msgspec type that accepts what `read_cell` accepts, or less. Raises Doubt where there is none."""
    kind: Any
    if datatype == "BYTES":
        kind = str
    elif datatype == "BOOL":
        kind = bool
    elif datatype in INTEGER_BOUNDS:
        kind = integer_type(*integer_bounds(datatype, dtype), dtype)
    elif datatype in FLOAT_LIMITS:
        kind = Annotated[float, msgspec.Meta(ge=-FLOAT_LIMITS[datatype], le=FLOAT_LIMITS[datatype])]
    else:
        kind = float
    if datatype not in ("BYTES", "BOOL") and not dtype.hasobject:  # objects would stay True and False
        kind = kind | bool
    return kind | None if nullable else kind


def integer_type(low: int, high: int, dtype: np.dtype[Any]) -> Any:
    """Give the type of integers from `low` to `high`, which a block of `dtype` will hold. Raises Doubt."""
    if high <= _LARGEST_BOUND:
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if dtype != DTYPES["UINT64"]:
        raise Doubt("nothing would check the upper bound")
    return Annotated[int, msgspec.Meta(ge=low)]  # numpy checks the upper one


def list_type(item: Any) -> Any:
    """Give the type of a list of `item`, a type made at run time."""
    return list[item]


def object_type(columns: Sequence[Column], types: Sequence[Any]) -> Any | None:
    """Define a struct with one field per column, or None where msgspec cannot take the columns' names.

    Fields are called c0, c1, …: names are the model's and need not be identifiers.
    """
    fields = tuple((f"c{position}", each) for position, each in enumerate(types))
    try:
        return struct_type("Columns", fields, tuple(column.name for column in columns))
    except ValueError:  # quotes, backslashes and control characters
        return None


@lru_cache(maxsize=64)
def struct_type(name: str, fields: tuple[tuple[Any, ...], ...], names: tuple[str, ...] | None = None) -> Any:
    """Define a struct, once for all versions that take the same: a class is a circle, which only collecting frees.

    `names`: what its fields are called in JSON. Raises ValueError for names that msgspec cannot take.
    """
    rename = {field[0]: name for field, name in zip(fields, names, strict=True)} if names is not None else None
    return msgspec.defstruct(name, fields, rename=rename, forbid_unknown_fields=True, gc=False)


class TypedRows:
    """Rows of one signature, as lists or objects: `row_type` parses them, `blocks` stores them."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self.row_type, self._object_type = self._types()
        if signature.layout is Layout.TEXT:
            self._store = column_store(text_column(signature), signature.dtype)
            self.blocks: Callable[[list[Any]], Blocks] = self._text_block
        elif signature.layout is Layout.FRAME:
            self.blocks = FrameBlocks(signature, self._object_type)
        elif signature.columns is None:
            self.blocks = self._tensor_of_any_width
        else:
            self.blocks = TensorBlock(signature, self._object_type)
        columns = () if signature.layout is Layout.TEXT else signature.columns or ()
        self._row_at_a_time = bool(columns) and all(cannot_fail(column, signature) for column in columns)

    def read(self, rows: list[Any]) -> Rows:
        """Store rows as blocks, or hold a single one to be stored with those of its batch. Raises one of DOUBTS."""
        if len(rows) == 1 and self._row_at_a_time:
            row = rows[0]
            return Rows.of_one(astuple(row) if type(row) is self._object_type else row, self.blocks)
        return Rows(self.blocks(rows))

    def keys(self, rows: list[Any]) -> int:
        """Count the keys in rows that `blocks` accepted, so all lists or all objects."""
        if self._object_type is None or type(rows[0]) is not self._object_type:
            return 0
        return len(rows) * len(self._object_type.__struct_fields__)

    def _types(self) -> tuple[Any, Any | None]:
        signature = self._signature
        if signature.layout is Layout.TEXT:
            return cell_type("BYTES", signature.dtype, nullable=text_column(signature).nullable), None
        if signature.columns is None:
            return list[float], None
        columns = signature.columns
        types = [_column_type(column, signature) for column in columns]
        if not types:
            raise Doubt("no typed decoder")
        row_type: Any = tuple[tuple(types)]  # type: ignore[misc]  # built at run time
        by_name = signature.named or signature.layout is Layout.FRAME
        by_object = object_type(columns, types) if by_name else None
        return (row_type if by_object is None else row_type | by_object), by_object

    def _text_block(self, rows: list[Any]) -> Blocks:
        if not rows:
            raise Doubt
        return (self._store(rows),)

    def _tensor_of_any_width(self, rows: list[Any]) -> Blocks:
        block = np.array(rows, dtype=np.float64)
        if block.ndim != 2 or not block.size:
            raise Doubt
        return (block,)


class TensorBlock:
    """Store rows of known width as the one (rows, columns) block of ARRAY."""

    def __init__(self, signature: Signature, by_object: Any | None) -> None:
        columns = signature.columns or ()
        self._dtype = signature.dtype
        self._gaps = [at for at, column in enumerate(columns) if column.nullable and column.missing != "None"]
        self._fill_gaps = self._dtype.hasobject and bool(self._gaps)
        self._object_type = by_object
        self._numbers = numbers_store(self._dtype, columns)

    def __call__(self, rows: list[Any]) -> Blocks:
        if type(rows[0]) is self._object_type:
            rows = list(map(astuple, rows))
        if self._numbers is not None:
            return (self._numbers(rows),)
        block = np.array(rows, dtype=self._dtype)
        if block.ndim != 2:
            raise Doubt
        if self._fill_gaps:
            mark_missing(block, self._gaps)
        return (block,)


class FrameBlocks:
    """Store rows as one (rows,) block per column."""

    def __init__(self, signature: Signature, by_object: Any | None) -> None:
        self._object_type = by_object
        self._stores = [column_store(column, signature.dtype_of(column)) for column in signature.columns or ()]

    def __call__(self, rows: list[Any]) -> Blocks:
        # A row of the other kind is no struct, or cannot be iterated over: TypeError.
        tuples = map(astuple, rows) if type(rows[0]) is self._object_type else rows
        return self.from_columns(zip(*tuples, strict=True))

    def from_columns(self, columns: Iterable[Sequence[Any]]) -> Blocks:
        """Store one sequence of values per column, None for a missing one."""
        return tuple([store(values) for values, store in zip(columns, self._stores, strict=True)])


class TypedColumns:
    """Columns of one signature, as an object of lists: `type` parses them, `blocks` stores them."""

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns or ()
        lists = [list_type(_column_type(column, signature)) for column in columns]
        by_object = object_type(columns, lists)
        if by_object is None or not columns:
            raise Doubt("no typed decoder")
        self.type = by_object
        self._frame = FrameBlocks(signature, None) if signature.layout is Layout.FRAME else None
        self._tensor = TensorBlock(signature, None)

    def blocks(self, columns: Any) -> Blocks:
        """Store parsed columns. Raises one of DOUBTS unless they are equally long."""
        values = astuple(columns)
        if self._frame is None:
            return self._tensor(list(zip(*values, strict=True)))
        if len(set(map(len, values))) != 1 or not values[0]:
            raise Doubt
        return self._frame.from_columns(values)


def numbers_store(dtype: np.dtype[Any], columns: Sequence[Column]) -> Store | None:
    """Choose how parsed rows of so many numbers each become a block; None where they are none, or some may be missing.

    For many rows that takes a third of the time of np.array, which looks at each value for what it may be.
    """
    width = len(columns)
    if not width or dtype.char not in _PACKED or any(column.nullable for column in columns):
        return None
    pack = Struct(f"{width}{dtype.char}").pack

    def store(rows: Sequence[Any]) -> Array:
        if len(rows) == 1:
            return np.array(rows, dtype)
        packed = bytearray().join([pack(*row) for row in rows])  # not of bytes: models may write to what they get
        return np.frombuffer(packed, dtype).reshape(len(rows), width)

    return store


def column_store(column: Column, dtype: np.dtype[Any]) -> Store:
    """Choose how parsed values of a column become a block of `dtype`."""
    if column.moments is not None:
        return partial(block_of, moments=column.moments)
    if dtype.hasobject and column.nullable and column.missing != "None":
        return _with_gaps

    array = np.array

    def store(values: Sequence[Any]) -> Array:  # a functools.partial would cost more
        block: Array = array(values, dtype)
        return block

    return store


def cannot_fail(column: Column, signature: Signature) -> bool:
    """Whether parsed values of a column can all be stored: of the others, numpy or pandas checks more than msgspec."""
    return column.moments is None and signature.dtype_of(column) != DTYPES["UINT64"]


def text_column(signature: Signature) -> Column:
    """The one column of TEXT."""
    return signature.columns[0] if signature.columns else Column(signature.tensor, "BYTES")


def _with_gaps(values: Sequence[Any]) -> Array:
    """Store Python objects, NaN for None."""
    if None in values:
        values = [np.nan if value is None else value for value in values]
    return np.array(values, dtype=object)


def _column_type(column: Column, signature: Signature) -> Any:
    return cell_type(column.datatype, signature.dtype_of(column), nullable=column.nullable)


def mark_missing(block: Array, columns: Sequence[int]) -> None:
    """Replace None by NaN in these columns of an object block."""
    if None not in block.ravel().tolist():  # far quicker than comparing arrays when nothing is missing
        return
    missing: Any = None
    for at in columns:
        np.putmask(block[:, at], np.equal(block[:, at], missing), np.nan)
