"""What a version takes and gives: the values that decoders, predictors and metadata agree on.

Below every room, so that bytes ⇄ arrays (codecs) and arrays → arrays (inference) share one description without knowing
each other.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Datatype = Literal[
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BYTES"
]
"""Tensor datatypes of the Open Inference Protocol; BYTES carries strings."""

DTYPES: dict[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""The numpy dtype that holds each datatype; strings live in object arrays."""

Missing = Literal["NaN", "None"]
"""What stands for a missing value among Python objects: what the estimator saw when it was fitted."""

MOMENTS_DTYPE: Final = re.compile(r"datetime64\[(s|ms|us|ns)(?:, (.+))?\]")
"""How pandas names the dtypes of dates and times."""

LARGEST_EXACT: Final = 2**53
"""Integers up to this one, of either sign, are told apart in float64."""

MOST_DENSE_BYTES: Final = 64 * 2**20
"""An answer that an estimator gives as a sparse matrix is made dense up to this size, whatever the memory allows."""

MOST_DENSE_ROW_BYTES: Final = MOST_DENSE_BYTES // 256
"""The same for one row: as many as a batch holds by default are then within the bound together."""
MAX_PUBLIC_CATEGORIES: Final = 100
"""Of the known categories of one column, so many may be listed for anybody; the number of the others is told."""

_DATATYPE_OF = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(dtype: np.dtype[Any]) -> Datatype:
    """Name the protocol datatype of a numpy dtype; strings and anything numpy has no number type for are BYTES."""
    return _DATATYPE_OF.get(dtype.newbyteorder("="), "BYTES")


def dtype_holding(datatype: Datatype, *, nullable: bool) -> np.dtype[Any]:
    """Give the dtype of a block of such values: that of the datatype, or float64 for integers that may be missing.

    Booleans too. numpy has no missing integer, and pandas reads a training set with gaps as float64 as well. Decoding,
    trying estimators out, proving forms and packaging all ask here, by way of Signature.dtype_of.
    """
    dtype = DTYPES[datatype]
    return DTYPES["FP64"] if nullable and dtype.kind in "iub" else dtype


class Layout(StrEnum):
    """The shape in which the estimator takes its rows."""

    ARRAY = "array"  # one (rows, columns) array of a single dtype
    FRAME = "frame"  # a DataFrame: one (rows,) array per named column, each with its own dtype
    TEXT = "text"  # one (rows,) array of strings, as text vectorizers take


