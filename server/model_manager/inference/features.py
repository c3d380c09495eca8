"""Rows → what the estimator's methods take: an array, a DataFrame, or strings. Built once per batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from model_manager.signature import Array, Column, Layout, Rows, Signature


def feature_builder(signature: Signature) -> Callable[[Rows], Any]:
    """Choose how rows of this signature become the estimator's X, working out once all that does not depend on them."""
    if signature.layout is Layout.FRAME:
        assert signature.columns is not None, "a FRAME signature names its columns"
        return _FrameBuilder(signature)
    return _only_block


def _only_block(rows: Rows) -> Array:
    return rows.blocks[0]


class _FrameBuilder:
    """Builds DataFrames with one block per dtype, which costs less than half of a DataFrame made from a dict.

    Strings stay in object columns: encoders and imputers that were fitted on pandas' `str` dtype take them, and pandas'
    inference of `str` would cost more than all the rest. Moments of a time zone are made column by column.
    """

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns or ()
        dtypes = [signature.dtype_of(column) for column in columns]
        self._zoned = {
            at: (column.name, column.moments.zone)
            for at, column in enumerate(columns)
            if column.moments is not None and column.moments.zone is not None
        }
        positions: dict[np.dtype[Any], list[int]] = {}
        for position, dtype in enumerate(dtypes):
            if position not in self._zoned and not columns[position].categorical:
                positions.setdefault(dtype, []).append(position)
        self._categorical = [
            (position, pd.Index([column.name]), pd.CategoricalDtype(list(column.categories)))
            for position, column in enumerate(columns)
            if column.categorical
        ]
        self._groups = [
            (chosen, pd.Index([columns[position].name for position in chosen]), dtype)
            for dtype, chosen in positions.items()
        ]
        grouped = [*(position for chosen in positions.values() for position in chosen), *self._zoned]
        grouped += [position for position, _, _ in self._categorical]
        in_order = grouped == list(range(len(columns)))
        self._order = None if in_order else np.argsort(grouped)

    def __call__(self, rows: Rows) -> pd.DataFrame:
        parts = [
            pd.DataFrame(np.stack([rows.blocks[at] for at in chosen], axis=1), columns=names, dtype=dtype, copy=False)
            for chosen, names, dtype in self._groups
        ]
        for at, (zoned, zone) in self._zoned.items():
            moments = pd.DatetimeIndex(rows.blocks[at]).tz_localize("UTC").tz_convert(zone)
            parts.append(pd.DataFrame({zoned: moments}))
        for at, names, category in self._categorical:
            parts.append(pd.DataFrame(_categories(rows.blocks[at], category), columns=names))
        frame = parts[0] if len(parts) == 1 else pd.concat(parts, axis=1)
        return frame if self._order is None else frame.take(self._order, axis=1)


def _categories(values: Array, dtype: pd.CategoricalDtype) -> pd.Categorical:
    """Code values as the estimator's category; what fit did not see is a category more, for the library to judge."""
    codes = dtype.categories.get_indexer(pd.Index(values))
    if (codes < 0).any():
        unknown = pd.unique(values[(codes < 0) & ~pd.isna(values)])
        if len(unknown):
            dtype = pd.CategoricalDtype([*dtype.categories, *unknown])
            codes = dtype.categories.get_indexer(pd.Index(values))
    return pd.Categorical.from_codes(codes, dtype=dtype)


def example_row(signature: Signature) -> Rows | None:
    """Make up one row: zeros, the first known category, a day, or an empty string; None when the width is not known."""
    if signature.columns is None:
        return None
    values = [_example_value(column) for column in signature.columns]
    if signature.layout is Layout.FRAME:
        return Rows(
            tuple(
                np.array([value], dtype=signature.dtype_of(column))
                for value, column in zip(values, signature.columns, strict=True)
            )
        )
    block = np.array([values], dtype=signature.dtype)
    return Rows((block[0] if signature.layout is Layout.TEXT else block,))


def _example_value(column: Column) -> object:
    if column.moments is not None:
        return np.datetime64("2024-01-01")
    if column.categories:
        return column.categories[0]
    return "" if column.datatype == "BYTES" else 0
