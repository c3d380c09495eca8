"""The input half of a signature: layout, columns and their types, from the estimator and what metadata declares."""

from dataclasses import replace
from typing import Any, TypeAlias

import pandas as pd
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.pipeline import Pipeline

from model_manager.errors import LoadFailed
from model_manager.inference.signature.column_types import ColumnHint, column_hints
from model_manager.inference.signature.other_libraries import fitted_names, fitted_width, renames
from model_manager.inference.signature.receivers import receivers, takes_text
from model_manager.signature import Column, Declared, DeclaredColumn, DeclaredTensor, Layout, Signature

_Told: TypeAlias = tuple[bool | None, ...]
"""What metadata says of `nullable`, column by column; None where it is silent."""


def infer_inputs(estimator: Any, declared: Declared) -> tuple[Signature, tuple[int, ...]]:
    """Find the layout and the columns, and the positions of those that must be tried out for missing values.

    These are the columns of which metadata does not say, unless integers or booleans hold them: the estimator was
    fitted on a dtype that has no missing value, and another one may change its answers. The signature has no outputs
    yet, and lets missing values through where they must be tried out. Raises LoadFailed: "metadata_invalid" where
    metadata contradicts the estimator, "not_a_model" for rows that have no columns.
    """
    signature, told = _inputs(estimator, declared)
    if signature.columns is None:
        return signature, ()
    columns = list(signature.columns)
    undecided = tuple(
        at
        for at, nullable in enumerate(told)
        if nullable is None and (columns[at].categorical or signature.dtype_of(columns[at]).kind not in "iub")
    )
    for at in undecided:
        columns[at] = replace(columns[at], nullable=True)
    return replace(signature, columns=tuple(columns)), undecided


def _inputs(estimator: Any, declared: Declared) -> tuple[Signature, _Told]:
    for part in receivers(estimator):
        if isinstance(part, DictVectorizer | FeatureHasher):
            message = f"its first step, {type(part).__name__}, takes dictionaries; fit it on a DataFrame or an array"
            raise LoadFailed("not_a_model", message)
    if takes_text(estimator):
        return _text(declared)
    names = next((found for part in receivers(estimator) if (found := fitted_names(part)) is not None), None)
    if names is not None:
        return _frame(estimator, names, declared)
    return _array(estimator, declared)


def _text(declared: Declared) -> tuple[Signature, _Told]:
    told = declared.tensor or DeclaredTensor("input", "BYTES")
    column = DeclaredColumn("0", "BYTES", told.nullable, missing=told.missing)
    tensor = declared.tensor.name if declared.tensor else "input"
    if declared.columns is not None:
        if len(declared.columns) != 1:
            raise _invalid(f"{len(declared.columns)} columns are declared; the estimator takes one string a row")
        column = declared.columns[0]
        tensor = column.name
    columns = (Column(column.name, "BYTES", bool(column.nullable), missing=column.missing or "NaN"),)
    return Signature(Layout.TEXT, columns, declared.columns is not None, (), tensor), (column.nullable,)


def _frame(estimator: Any, names: tuple[str, ...], declared: Declared) -> tuple[Signature, _Told]:
    hints = column_hints(estimator, len(names))
    if declared.columns is not None:
        names = _as_given(estimator, names, tuple(column.name for column in declared.columns))
        _check_names(tuple(column.name for column in declared.columns), names)
        _check_zones(declared.columns)
        columns = [_declared_column(column, hint) for column, hint in zip(declared.columns, hints, strict=True)]
        nullable = tuple(column.nullable for column in declared.columns)
    else:
        if declared.tensor is not None:
            _check_tensor(declared.tensor, len(names))
            if declared.tensor.columns is not None:
                _check_names(declared.tensor.columns, names)
        columns = [_inferred_column(name, hint, declared.tensor) for name, hint in zip(names, hints, strict=True)]
        nullable = (declared.tensor.nullable if declared.tensor else None,) * len(names)
    return Signature(Layout.FRAME, tuple(columns), True, ()), nullable


def _array(estimator: Any, declared: Declared) -> tuple[Signature, _Told]:
    width = next((found for part in receivers(estimator) if (found := fitted_width(part)) is not None), None)
    if declared.columns is not None:
        if width is not None and len(declared.columns) != width:
            raise _invalid(_count_message(tuple(column.name for column in declared.columns), width))
        _check_unique(tuple(column.name for column in declared.columns))
        hints = column_hints(estimator, len(declared.columns))
        _refuse_moments(hints, declared.columns)
        columns = tuple(_declared_column(column, hint) for column, hint in zip(declared.columns, hints, strict=True))
        nullable = tuple(column.nullable for column in declared.columns)
        return Signature(Layout.ARRAY, columns, True, ()), nullable
    tensor = declared.tensor or DeclaredTensor("input", "FP64")
    if width is None:
        width = len(tensor.columns) if tensor.columns is not None else tensor.width
    if width is None:
        return Signature(Layout.ARRAY, None, False, (), tensor.name), ()
    _check_tensor(tensor, width)
    names = tensor.columns or tuple(map(str, range(width)))
    _check_unique(names)
    hints = column_hints(estimator, width)
    _refuse_moments(hints, ())
    columns = _tensor_columns(names, hints, declared.tensor)
    return Signature(Layout.ARRAY, columns, tensor.columns is not None, (), tensor.name), (tensor.nullable,) * width


