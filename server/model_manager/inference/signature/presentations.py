"""What X must be made of, tried out where the estimator does not say: an array or a DataFrame, float32, dates.

In the flow: inputs (the draft) → **presentations** → outputs and nullability are tried out on the one that works.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.errors import LoadFailed
from model_manager.inference.features import feature_builder
from model_manager.inference.methods import call, methods_of
from model_manager.inference.signature.foreign import foreign_columns
from model_manager.inference.signature.receivers import receivers
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Column, Declared, Layout, Moments, Rows, Signature

MAX_TRIED: Final = 32
"""Columns that are tried out for dates; each costs a few predictions."""

_NEEDS_FRAME: Final = ("'numpy.ndarray' object has no attribute", "only integers, slices")
"""What Python says where an array was given to code that reads a DataFrame."""
_DAYS: Final = ("2020-02-03T04:05:06", "2023-11-17T18:19:20")

Example = Callable[[Signature], Rows | None]
"""Rows of a signature on which methods are tried; None where its width is not known."""


def find_presentation(estimator: Any, draft: Signature, declared: Declared, example: Example) -> Signature:
    """Choose the way of presenting rows that most methods of the estimator accept, the first of those that are equal.

    Names that metadata gives by column make a DataFrame if the estimator says nothing of its columns; those of a
    tensor do where an array fails. Floats that nobody declared become FP32, columns that foreign code reads dates and
    times, where those are taken and numbers are not. Raises LoadFailed("not_a_model") where only a DataFrame will do
    and nothing names its columns; and whatever `example` raises.
    """
    methods = methods_of(estimator)
    best: Signature | None = None
    most, refusal = 0, ""
    for signature in _presentations(estimator, draft, declared):
        rows = example(signature)
        X = feature_builder(signature)(_first(rows)) if rows is not None else np.zeros((1, 1))
        refusals = [str(answer) for method in methods if isinstance(answer := _answer(estimator, method, X), Exception)]
        refusal = refusal or " ".join(refusals)
        accepted = len(methods) - len(refusals)
        if accepted > most or (best is None and not _wants_frame(refusals)):
            best, most = signature, accepted
        if not refusals or rows is None:
            break
    if not most and draft.layout is Layout.ARRAY and not draft.named and _wants_frame([refusal]):
        kind = type(list(receivers(estimator))[-1]).__name__
        message = f"{kind} reads columns of a DataFrame by name, and nothing tells which"
        raise LoadFailed(
            "not_a_model", f"{message}; pack it with a sample, or name the columns in metadata.json (inputs)"
        )
    chosen = best if best is not None else draft
    return _with_dates(estimator, chosen, example(chosen)) if most and _is_silent(declared) else chosen


def _wants_frame(refusals: Sequence[str]) -> bool:
    return any(word in text for text in refusals for word in _NEEDS_FRAME)


def _presentations(estimator: Any, draft: Signature, declared: Declared) -> Iterator[Signature]:
    named = draft.layout is Layout.ARRAY and draft.named
    silent = all(getattr(part, "n_features_in_", None) is None for part in receivers(estimator))
    if named and silent and declared.columns is not None:
        yield replace(draft, layout=Layout.FRAME)
        yield draft
    else:
        yield draft
        if named:
            yield replace(draft, layout=Layout.FRAME)
    if not _is_silent(declared) or draft.columns is None or draft.layout is Layout.TEXT:
        return
    if any(column.datatype == "FP64" and not column.boxed for column in draft.columns):
        yield replace(draft, columns=tuple(map(_narrow, draft.columns)))
    if draft.layout is Layout.FRAME:
        tried = _undescribed(estimator, draft)
        if len(tried) > 1:
            yield _dated(draft, tried)
        for at in tried:
            yield _dated(draft, [at])


def _is_silent(declared: Declared) -> bool:
    return declared.columns is None and declared.tensor is None


def _narrow(column: Column) -> Column:
    return replace(column, datatype="FP32") if column.datatype == "FP64" and not column.boxed else column


def _undescribed(estimator: Any, signature: Signature) -> list[int]:
    """Columns of numbers, as far as is known, that foreign code reads."""
    columns = signature.columns or ()
    foreign = foreign_columns(estimator, len(columns))
    return [at for at in foreign if columns[at].datatype == "FP64" and not columns[at].categories][:MAX_TRIED]


def _dated(signature: Signature, positions: Sequence[int], unit: Any = None) -> Signature:
    columns = list(signature.columns or ())
    # Nothing tells the unit that was seen; pandas' own is the likeliest.
    moments = Moments(unit) if unit is not None else Moments.of(pd.to_datetime(pd.Series(_DAYS)).dtype)
    for at in positions:
        columns[at] = replace(columns[at], datatype="BYTES", moments=moments)
    return replace(signature, columns=tuple(columns))


def _with_dates(estimator: Any, signature: Signature, rows: Rows | None) -> Signature:
    """Take those columns for dates in which the estimator would read numbers as nanoseconds, as pandas does."""
    if signature.layout is not Layout.FRAME or rows is None:
        return signature
    first = _first(rows)
    found = [at for at in _undescribed(estimator, signature) if _reads_dates(estimator, signature, first, at)]
    return _dated(signature, found)


def _reads_dates(estimator: Any, signature: Signature, row: Rows, at: int) -> bool:
    """Whether a date is told from another, and is the same in any unit and as a number of nanoseconds."""
    day, other = (np.array([text], dtype="datetime64[ns]") for text in _DAYS)

    def ask(shown: Signature, block: Array) -> list[Any] | None:
        blocks = list(row.blocks)
        blocks[at] = block
        X = feature_builder(shown)(Rows(tuple(blocks)))
        answers = [_answer(estimator, method, X) for method in methods_of(estimator)]
        return None if any(isinstance(answer, Exception) for answer in answers) else answers

    in_ns, in_s = (_dated(signature, [at], unit) for unit in ("ns", "s"))
    seen = ask(in_ns, day)
    if seen is None or (again := ask(in_s, day.astype("datetime64[s]"))) is None or not _equal(seen, again):
        return False
    number = ask(signature, day.astype(np.int64).astype(signature.dtype_of((signature.columns or ())[at])))
    differs = ask(in_ns, other)
    return number is not None and _equal(seen, number) and differs is not None and not _equal(seen, differs)


def _equal(one: list[Any], other: list[Any]) -> bool:
    return all(
        np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))
        for a, b in zip(one, other, strict=True)
    )


def _first(rows: Rows) -> Rows:
    return Rows(tuple(block[:1] for block in rows.blocks))


def _answer(estimator: Any, method: str, X: Any) -> Any:
    try:
        with warnings_dropped():
            return call(estimator, method, X)
    except Exception as error:
        return error
