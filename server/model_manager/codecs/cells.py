"""One JSON value against one column: the rules of types, ranges and missing values.

The reference path applies `read_cell` to every value; the typed decoders of the fast path are compiled to the same
rules.
"""

import math
import struct
from typing import Any

import numpy as np

from model_manager.codecs.json_text import Infinite, excerpt
from model_manager.codecs.moments import count_of, example_of
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, LARGEST_EXACT, Column, Datatype, Moments

INTEGER_BOUNDS: dict[str, tuple[int, int]] = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for name, dtype in DTYPES.items() if dtype.kind in "iu"
}
"""The least and the greatest value of each integer datatype."""

FLOAT_LIMITS: dict[str, float] = {name: float(np.finfo(DTYPES[name]).max) for name in ("FP16", "FP32")}
"""The greatest value of the float datatypes that hold less than JSON's numbers do."""

_PACKED = {"FP16": "<e", "FP32": "<f"}


def integer_bounds(datatype: Datatype, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Give the least and the greatest integer that a block of `dtype` takes in a column of `datatype`.

    In a block of floats no further than it tells integers apart: a rounded one would be another.
    """
    low, high = INTEGER_BOUNDS[datatype]
    return (max(low, -LARGEST_EXACT), min(high, LARGEST_EXACT)) if dtype.kind == "f" else (low, high)


def read_cell(value: object, column: Column, dtype: np.dtype[Any]) -> object:
    """Check one value against a column and convert it to the value that numpy stores, its own for a missing one.

    `dtype` is that of the block which will hold it. Raises InvalidInput with what was expected and what was got; the
    caller adds the place.
    """
    datatype = column.datatype
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if column.nullable:
            return column.missing_value
        got = "null" if value is None else "NaN"
        raise InvalidInput(f"expected {_wanted(column, dtype)}, got {got}: no missing values are accepted here")
    if column.moments is not None:
        if isinstance(value, str):
            return _read_moment(value, column.moments)
    elif datatype == "BYTES":
        if isinstance(value, str):
            return value
    elif datatype == "BOOL":
        if isinstance(value, bool):
            return value
    elif not isinstance(value, int | float):
        pass
    elif datatype in INTEGER_BOUNDS:
        low, high = integer_bounds(datatype, dtype)
        if (isinstance(value, int) or value.is_integer()) and low <= value <= high:
            return int(value)
    else:
        return _read_float(value, datatype, dtype)
    raise InvalidInput(f"expected {_wanted(column, dtype)}, got {excerpt(value)}")


def _wanted(column: Column, dtype: np.dtype[Any]) -> str:
    if column.moments is not None:
        return f"a date or a time as ISO 8601 has it, such as {example_of(column.moments)}"
    return expected(column.datatype, dtype)


def expected(datatype: Datatype, dtype: np.dtype[Any]) -> str:
    """Say in words what values a datatype takes in a block of `dtype`."""
    if datatype == "BYTES":
        return "a string"
    if datatype == "BOOL":
        return "true or false"
    if datatype in INTEGER_BOUNDS:
        low, high = integer_bounds(datatype, dtype)
        held = ", held as FP64" if (low, high) != INTEGER_BOUNDS[datatype] else ""
        return f"an integer from {low} to {high} ({datatype}{held})"
    return f"a number ({datatype})"


def _read_moment(text: str, moments: Moments) -> np.datetime64:
    try:
        return np.datetime64(count_of(text, moments), moments.unit)
    except ValueError as error:
        raise InvalidInput(
            f"expected a date or a time as ISO 8601 has it, such as {example_of(moments)}, got {excerpt(text)}: {error}"
        ) from None


def _read_float(value: int | float, datatype: Datatype, dtype: np.dtype[Any]) -> float:
    if isinstance(value, Infinite):
        return value
    try:
        number = float(value)
        if datatype in _PACKED:
            struct.pack(_PACKED[datatype], number)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise InvalidInput(f"expected {expected(datatype, dtype)}, got one too large for it: {excerpt(value)}")
    return number