def _tensor_columns(
    names: tuple[str, ...], hints: list[ColumnHint | None], tensor: DeclaredTensor | None
) -> tuple[Column, ...]:
    """An array has one dtype: the declared one, object if some column holds strings, else float64."""
    columns = tuple(_inferred_column(name, hint, tensor) for name, hint in zip(names, hints, strict=True))
    has_strings = any(column.datatype == "BYTES" for column in columns)
    if tensor is not None and not (has_strings and tensor.datatype == "BYTES"):
        return tuple(replace(column, datatype=tensor.datatype) for column in columns)
    if has_strings:
        return columns
    return tuple(replace(column, datatype="FP64") for column in columns)


def _declared_column(column: DeclaredColumn, hint: ColumnHint | None) -> Column:
    hint = hint or ColumnHint(column.datatype)
    moments = column.moments or hint.moments
    boxed = (hint.boxed if column.boxed is None else column.boxed) or column.missing == "None"
    as_fitted = hint.categorical and not column.categorical
    datatype = hint.datatype if as_fitted else column.datatype
    declared = () if as_fitted else column.categories
    return Column(
        column.name,
        datatype if moments is None else "BYTES",
        bool(column.nullable),
        declared or (hint.categories if hint.datatype == datatype else ()),
        boxed=boxed and datatype != "BYTES",
        missing=hint.missing or column.missing or "NaN",
        moments=moments,
        categorical=column.categorical or hint.categorical,
    )


def _inferred_column(name: str, hint: ColumnHint | None, tensor: DeclaredTensor | None) -> Column:
    """What hints say of a column, and a declared tensor of all."""
    hint = hint or ColumnHint("FP64")
    return Column(
        name,
        hint.datatype,
        bool(tensor and tensor.nullable),
        hint.categories,
        boxed=(hint.boxed or bool(tensor and (tensor.boxed or tensor.missing == "None"))) and hint.datatype != "BYTES",
        missing=hint.missing or (tensor.missing if tensor else None) or "NaN",
        moments=hint.moments,
        categorical=hint.categorical,
        assumed=hint.assumed,
    )


def _refuse_moments(hints: list[ColumnHint | None], declared: tuple[DeclaredColumn, ...]) -> None:
    """Raise LoadFailed where dates would have to go into an array, which has one dtype for all."""
    if any(hint and hint.moments for hint in hints) or any(column.moments for column in declared):
        message = "it takes dates and times as an array; fit it on a DataFrame, whose columns have names and dtypes"
        raise LoadFailed("not_a_model", message)


def _first_attribute(estimator: Any, name: str) -> Any:
    return next((getattr(part, name) for part in receivers(estimator) if hasattr(part, name)), None)


def _as_given(estimator: Any, fitted: tuple[str, ...], declared: tuple[str, ...]) -> tuple[str, ...]:
    """The names that the estimator was given, where its library keeps changed ones and metadata knows better."""
    changed = tuple(name.replace(" ", "_") for name in declared)
    known_by = (part for part in receivers(estimator) if not isinstance(part, Pipeline) and fitted_names(part))
    return declared if changed == fitted and any(map(renames, known_by)) else fitted


def _check_tensor(tensor: DeclaredTensor, width: int) -> None:
    declared = len(tensor.columns) if tensor.columns is not None else tensor.width
    if declared is not None and declared != width:
        raise _invalid(_count_message(tensor.columns or (), width, declared))


def _check_names(declared: tuple[str, ...], fitted: tuple[str, ...]) -> None:
    _check_unique(declared)
    for name in declared:
        if name not in fitted:
            raise _invalid(f"column {name!r} is declared; the estimator was not fitted with it")
    for position, name in enumerate(fitted):
        if name not in declared:
            raise _invalid(f"column {name!r} is missing; the estimator was fitted with it")
        if declared[position] != name:
            raise _invalid(f"column {position} is {declared[position]!r}; the estimator was fitted with {name!r} there")


def _check_zones(columns: tuple[DeclaredColumn, ...]) -> None:
    for column in columns:
        if column.moments is not None:
            try:
                pd.DatetimeTZDtype("ns", column.moments.zone or "UTC")
            except (TypeError, ValueError, LookupError):
                raise _invalid(f"column {column.name!r}: there is no time zone {column.moments.zone!r}") from None


def _check_unique(names: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _invalid(f"column {name!r} is declared twice")
        seen.add(name)


def _count_message(names: tuple[str, ...], fitted: int, declared: int | None = None) -> str:
    count = len(names) if declared is None else declared
    extra = f", from {names[fitted]!r} on too many" if len(names) > fitted else ""
    return f"{count} columns are declared{extra}; the estimator was fitted with {fitted}"


def _invalid(text: str) -> LoadFailed:
    return LoadFailed("metadata_invalid", f"metadata.json: inputs: {text}")
