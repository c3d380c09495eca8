"""Why the answers to a sample change when a server reads it: the column that does it, and what becomes of that one."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.inference.features import feature_builder
from model_manager.signature import Array, Column, Layout, Rows, Signature

MAX_COLUMNS: Final = 256

Ask = Callable[[Any, Signature], Mapping[str, Array]]
"""What the estimator answers, by output, to an X of its own."""


def cause_of(given: Any, rows: Rows, signature: Signature, ask: Ask, own: Mapping[str, Array]) -> str:
    """Name the first column that alone changes an answer once it is held as a server holds it; "" where none does."""
    if signature.columns is None or len(signature.columns) > MAX_COLUMNS:
        return ""
    served = feature_builder(signature)(rows)
    for at, column in enumerate(signature.columns):
        replaced = given.copy()
        if signature.layout is Layout.FRAME and isinstance(given, pd.DataFrame):
            replaced[column.name] = served[column.name].set_axis(given.index)
            values, dtype = given[column.name].to_numpy(dtype=object), str(given[column.name].dtype)
        elif isinstance(given, np.ndarray) and given.ndim == 2:
            replaced[:, at] = served[:, at]
            values, dtype = given[:, at].astype(object), str(given.dtype)
        else:
            return ""
        answers = ask(replaced, signature)
        if any(name not in answers or not _same(answer, answers[name]) for name, answer in own.items()):
            return f"column {column.name!r} {_what_becomes(values, dtype, column, signature)}: "
    return ""


def _what_becomes(values: Array, dtype: str, column: Column, signature: Signature) -> str:
    absent = values[pd.isna(values)].tolist()
    kinds = [word for word, found in _kinds_of(absent).items() if found]
    if signature.dtype_of(column).kind == "O" and kinds and kinds != [column.missing]:
        if len(kinds) > 1:
            return f"holds {' and '.join(kinds)}, which no request can tell apart; fit on one of them"
        return f"holds {kinds[0]} where a value is missing, and the estimator was fitted with {column.missing}"
    return f"is {dtype} in the sample and {signature.dtype_of(column)} in a server"


def _kinds_of(absent: list[Any]) -> dict[str, bool]:
    return {
        "None": any(value is None for value in absent),
        "NaN": any(isinstance(value, float) for value in absent),
        "pandas.NA": any(value is pd.NA for value in absent),
    }


def _same(one: Array, other: Array) -> bool:
    if one.dtype.kind == "f" and other.dtype.kind == "f" and one.shape == other.shape:
        return np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
    return np.array_equal(one, other)