@dataclass(frozen=True, slots=True)
class Moments:
    """How dates and times are held: counts of `unit` since 1970, in UTC where the estimator saw a time `zone`."""

    unit: Literal["s", "ms", "us", "ns"]
    zone: str | None = None

    @staticmethod
    def of(dtype: object) -> "Moments | None":
        """Read a pandas dtype, or its name; None for one of something else."""
        match = MOMENTS_DTYPE.fullmatch(str(dtype))
        return None if match is None else Moments(cast(Any, match[1]), match[2])

    def __str__(self) -> str:
        """The name of the pandas dtype."""
        return f"datetime64[{self.unit}]" if self.zone is None else f"datetime64[{self.unit}, {self.zone}]"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype, which knows no zones."""
        return np.dtype(f"datetime64[{self.unit}]")


@dataclass(frozen=True, slots=True)
class Column:
    """One input column. `nullable`: a missing value is accepted here. `categories`: known values, if any.

    A column of integers or booleans is nullable where metadata says so, and then held as float64; see dtype_holding.
    `boxed`: numbers or booleans which the estimator saw as Python objects (a column of dtype object), and must see so
    again. `missing`: what stands for a missing value among objects. `moments`: a BYTES column of dates and times.
    `categorical`: the estimator is given a pandas category of exactly `categories`, in their order. `assumed`: nothing
    tells what the column holds, so that numbers are a guess.
    """

    name: str
    datatype: Datatype
    nullable: bool = False
    categories: tuple[str | int | float | bool, ...] = ()
    boxed: bool = False
    missing: Missing = "NaN"
    moments: Moments | None = None
    categorical: bool = False
    assumed: bool = False

    @property
    def missing_value(self) -> object:
        """What a block of objects, floats or moments holds for a missing value."""
        if self.moments is not None:
            return np.datetime64("NaT", self.moments.unit)
        return None if self.missing == "None" else np.nan


@dataclass(frozen=True, slots=True)
class Output:
    """One output that can be asked for by name. `shape` starts with -1 (rows); `classes` are its labels, if any.

    `columns` names what a row of it holds, where that has names; None stands for one that is not shown. `sparse`: the
    estimator answers a sparse matrix, which is made dense.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    classes: tuple[str | int | float | bool, ...] = ()
    columns: tuple[str | None, ...] = ()
    sparse: bool = False

    @property
    def most_rows(self) -> int | None:
        """The most rows that are answered at once; None where only the limits of a request count."""
        if not self.sparse:
            return None
        return max(1, MOST_DENSE_BYTES // max(1, prod(self.shape[1:]) * DTYPES[self.datatype].itemsize))


@dataclass(frozen=True)  # without slots, which would leave no place for what is worked out once
class Signature:
    """What one version takes and gives.

    `columns` is None when the width is not known (an estimator that does not say); then every width is let through and
    requests of different widths never share a batch. `named`: column names are the model's own, so rows may be objects
    keyed by column; otherwise names are the positions "0", "1", … `tensor` names the single V2 input of ARRAY and TEXT.
    `on_request` are outputs that answer only where a request names them.
    """

    layout: Layout
    columns: tuple[Column, ...] | None
    named: bool
    outputs: tuple[Output, ...]
    tensor: str = "input"
    on_request: tuple[Output, ...] = ()

    @cached_property  # asked for every column, of which there may be thousands
    def datatype(self) -> Datatype:
        """The datatype of the whole tensor (ARRAY and TEXT): the widest that holds every column."""
        if not self.columns:
            return "FP64"
        datatypes = {column.datatype for column in self.columns}
        if "BYTES" in datatypes:
            return "BYTES"
        return datatypes.pop() if len(datatypes) == 1 else "FP64"

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the one block of ARRAY and TEXT."""
        if self.layout is Layout.TEXT:
            return DTYPES["BYTES"]
        columns = self.columns or ()
        if any(column.boxed for column in columns):
            return DTYPES["BYTES"]
        return dtype_holding(self.datatype, nullable=any(column.nullable for column in columns))

    def dtype_of(self, column: Column) -> np.dtype[Any]:
        """The dtype of the block that holds a column: its own in a FRAME, that of the one block otherwise."""
        if self.layout is Layout.FRAME:
            if column.moments is not None:
                return column.moments.dtype
            if column.boxed:
                return DTYPES["BYTES"]
            return dtype_holding(column.datatype, nullable=column.nullable)
        return self.dtype

    @property
    def default_output(self) -> str:
        """The output that answers when a V1 request names none: the first declared."""
        return self.outputs[0].name

    @property
    def offered(self) -> tuple[Output, ...]:
        """Every output that a request can name."""
        return (*self.outputs, *self.on_request)


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One input column as metadata names it; `nullable` is None where metadata is silent.

    Silence lets the estimator be tried, if the column's dtype has a missing value at all: integers have none. Of
    `missing` the estimator itself has the first word, since its encoders keep what they saw. `categorical`: it was a
    pandas category of exactly `categories` when the estimator was fitted, and has to be one.
    """

    name: str
    datatype: Datatype
    nullable: bool | None = None
    categories: tuple[str | int | float | bool, ...] = ()
    boxed: bool | None = None
    missing: Missing | None = None
    moments: Moments | None = None
    categorical: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredTensor:
    """One input tensor as metadata names it. `width` is None for a tensor of one dimension or an unknown width."""

    name: str
    datatype: Datatype
    width: int | None = None
    columns: tuple[str, ...] | None = None
    nullable: bool | None = None
    boxed: bool | None = None
    missing: Missing | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """What metadata says of a version; None where it is silent and the estimator itself is asked.

    At most one of `columns` and `tensor` is given. `on_request` are the outputs that it declares to be so.
    """

    columns: tuple[DeclaredColumn, ...] | None = None
    tensor: DeclaredTensor | None = None
    outputs: tuple[Output, ...] | None = None
    on_request: tuple[Output, ...] = ()


class Rows(msgspec.Struct, eq=False):  # made for every request: a struct costs a third of a dataclass
    """Decoded rows, ready to batch: blocks of equal length, in the signature's order and dtypes.

    ARRAY: one (rows, columns) block. TEXT: one (rows,) block. FRAME: one (rows,) block per column.

    A single row may be held as its values until its blocks are asked for. In a batch nobody asks: arrays for all of its
    rows are made at once, by the `store` of the one that decoded them.
    """

    _blocks: tuple[Array, ...] | None
    _row: Sequence[Any] = ()
    _store: Callable[[list[Any]], tuple[Array, ...]] | None = None

    @classmethod
    def of_one(cls, row: Sequence[Any], store: Callable[[list[Any]], tuple[Array, ...]]) -> "Rows":
        """One row by its checked values: `store` makes the blocks of a list of such rows, and cannot fail."""
        return cls(None, row, store)

    @property
    def blocks(self) -> tuple[Array, ...]:
        """The blocks."""
        blocks = self._blocks
        if blocks is None:
            assert self._store is not None, "without blocks it is a row"
            blocks = self._blocks = self._store([self._row])
        return blocks

    @property
    def held(self) -> Sequence[Any]:
        """The values of a single row that is held by them; empty where arrays are what there is."""
        return self._row

    def __len__(self) -> int:
        return 1 if self._blocks is None else len(self._blocks[0])

    @property
    def shape_key(self) -> tuple[object, ...]:
        """What must be equal for two requests to share a batch: dtype and trailing shape of every block."""
        return tuple((block.dtype.str, block.shape[1:]) for block in self.blocks)

    @staticmethod
    def concatenate(parts: Sequence["Rows"]) -> "Rows":
        """Stack parts of one shape key, in order; a single part is returned as it is."""
        if len(parts) == 1:
            return parts[0]
        store = parts[0]._store
        if store is not None:
            rows = [part._row for part in parts if part._store is store]
            if len(rows) == len(parts):
                return Rows(store(rows))
        return Rows(tuple([np.concatenate(blocks) for blocks in zip(*[part.blocks for part in parts], strict=True)]))


class PredictRequest(msgspec.Struct, frozen=True, eq=False):
    """One decoded request: its rows, the outputs asked for (at least one), and what the codec needs to answer."""

    rows: Rows
    outputs: tuple[str, ...]
    id: str | None = None
    columnar: bool = False  # V1: asked with columnar `inputs`, answered with `outputs`
    timeout_s: float | None = None  # what the body says of its urgency; None: nothing
    priority: int | None = None
    both: bool = False  # V1: asked with a list of rows as `inputs`, answered with `predictions` and with `outputs`
    form: object = None  # how the codec that read it writes the answer, where that was asked for
    raw: bool = False  # V2 over gRPC: asked with raw contents, and answered so
