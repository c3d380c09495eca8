"""Which input column each feature of an estimator's matrix is made of, through pipelines and column transformers.

Only transformers that make each feature of one column are followed, by their types; any other may mix them.
"""

import copy
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from model_manager.inference.methods import is_sparse
from model_manager.signature import Array

_KEEP: Final = (
    StandardScaler,
    MinMaxScaler,
    MaxAbsScaler,
    RobustScaler,
    PowerTransformer,
    QuantileTransformer,
    Binarizer,
)
"""One feature of each column, in their order."""
_NAMED: Final = (
    *(SimpleImputer, MissingIndicator, OneHotEncoder, OrdinalEncoder, TargetEncoder),
    *(KBinsDiscretizer, SplineTransformer),
)
"""Some features of each column, whose names tell of which."""
_token: Final = re.compile(r"<(\d+)>").search


class Mixed(Exception):
    """A transformer may make a feature of several columns, or is not known; the text names it."""


def steps_of(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers before the estimator that answers in the end, through searches and pipelines; and that."""
    steps: list[Any] = []
    while True:
        if type(estimator) is Pipeline:
            steps += [step for _, step in estimator.steps[:-1] if hasattr(step, "transform")]
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, BaseSearchCV):
            estimator = estimator.best_estimator_
        else:
            return steps, estimator


def features_of(steps: Sequence[Any], names: Sequence[str]) -> Array:
    """The position of the column that each feature behind `steps` is made of. Raises Mixed.

    `names` are the columns of X, in their order.
    """
    columns = np.arange(len(names))
    for number, step in enumerate(steps):
        fitted_on = getattr(step, "feature_names_in_", None)
        if number == 0 and fitted_on is not None and list(fitted_on) != list(names):
            raise Mixed(f"{type(step).__name__} was fitted on columns in another order")
        columns = columns[_sources(step, len(columns))]
    return columns


def dense(matrix: Any) -> Array:
    """A matrix of float64, whatever a transformer answered."""
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix, dtype=np.float64)


def _sources(step: Any, width: int) -> Array:
    """Of each feature that a fitted transformer makes of `width` columns: of which one."""
    kind = type(step)
    if step == "passthrough" or kind in _KEEP:
        return np.arange(width)
    if kind is FunctionTransformer and (step.func is None or (isinstance(step.func, np.ufunc) and step.func.nin == 1)):
        return np.arange(width)
    if kind in _NAMED:
        return _by_name(step, width)
    if isinstance(step, SelectorMixin):
        return np.flatnonzero(step.get_support())
    if kind is Pipeline:
        columns = np.arange(width)
        for _, part in step.steps:
            columns = columns if part is None else columns[_sources(part, len(columns))]
        return columns
    if kind is FeatureUnion:
        parts = [_sources(part, width) for _, part in step.transformer_list if part != "drop"]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)
    if kind is ColumnTransformer:
        return _of_column_transformer(step)
    raise Mixed(kind.__name__)


def _by_name(step: Any, width: int) -> Array:
    """Have a transformer name its features after tokens instead of the columns that it was fitted on."""
    renamed = copy.copy(step)
    for name in ("feature_names_in_", "_sklearn_output_config"):
        vars(renamed).pop(name, None)
    names = renamed.get_feature_names_out([f"<{at}>" for at in range(width)])
    found = [_token(name) for name in names]
    if None in found:
        raise Mixed(type(step).__name__)
    return np.array([int(one[1]) for one in found if one is not None], dtype=np.intp)


def _of_column_transformer(step: Any) -> Array:
    parts: list[tuple[int, Array]] = []
    for name, part, _ in step.transformers_:
        made = step.output_indices_.get(name)
        if made is None or part == "drop" or made.start == made.stop:
            continue
        given = np.asarray(step._transformer_to_input_indices[name], dtype=np.intp)
        sources = given[_sources(part, len(given))]
        if len(sources) != made.stop - made.start:
            raise Mixed(f"{type(part).__name__} in {name}")
        parts.append((made.start, sources))
    parts.sort(key=lambda one: one[0])
    return np.concatenate([sources for _, sources in parts]) if parts else np.zeros(0, dtype=np.intp)
