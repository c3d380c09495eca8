"""An estimator's methods as named outputs: which can be asked for, and their answers as plain dense arrays."""

from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.signature import Array

METHODS: Final = ("predict", "predict_proba", "decision_function", "score_samples", "transform")
"""What can be served, in the order in which it is offered: the first that an estimator has is its default."""


def methods_of(estimator: Any) -> tuple[str, ...]:
    """Name the methods an estimator has and lets be called; an estimator that predicts nothing transforms first."""
    found = [method for method in METHODS if callable(getattr(estimator, method, None))]
    if "predict" not in found and "transform" in found:
        found.sort(key=lambda method: method != "transform")
    return tuple(found)


def method_and_index(output: str) -> tuple[str, int | None]:
    """Split an output's name: one of several targets is named by its number, as in "predict_proba_0"."""
    if output in METHODS:
        return output, None
    method, _, index = output.rpartition("_")
    return method, int(index)


def call(estimator: Any, method: str, X: Any) -> Array | list[Array]:
    """Call one method; a list is one array per target, as multi-output classifiers answer predict_proba."""
    answer = getattr(estimator, method)(X)
    if isinstance(answer, list) and answer and isinstance(answer[0], np.ndarray):
        return answer
    answer = _dense(answer)
    if method == "predict" and answer.ndim == 2 and answer.shape[1] == 1 and _has_labels(estimator):
        return answer[:, 0]  # CatBoost answers one of several classes as a column
    return answer


def _has_labels(estimator: Any) -> bool:
    classes = getattr(estimator, "classes_", None)
    return isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) > 0


def _dense(answer: Any) -> Array:
    if isinstance(answer, np.ndarray):
        return answer
    if hasattr(answer, "toarray"):  # sparse, as vectorizers and encoders answer
        return np.asarray(answer.toarray())
    if isinstance(answer, pd.DataFrame | pd.Series):
        return answer.to_numpy()
    return np.asarray(answer)
