"""What fitted transformers tell of their input columns: strings or numbers, and the categories they know."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from model_manager.inference.signature.other_libraries import fitted_width, library_of, takes_numbers, told_columns
from model_manager.inference.signature.receivers import receivers, takes_text
from model_manager.signature import Array, Datatype, Missing, Moments, datatype_of

MAX_CATEGORIES = 1000
"""Above this many known values a column is described by its datatype alone."""


@dataclass(frozen=True, slots=True)
class ColumnHint:
    """The datatype of one column, with the values it may take and what it held for a missing one, where known.

    `categorical`: it must come as a pandas category of these values. `assumed`: a part of unknown ways takes it, so
    that the datatype is a guess.
    """

    datatype: Datatype
    categories: tuple[str | int | float | bool, ...] = ()
    boxed: bool = False
    missing: Missing | None = None
    moments: Moments | None = None
    categorical: bool = False
    assumed: bool = False


Hints = list[ColumnHint | None]
"""One entry per input column, in order; None where nothing tells."""


def column_hints(estimator: Any, width: int) -> Hints:
    """Ask every part of a fitted estimator that sees the client's rows for the types of its `width` columns."""
    hints: Hints = [None] * width
    for part in receivers(estimator):
        # A part fitted on another number of columns does not see the client's rows after all.
        if not isinstance(part, Pipeline) and (fitted_width(part) or width) == width:
            hints = _merge(hints, _hints_of(part, width))
        elif isinstance(part, Pipeline):
            hints = _merge(hints, _hints_of_pipeline(part, width))
    return hints


def _hints_of(transformer: Any, width: int) -> Hints:
    if isinstance(transformer, ColumnTransformer):
        return _hints_of_column_transformer(transformer, width)
    categories = getattr(transformer, "categories_", None)
    if isinstance(categories, list) and len(categories) == width:
        return [_hint_of_categories(np.asarray(values)) for values in categories]
    if isinstance(transformer, SimpleImputer) and len(transformer.statistics_) == width:
        return [_hint_of_imputer(transformer, value) for value in transformer.statistics_]
    # Gradient boosting that takes its categories from the DataFrame's dtypes encodes them with a ColumnTransformer.
    if isinstance(inner := getattr(transformer, "_preprocessor", None), ColumnTransformer):
        return _hints_of_column_transformer(inner, width)
    return _hints_of_other_library(transformer, width)


def _hints_of_other_library(part: Any, width: int) -> Hints:
    told = told_columns(part, width)
    untold = None if takes_numbers(part) else ColumnHint("FP64", assumed=True)
    return [
        ColumnHint(told[at].datatype, told[at].categories, categorical=told[at].categorical) if at in told else untold
        for at in range(width)
    ]


def _hints_of_column_transformer(transformer: ColumnTransformer, width: int) -> Hints:
    hints: Hints = [None] * width
    positions = transformer._transformer_to_input_indices
    for name, part, columns in transformer.transformers_:
        indices = positions.get(name, [])
        if not len(indices):
            continue  # a part without columns is never fitted
        if isinstance(columns, str | int) and takes_text(part):
            told: Hints = [ColumnHint("BYTES")]
        elif isinstance(part, str):
            continue
        else:
            told = column_hints(part, len(indices))
        for index, hint in zip(indices, told, strict=False):
            hints[index] = _join(hints[index], hint)
    return hints


def _hints_of_pipeline(pipeline: Pipeline, width: int) -> Hints:
    """Ask step after step, for as long as each step's columns are still the client's, one to one."""
    hints: Hints = [None] * width
    for _, step in pipeline.steps:
        if step is None or isinstance(step, str):
            continue
        if (fitted_width(step) or width) != width:
            break
        hints = _merge(hints, column_hints(step, width))
        keeps = isinstance(step, OneToOneFeatureMixin | FunctionTransformer) or library_of(step) == "feature_engine"
        if not (keeps or (isinstance(step, SimpleImputer) and not step.add_indicator)) or hasattr(step, "categories_"):
            break
    return hints


def _hint_of_imputer(imputer: SimpleImputer, statistic: object) -> ColumnHint | None:
    if imputer.missing_values is None:
        text = isinstance(statistic, str)
        return ColumnHint("BYTES" if text else "FP64", boxed=not text, missing="None")
    # Of None an imputer of NaN knows nothing: it lets it through, and the encoder behind it tells.
    return ColumnHint("BYTES") if isinstance(statistic, str) else None


def _hint_of_categories(values: Array) -> ColumnHint:
    if values.dtype.kind == "M":
        return ColumnHint("BYTES", moments=Moments.of(pd.Series(values).dtype))
    listed = values.tolist()
    known = tuple(value for value in listed if value is not None and value == value)
    if known and isinstance(known[0], pd.Timestamp):  # of a time zone; all others are plain values
        return ColumnHint("BYTES", moments=Moments.of(pd.Series(known).dtype))
    objects = values.dtype.kind == "O"
    if any(isinstance(value, str) for value in known):
        datatype: Datatype = "BYTES"
    elif values.dtype.kind in "biu":
        datatype = datatype_of(values.dtype)
    elif objects and known and all(isinstance(value, bool) for value in known):
        datatype = "BOOL"
    else:
        datatype = "FP64"
    return ColumnHint(
        datatype,
        known if len(known) <= MAX_CATEGORIES else (),
        boxed=objects and datatype != "BYTES",  # encoders of objects refuse floats
        missing=_missing_of(listed),
    )


def _missing_of(categories: list[Any]) -> Missing | None:
    """What a fitted encoder knows as missing; None where it saw nothing missing, or both."""
    has_none = any(value is None for value in categories)
    has_nan = any(value != value for value in categories)
    if has_none == has_nan:
        return None
    return "None" if has_none else "NaN"


def _merge(hints: Hints, more: Hints) -> Hints:
    """Keep the first hint of each column, with the first categories that agree with it."""
    return [_join(hint, other) for hint, other in zip(hints, more, strict=True)]


def _join(hint: ColumnHint | None, other: ColumnHint | None) -> ColumnHint | None:
    if hint is None or other is None:
        return hint or other
    if hint.assumed:
        return other
    if not hint.categories and hint.datatype == other.datatype:
        return replace(other, boxed=hint.boxed or other.boxed, missing=hint.missing or other.missing)
    return replace(hint, missing=hint.missing or other.missing)
