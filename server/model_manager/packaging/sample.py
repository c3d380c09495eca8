"""A sample of training rows, as a script holds it, → declared columns, Rows and V1 instances. Used when packaging."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from model_manager.codecs.moments import texts_of
from model_manager.errors import PackageRefused
from model_manager.signature import (
    DTYPES,
    LARGEST_EXACT,
    Array,
    Column,
    Datatype,
    Declared,
    DeclaredColumn,
    DeclaredTensor,
    Layout,
    Missing,
    Moments,
    Rows,
    Signature,
    datatype_of,
)

Sample: TypeAlias = pd.DataFrame | Array | Sequence[str]
"""Rows as they were given to fit: a DataFrame, a (rows, columns) array, or one string a row."""

MAX_CATEGORIES: Final = 50
"""A string column with more distinct values than this is not described by them."""


def declare(sample: Sample, layout: Layout, columns: Sequence[str] | None = None) -> Declared:
    """Say of the inputs what the sample shows: names, datatypes, and the values of string columns that have few.

    `columns` names an array's columns. Raises PackageRefused for a column of anything but numbers, strings and moments.
    """
    if layout is Layout.TEXT:
        return Declared()
    if isinstance(sample, pd.DataFrame):
        names = tuple(str(name) for name in sample.columns)
        if layout is Layout.FRAME or any(_datatype(sample, at) == "BYTES" for at in range(len(names))):
            return Declared(columns=tuple(_declared_column(sample, at) for at in range(len(names))))
        boxed = any(dtype.kind == "O" for dtype in sample.dtypes if isinstance(dtype, np.dtype)) or None
        missing = _missing(sample.to_numpy(dtype=object)) if boxed else None
        kind = _one_datatype(sample)
        return Declared(tensor=DeclaredTensor("input", kind, len(names), names, boxed=boxed, missing=missing))
    array = np.asarray(sample)
    if array.ndim != 2:
        raise PackageRefused(f"the sample has {array.ndim} dimensions; the estimator takes rows of columns")
    if layout is Layout.FRAME:
        return Declared()
    named = tuple(columns) if columns else None
    objects = array.dtype.kind == "O"
    numbers = objects and not any(isinstance(value, str) for value in array.ravel().tolist())
    # Integers are declared as FP64: an estimator fitted on whole numbers takes others as well.
    datatype: Datatype = datatype_of(array.dtype) if array.dtype.kind in "bfUSO" and not numbers else "FP64"
    missing = _missing(array) if objects else None
    return Declared(
        tensor=DeclaredTensor("input", datatype, array.shape[1], named, boxed=numbers or None, missing=missing)
    )


def with_categories(sample: Sample, declared: Declared) -> Declared | None:
    """Declare the sample's pandas categories as such, for an estimator that takes nothing else; None if it has none."""
    if not isinstance(sample, pd.DataFrame) or declared.columns is None:
        return None
    dtypes = [sample.iloc[:, at].dtype for at in range(sample.shape[1])]
    columns = tuple(
        replace(column, categories=tuple(dtype.categories.tolist()), categorical=True)
        if isinstance(dtype, pd.CategoricalDtype)
        else column
        for column, dtype in zip(declared.columns, dtypes, strict=True)
    )
    return replace(declared, columns=columns) if columns != declared.columns else None


def rows_of(sample: Sample, signature: Signature) -> Rows:
    """Lay a sample out as the signature says.

    Raises PackageRefused where it does not fit: other columns, or text in a column of numbers.
    """
    if signature.layout is Layout.TEXT:
        return Rows((np.array(list(_only_column(sample)), dtype=object),))
    if signature.layout is Layout.ARRAY:
        array = sample.to_numpy(na_value=np.nan) if isinstance(sample, pd.DataFrame) else np.asarray(sample)
        block = _converted(array, signature.datatype, signature.dtype, "the sample")
        return Rows((_as_seen(block, signature) if block.dtype.kind == "O" else block,))
    assert signature.columns is not None, "a FRAME signature names its columns"
    names = [column.name for column in signature.columns]
    frame = sample if isinstance(sample, pd.DataFrame) else _named(np.asarray(sample), names)
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise PackageRefused(f"the sample has no column {missing[0]!r}, which the estimator was fitted with")
    return Rows(tuple(_block(frame[column.name], column, signature.dtype_of(column)) for column in signature.columns))


def instances_of(rows: Rows, signature: Signature) -> list[Any]:
    """Write rows as V1 `instances`: objects for a DataFrame, lists for an array, strings for text; null for missing."""
    if signature.layout is Layout.FRAME:
        assert signature.columns is not None, "a FRAME signature names its columns"
        names = [column.name for column in signature.columns]
        values = [_values(block, column) for block, column in zip(rows.blocks, signature.columns, strict=True)]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return [null_for_missing(row) for row in rows.blocks[0].tolist()]


