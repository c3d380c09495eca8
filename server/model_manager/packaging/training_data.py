"""A table that an estimator was fitted on → its rows as fit saw them: the estimator says what columns and what types.

In the flow: packing, between the artifact that was loaded back and its rehearsal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from model_manager.errors import TableRefused
from model_manager.inference.features import feature_builder
from model_manager.inference.onnx_model import declared_by
from model_manager.inference.signature.inputs import infer_inputs
from model_manager.packaging.sample import Sample
from model_manager.signature import Column, Layout, Signature
from model_manager.tables.columns import RawColumn
from model_manager.tables.table_files import AnyColumn, Table
from model_manager.tables.typed_rows import listed, nearest, typed_rows


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows as fit saw them; `columns` names those of an array."""

    sample: Sample
    columns: tuple[str, ...] | None = None


def chosen_columns(table: Table, columns: Sequence[str]) -> Table:
    """Keep these columns, in this order. Raises TableRefused for one that is not there."""
    kept = {}
    for name in columns:
        column = table.named(name)
        if column is None:
            raise TableRefused(f"{table.source}: no column {name!r}; {nearest(name, list(table.columns))}")
        kept[column.name] = column
    return replace(table, columns=kept)


def rows_of_table(table: Table, estimator: Any, target: str | None) -> Iterator[TrainingRows]:
    """Give the rows of a file's table in every way in which fit may have seen them, the likeliest first.

    The types are those that the estimator tells. Of columns of which it tells nothing, numbers come first, and text
    where the column holds any. Raises TableRefused for a table that does not fit, with line and column.
    """
    draft, _ = infer_inputs(estimator, declared_by(estimator))
    besides = () if target is None else tuple({target, target.strip()} & table.columns.keys())
    names = tuple(name for name in table.columns if name not in besides)
    _check_width(table, draft, names, besides)
    refused: TableRefused | None = None
    for signature in (draft, _with_text(table, draft)):
        try:
            rows = typed_rows(table, signature, besides=besides)
        except TableRefused as error:
            refused = refused or error
            continue
        sample: Sample = feature_builder(signature)(rows)
        unnamed = signature.layout is Layout.ARRAY and not signature.named
        yield TrainingRows(sample, names if unnamed and len(names) == np.asarray(sample).shape[1] else None)
    if refused is not None:
        raise refused


def rows_of_frame(frame: pd.DataFrame, estimator: Any, target: str | None) -> TrainingRows:
    """Take a DataFrame as it is: the columns that the estimator was fitted with, or all but the target."""
    if target is not None and target not in frame.columns:
        raise TableRefused(f"data: no column {target!r}; {nearest(target, list(map(str, frame.columns)))}")
    draft, _ = infer_inputs(estimator, declared_by(estimator))
    if draft.named:
        wanted = [column.name for column in draft.columns or ()]
        missing = [name for name in wanted if name not in frame.columns]
        if missing:
            told = f"data: no column {missing[0]!r}, which the estimator was fitted with"
            raise TableRefused(f"{told}; {nearest(missing[0], list(map(str, frame.columns)))}")
        return TrainingRows(frame[wanted])
    return TrainingRows(frame.drop(columns=[target]) if target is not None else frame)


def _check_width(table: Table, draft: Signature, names: Sequence[str], besides: Sequence[str]) -> None:
    if draft.layout is not Layout.ARRAY or draft.named or draft.columns is None or len(names) == len(draft.columns):
        return
    beside = f" beside {besides[0]!r}" if besides else ""
    told = f"the estimator was fitted on {len(draft.columns)} columns without names, and the data have {len(names)}"
    raise TableRefused(f"{table.source}: {told}{beside}: {listed(names)}; name those that are meant (--columns)")


def _with_text(table: Table, draft: Signature) -> Signature:
    """Take columns of which the estimator tells nothing for text where the table holds any in them."""
    columns = tuple(
        replace(column, datatype="BYTES", nullable=True)
        if _is_untold(column) and (given := table.named(column.name)) is not None and _holds_text(given)
        else column
        for column in draft.columns or ()
    )
    return replace(draft, columns=columns) if draft.columns is not None else draft


def _is_untold(column: Column) -> bool:
    return column.datatype == "FP64" and not column.categories and not column.boxed


def _holds_text(given: AnyColumn) -> bool:
    if isinstance(given, RawColumn):
        return given.kind in ("text", "date", "code")
    return any(isinstance(cell, str) for cell in given.cells)
