"""Which columns are worth learning from: row numbers, identifiers, constants, dates and free text are left out.

Place in the flow: after columns. What is left out stays in the table and is named in the report with the reason.
"""

import re
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.tables.columns import TypedColumn

MAX_TOLD_APART: Final = 50
"""More distinct values than this, and more than half of all, make a text of a column: no value tells of another row."""

_TELLING_ROWS: Final = 10
"""With fewer rows, values that all differ prove nothing."""
_ID_NAME: Final = re.compile(
    r"(?i:(?:^|[^a-z])(?:ids?|uuid|guid|key|index|row ?names?|unnamed: [0-9]+))$|[a-z](?:ID|Id)$", re.ASCII
)


def why_left_out(column: TypedColumn, position: int) -> str | None:
    """Say why a column is not to be learned from; None where it is."""
    rows = len(column.values)
    present = rows - sum(column.missing.values())
    if column.kind == "empty":
        return "no values"
    if column.distinct == 1 and (present == rows or column.kind == "number"):
        return f"one value only: {column.values.dropna().iloc[0]}"
    if _counts_rows(column.values) and (rows >= _TELLING_ROWS or not column.name):
        return "row numbers"
    if not column.name and position == 0 and column.distinct == rows:
        return "row names"
    if column.kind == "date":
        first = column.values.dropna().iloc[0]
        return f"dates ({first!r}): write what matters of them (month, weekday, days since) as columns of numbers"
    if present < _TELLING_ROWS:
        return None
    if column.distinct == present and (column.kind in ("text", "code") or _is_named_id(column)):
        return "an identifier: every row has another value"
    if column.kind in ("text", "code") and column.distinct > max(MAX_TOLD_APART, present / 2):
        return f"hardly a value repeats ({column.distinct:,} different ones in {present:,} rows)"
    return None


def doubts(column: TypedColumn) -> list[str]:
    """Say what speaks against learning from a column that is not left out for it."""
    if column.kind == "number" and len(column.values) >= _TELLING_ROWS and not column.missing:
        values = column.values
        if column.distinct == len(values) and values.dtype.kind == "i" and _is_dense(values):
            return ["every row has another whole number: if it is an identifier, delete the column"]
    if column.kind in ("text", "code") and column.distinct > MAX_TOLD_APART:
        return [f"{column.distinct:,} different values: those beyond the {MAX_TOLD_APART} most frequent count as one"]
    return []


def _counts_rows(values: "pd.Series[Any]") -> bool:
    if values.dtype.kind != "i" or len(values) < 2 or values.iloc[0] not in (0, 1):
        return False
    return bool(np.array_equal(values.to_numpy(), np.arange(len(values)) + values.iloc[0]))


def _is_named_id(column: TypedColumn) -> bool:
    return column.values.dtype.kind == "i" and _ID_NAME.search(column.name) is not None


def _is_dense(values: "pd.Series[Any]") -> bool:
    """Whether whole numbers that all differ were handed out in a row, or nearly so."""
    return bool(values.max() - values.min() < 2 * len(values))
