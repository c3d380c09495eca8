"""One JSON value against one column: the rules of types, ranges and missing values, and the dtypes that hold it.

The reference path applies `read_cell` to every value; the typed decoders of the fast path are compiled to the same
rules.
"""

import math
import struct
from typing import Any

import numpy as np

from model_manager.codecs.json_text import excerpt
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Column, Datatype, Layout, Signature

INTEGER_BOUNDS: dict[str, tuple[int, int]] = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for name, dtype in DTYPES.items() if dtype.kind in "iu"
}
"""The least and the greatest value of each integer datatype."""

FLOAT_LIMITS: dict[str, float] = {name: float(np.finfo(DTYPES[name]).max) for name in ("FP16", "FP32")}
"""The greatest value of the float datatypes that hold less than JSON's numbers do."""

_PACKED = {"FP16": "<e", "FP32": "<f"}

FLOAT64 = np.dtype(np.float64)


def column_dtype(column: Column) -> np.dtype[Any]:
    """Give the dtype of a FRAME column's block.

    A nullable integer or boolean column is float64: numpy has no missing integer, and pandas reads a training set with
    gaps as float64 too.
    """
    dtype = DTYPES[column.datatype]
    return FLOAT64 if column.nullable and dtype.kind in "iub" else dtype


def tensor_dtype(signature: Signature) -> np.dtype[Any]:
    """Give the dtype of the one block of ARRAY and TEXT; float64 if an integer or boolean tensor may have gaps."""
    if signature.layout is Layout.TEXT:
        return DTYPES["BYTES"]
    dtype = DTYPES[signature.datatype]
    nullable = any(column.nullable for column in signature.columns or ())
    return FLOAT64 if nullable and dtype.kind in "iub" else dtype


def read_cell(value: object, datatype: Datatype, *, nullable: bool) -> bool | int | float | str:
    """Check one value against a datatype and convert it to the Python value that numpy stores; missing is NaN.

    Raises InvalidInput with what was expected and what was got; the caller adds the place.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if nullable:
            return math.nan
        raise InvalidInput(f"expected {expected(datatype)}, got {excerpt(None)}: no missing values are accepted here")
    if datatype == "BYTES":
        if isinstance(value, str):
            return value
    elif datatype == "BOOL":
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool) or not isinstance(value, int | float):
        pass
    elif datatype in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[datatype]
        if (isinstance(value, int) or value.is_integer()) and low <= value <= high:
            return int(value)
    else:
        return _read_float(value, datatype)
    raise InvalidInput(f"expected {expected(datatype)}, got {excerpt(value)}")


def expected(datatype: Datatype) -> str:
    """Say in words what values a datatype takes."""
    if datatype == "BYTES":
        return "a string"
    if datatype == "BOOL":
        return "true or false"
    if datatype in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[datatype]
        return f"an integer from {low} to {high} ({datatype})"
    return f"a number ({datatype})"


def _read_float(value: int | float, datatype: Datatype) -> float:
    try:
        number = float(value)
        if datatype in _PACKED:
            struct.pack(_PACKED[datatype], number)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise InvalidInput(f"expected {expected(datatype)}, got one too large for it: {excerpt(value)}")
    return number
