"""An estimator's methods as named outputs: which can be asked for, and their answers as plain dense arrays."""

import inspect
from math import prod
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from model_manager.signature import MOST_DENSE_BYTES, Array

METHODS: Final = ("predict", "predict_proba", "decision_function", "score_samples", "transform")
"""What can be served, in the order in which it is offered: the first that an estimator has is its default."""

_PARTS: Final = {"kneighbors_indices": ("kneighbors", 1), "kneighbors_distances": ("kneighbors", 0)}
_NUMBERED: Final = (*METHODS, "predict_log_proba")


def methods_of(estimator: Any) -> tuple[str, ...]:
    """Name the methods an estimator has and lets be called; an estimator that predicts nothing transforms first.

    One that does neither may find neighbours, unless its fit_predict says that it judges the rows it was fitted on.
    """
    found = [method for method in METHODS if callable(getattr(estimator, method, None))]
    if "predict" not in found and "transform" in found:
        found.sort(key=lambda method: method != "transform")
    if not found:
        last = last_of(estimator)
        if callable(getattr(last, "kneighbors", None)) and not hasattr(last, "fit_predict"):
            return ("kneighbors",)
    return tuple(found)


def methods_on_request(estimator: Any) -> tuple[str, ...]:
    """Name what else an estimator may answer, which costs more or is asked for seldom."""
    last = last_of(estimator)
    found = ["predict_log_proba"] if callable(getattr(estimator, "predict_log_proba", None)) else []
    if "return_std" in _parameters(getattr(last, "predict", None)):
        found.append("std")
    found += [method for method in ("kneighbors", "apply") if callable(getattr(last, method, None))]
    return tuple(method for method in found if method not in methods_of(estimator))


def outputs_of(method: str, count: int) -> tuple[str, ...]:
    """Name the outputs of a method that answers `count` arrays: their meaning, or the number of the target."""
    named = tuple(output for output, (of, _) in _PARTS.items() if of == method)
    return named if len(named) == count else tuple(f"{method}_{index}" for index in range(count))


def method_and_index(output: str) -> tuple[str, int | None]:
    """Split an output's name: one of several targets is named by its number, as in "predict_proba_0"."""
    if output in _PARTS:
        return _PARTS[output]
    method, _, index = output.rpartition("_")
    return (method, int(index)) if method in _NUMBERED and index.isdigit() else (output, None)


def call(estimator: Any, method: str, X: Any) -> Array | list[Array]:
    """Call one method; a list is one array per target, as multi-output classifiers answer predict_proba.

    Raises ValueError for a sparse matrix that is too large to be made dense.
    """
    return as_arrays(ask(estimator, method, X), estimator, method)


def ask(estimator: Any, method: str, X: Any) -> Any:
    """Call one method and give its answer as it comes."""
    if method in METHODS:
        return getattr(estimator, method)(X)
    if method == "predict_log_proba":
        with np.errstate(divide="ignore"):  # the logarithm of no probability is minus infinity, as it should be
            return estimator.predict_log_proba(X)
    # Pipelines and searches do not pass on the others: they are asked of the last step, behind those before it.
    last, X = _before_last(estimator, X)
    if method == "std":
        return last.predict(X, return_std=True)[1]
    answer = getattr(last, method)(X)
    return list(answer) if method == "kneighbors" else answer


def last_of(estimator: Any) -> Any:
    """The estimator that answers in the end, through searches and pipelines."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def arguments_needed(estimator: Any, method: str) -> tuple[str, ...]:
    """Name what a method must be given besides the rows."""
    last = last_of(estimator)
    parameters = _parameters(getattr(last if hasattr(last, method) else estimator, method, None))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rows = next((name for name, one in parameters.items() if one.kind in positional), None)
    return tuple(
        name
        for name, one in parameters.items()
        if name != rows
        and one.default is inspect.Parameter.empty
        and one.kind in (*positional, inspect.Parameter.KEYWORD_ONLY)
    )


def as_arrays(answer: Any, estimator: Any, method: str) -> Array | list[Array]:
    """Make dense arrays of what a method answered. Raises ValueError for a sparse matrix that is too large for that."""
    if isinstance(answer, list) and answer and isinstance(answer[0], np.ndarray):
        return answer
    dense: Array = answer if isinstance(answer, np.ndarray) else _dense(answer)
    if dense.ndim == 2 and method == "predict" and dense.shape[1] == 1 and _has_labels(estimator):
        return dense[:, 0]  # CatBoost answers one of several classes as a column
    return dense


def _has_labels(estimator: Any) -> bool:
    classes = getattr(estimator, "classes_", None)
    return isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) > 0


def is_sparse(answer: Any) -> bool:
    """Whether an answer is a sparse matrix, as vectorizers and encoders answer."""
    return hasattr(answer, "toarray")


def _before_last(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The estimator that answers in the end, and what is given to it for X."""
    while True:
        if isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                if hasattr(step, "transform"):  # not "passthrough", nor what resamples rows while it is fitted
                    X = step.transform(X)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, X


def _parameters(method: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(method).parameters)
    except (TypeError, ValueError):  # none, or one that does not say
        return {}


def _dense(answer: Any) -> Array:
    if is_sparse(answer):
        size = prod(answer.shape) * answer.dtype.itemsize
        if size > MOST_DENSE_BYTES:
            raise ValueError(f"a sparse answer of {size:,} bytes when dense; {MOST_DENSE_BYTES:,} are served")
        return np.asarray(answer.toarray())
    if isinstance(answer, pd.DataFrame | pd.Series):
        return _of_pandas(answer)
    return np.asarray(answer)


def _of_pandas(answer: "pd.DataFrame | pd.Series[Any]") -> Array:
    """Numbers stay numbers: pandas makes objects of columns of different kinds, and of its own integers with gaps."""
    array = answer.to_numpy()
    dtypes = answer.dtypes if isinstance(answer, pd.DataFrame) else [answer.dtype]
    if array.dtype == object and all(pd.api.types.is_numeric_dtype(dtype) for dtype in dtypes):
        return answer.to_numpy(dtype=np.float64, na_value=np.nan)
    return array