def null_for_missing(value: Any) -> Any:
    """Replace every NaN and infinity in nested lists by None, as JSON has no word for them."""
    if isinstance(value, list):
        return [null_for_missing(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _values(block: Array, column: Column) -> list[Any]:
    """A column's values as JSON has them: integers and booleans as such, even where floats hold them beside gaps."""
    if column.moments is not None:
        return texts_of(block, column.moments)
    values: list[Any] = null_for_missing(block.tolist())
    kind = DTYPES[column.datatype].kind
    if block.dtype.kind != "f" or kind not in "iub":
        return values
    own = bool if kind == "b" else int
    return [None if value is None else own(value) for value in values]


def _named(array: Array, names: list[str]) -> pd.DataFrame:
    if array.shape[1:] != (len(names),):
        raise PackageRefused(f"the sample has {array.shape[-1]} columns; the estimator was fitted with {len(names)}")
    return pd.DataFrame(array, columns=names)


def _only_column(sample: Sample) -> Any:
    if isinstance(sample, pd.DataFrame):
        return sample.iloc[:, 0]
    return sample


def _declared_column(frame: pd.DataFrame, at: int) -> DeclaredColumn:
    column: pd.Series[Any] = frame.iloc[:, at]
    name, moments = str(frame.columns[at]), Moments.of(column.dtype)
    if moments is not None:
        return DeclaredColumn(name, "BYTES", moments=moments)
    datatype = _datatype(frame, at)
    objects = column.dtype == object
    has_gaps = DTYPES[datatype].kind in "iub" and bool(column.hasnans)
    # scikit-learn makes floats of pandas' `boolean`, in which a value can be missing even where none is.
    has_gaps = has_gaps or isinstance(column.dtype, pd.BooleanDtype)
    known: tuple[str, ...] = ()
    if datatype == "BYTES":
        distinct = sorted(frame.iloc[:, at].dropna().unique().tolist())
        known = tuple(distinct) if len(distinct) <= MAX_CATEGORIES else ()
    # Floats and strings are tried out; integers and booleans take missing values only where they are said to.
    return DeclaredColumn(
        name,
        datatype,
        True if has_gaps else None,
        known,
        boxed=(objects and datatype != "BYTES") or None,
        missing=_missing(column.to_numpy()) if objects else None,
    )


def _one_datatype(frame: pd.DataFrame) -> Datatype:
    """The datatype of a table of numbers that goes into an array; whole numbers may come as others."""
    kinds = {_datatype(frame, at) for at in range(frame.shape[1])}
    return kinds.pop() if kinds in ({"FP32"}, {"BOOL"}) else "FP64"


def _missing(values: Array) -> Missing | None:
    """What stands for a missing value among Python objects; None where nothing is missing, or both do."""
    absent = values[pd.isna(values)].tolist()
    has_none = any(value is None for value in absent)
    if not absent or (has_none and not all(value is None for value in absent)):
        return None
    return "None" if has_none else "NaN"


def _as_seen(block: Array, signature: Signature) -> Array:
    """Give every missing value of an array of objects as the signature says."""
    block = block.copy()
    for at, column in enumerate(signature.columns or ()):
        block[pd.isna(block[:, at]), at] = column.missing_value
    return block


def _datatype(frame: pd.DataFrame, at: int) -> Datatype:
    column: pd.Series[Any] = frame.iloc[:, at]
    if Moments.of(column.dtype) is not None:
        return "BYTES"
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    if pd.api.types.is_bool_dtype(column.dtype):
        return "BOOL"
    if pd.api.types.is_numeric_dtype(column.dtype):
        named = datatype_of(np.dtype(str(column.dtype).lower()))
        return named if named != "BYTES" else "FP64"
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("string", "empty"):
        return "BYTES"
    if kind == "boolean":
        return "BOOL"
    if kind in ("floating", "integer", "mixed-integer-float"):
        return "FP64"
    what = f"column {frame.columns[at]!r} holds {kind} values"
    if kind in ("date", "datetime", "datetime64"):
        raise PackageRefused(f"{what} as Python objects; fit on dates that pandas.to_datetime made of them")
    raise PackageRefused(f"{what}; a server takes numbers, strings, and dates and times (datetime64)")


def _block(column: "pd.Series[Any]", declared: Column, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "O":
        values = column.astype(object).to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = declared.missing_value
        return values
    if declared.moments is not None:
        if (given := Moments.of(column.dtype)) is None or (given.zone is None) != (declared.moments.zone is None):
            raise PackageRefused(f"column {column.name!r} holds {column.dtype}; the estimator takes {declared.moments}")
        return (column.dt.tz_convert("UTC").dt.tz_localize(None) if given.zone else column).to_numpy(dtype=dtype)
    array = column.to_numpy(dtype=object, na_value=np.nan) if dtype.kind == "f" else column.to_numpy()
    return _converted(array, declared.datatype, dtype, f"column {column.name!r}")


def _converted(values: Array, datatype: Datatype, dtype: np.dtype[Any], what: str) -> Array:
    try:
        with np.errstate(invalid="ignore"):  # of what is no integer, the next line tells
            block = np.ascontiguousarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise PackageRefused(f"{what} does not fit datatype {datatype}: {error}") from error
    if DTYPES[datatype].kind in "iu" and values.dtype != dtype:
        _refuse_inexact(values, block, datatype, what)
    return block


def _refuse_inexact(values: Array, block: Array, datatype: Datatype, what: str) -> None:
    """Raise PackageRefused for an integer that its block, of floats where some are missing, does not hold as it is."""
    for value, held in zip(values.ravel().tolist(), block.ravel().tolist(), strict=True):
        if value != held and (value == value or block.dtype.kind != "f"):
            raise PackageRefused(f"{what} does not fit datatype {datatype}: it holds {value}")
        if block.dtype.kind == "f" and abs(held) > LARGEST_EXACT:
            message = f"it holds {value} beside missing values, which together are held as FP64, exact up to 2**53"
            raise PackageRefused(f"{what} does not fit datatype {datatype}: {message}")
