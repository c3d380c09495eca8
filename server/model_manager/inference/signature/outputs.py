"""The output half of a signature: each method is called on one row, and what comes back is described."""

import difflib
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, Final

import numpy as np

from model_manager.errors import LoadFailed
from model_manager.inference.methods import (
    arguments_needed,
    as_arrays,
    ask,
    is_sparse,
    last_of,
    method_and_index,
    methods_of,
    methods_on_request,
    outputs_of,
)
from model_manager.signature import (
    MOST_DENSE_ROW_BYTES,
    Array,
    Datatype,
    Declared,
    Output,
    Rows,
    Signature,
    datatype_of,
)

Label = str | int | float | bool

_OF_CLASSES: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function")
"""Methods of which a column, or a value, may stand for a class."""


def guess_outputs(estimator: Any) -> tuple[Output, ...]:
    """Describe every method by what its name and `classes_` promise, without calling it.

    Raises LoadFailed("not_a_model") where every method needs more than rows.
    """
    classes = _classes(estimator)
    return tuple(output for method in _methods(estimator) for output in _guess(method, classes))


def try_outputs(
    estimator: Any, build: Callable[[Rows], Any], example: Rows, *, example_is_real: bool
) -> tuple[Output, ...]:
    """Describe every method by its answer to one row.

    A method that fails is guessed at, because a made-up row proves little. It is left out when it says itself that it
    is not there, fails on a real row on which others work, or answers a sparse matrix that is too wide. Raises
    LoadFailed("not_a_model") when nothing else is left.
    """
    outputs: list[Output] = []
    failed: list[Output] = []
    refused: str | None = None
    X = build(example)
    classes = _classes(estimator)
    methods = _methods(estimator)
    for method in methods:
        try:
            answer = ask(estimator, method, X)
            refused = (too_wide := _too_wide(method, answer)) or refused
            if too_wide is None:
                outputs.extend(_describe(estimator, method, answer, classes))
        except (AttributeError, NotImplementedError):
            continue
        except Exception:
            failed.extend(_guess(method, classes))
    if not outputs and not failed and refused is None:
        return guess_outputs(estimator)  # code inside raised these, for a row that it does not like
    if example_is_real and outputs:
        return tuple(outputs)
    if refused is not None and not outputs and not failed:
        raise LoadFailed("not_a_model", refused)
    order = {method: position for position, method in enumerate(methods)}
    return tuple(sorted([*outputs, *failed], key=lambda output: order.get(output.name, 0)))


def try_on_request(estimator: Any, X: Any) -> tuple[Output, ...]:
    """Describe what else answers to one row, and only that: a method that fails is not missed."""
    outputs: list[Output] = []
    classes = _classes(estimator)
    for method in methods_on_request(estimator):
        try:
            answer = ask(estimator, method, X)
            described = _describe(estimator, method, answer, classes)
        except KeyboardInterrupt:
            raise
        except BaseException:  # foreign code, of which nobody has asked anything yet
            continue
        parts = answer if isinstance(answer, list) else [answer]
        if all(np.shape(part)[:1] == (1,) and np.asarray(part).dtype.kind in "fiu" for part in parts):
            outputs.extend(described)  # anything else is of the same name, with another meaning
    return tuple(outputs)


def choose_outputs(draft: Signature, declared: Declared) -> Signature:
    """Keep the declared outputs, in the declared order; all that were found when none are declared.

    Raises LoadFailed("metadata_invalid") for one the estimator does not have, for names of columns that it does not
    have, and where nothing is left to answer a request that names none.
    """
    if declared.outputs is None:
        return draft
    found = {output.name: output for output in draft.offered}
    outputs = tuple(_chosen(output, found) for output in declared.outputs)
    on_request = tuple(_chosen(output, found) for output in declared.on_request)
    if not outputs:
        message = "metadata.json: outputs: all are on_request; one must answer requests that name none"
        raise LoadFailed("metadata_invalid", message)
    return replace(draft, outputs=outputs, on_request=on_request)


def _chosen(declared: Output, found: dict[str, Output]) -> Output:
    output = found.get(declared.name)
    if output is None:
        close = difflib.get_close_matches(declared.name, found, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        message = f"metadata.json: outputs: {declared.name!r} is declared; {hint}the estimator has {', '.join(found)}"
        raise LoadFailed("metadata_invalid", message)
    if not declared.columns:
        return output
    if len(output.shape) != 2 or output.shape[1] not in (-1, len(declared.columns)):
        what = f"{len(declared.columns)} columns are named, and its shape is {list(output.shape)}"
        raise LoadFailed("metadata_invalid", f"metadata.json: outputs: {declared.name}: {what}")
    return replace(output, columns=declared.columns)


def _methods(estimator: Any) -> list[str]:
    """The methods that take rows and need nothing else. Raises LoadFailed("not_a_model") where there are none."""
    methods = methods_of(estimator)
    needed = {method: arguments_needed(estimator, method) for method in methods}
    usable = [method for method in methods if not needed[method]]
    if methods and not usable:
        name, more = f"{type(last_of(estimator)).__name__}.{methods[0]}", ", ".join(needed[methods[0]])
        advice = "give it a default, or wrap the estimator in one that supplies it"
        raise LoadFailed("not_a_model", f"{name} needs {more} besides the rows, and requests hold rows alone; {advice}")
    return usable


def _too_wide(method: str, answer: Any) -> str | None:
    if not is_sparse(answer):
        return None
    columns = prod(answer.shape[1:])
    size = columns * answer.dtype.itemsize
    if size <= MOST_DENSE_ROW_BYTES:
        return None
    advice = "let it make fewer columns (max_features, n_features, min_frequency), or put TruncatedSVD behind it"
    dense = f"a sparse matrix of {columns:,} columns, {size:,} bytes a row once it is dense as JSON needs it"
    return f"{method} answers {dense}; at most {MOST_DENSE_ROW_BYTES:,} are served: {advice}"


def _classes(estimator: Any) -> list[tuple[Label, ...]]:
    """The labels, one tuple per target; empty for anything that is not a classifier."""
    try:
        classes = estimator.classes_
    except Exception:
        return []
    targets = classes if isinstance(classes, list) else [classes]
    return [tuple(target.tolist()) for target in targets if hasattr(target, "tolist")]


def _describe(estimator: Any, method: str, answer: Any, classes: list[tuple[Label, ...]]) -> list[Output]:
    arrays = as_arrays(answer, estimator, method)
    if isinstance(arrays, list):
        return [
            _output(name, arrays[index], classes[index] if index < len(classes) else (), method=method)
            for name in outputs_of(method, len(arrays))
            if (index := method_and_index(name)[1]) is not None
        ]
    return [_output(method, arrays, classes[0] if len(classes) == 1 else (), method=method, sparse=is_sparse(answer))]


def _output(name: str, answer: Array, classes: tuple[Label, ...], *, method: str, sparse: bool = False) -> Output:
    if answer.ndim == 2 and answer.shape[1] != len(classes):
        classes = ()  # one-against-one scores, for instance: a column is not a class
    if method not in _OF_CLASSES or (answer.ndim == 1 and method != "predict"):
        classes = ()
    return Output(name, datatype_of(answer.dtype), (-1, *answer.shape[1:]), classes, sparse=sparse)


def _guess(method: str, classes: list[tuple[Label, ...]]) -> list[Output]:
    labels = classes[0] if len(classes) == 1 else ()
    if method == "kneighbors":
        indices, distances = outputs_of(method, 2)
        return [Output(indices, "INT64", (-1, -1)), Output(distances, "FP64", (-1, -1))]
    if method == "predict" and labels:
        return [Output(method, _datatype_of_label(labels[0]), (-1,), labels)]
    if method == "predict_proba" and labels:
        return [Output(method, "FP64", (-1, len(labels)), labels)]
    if method == "decision_function" and len(labels) > 2:
        return [Output(method, "FP64", (-1, len(labels)), labels)]
    shape = (-1, -1) if method in ("transform", "predict_proba") else (-1,)
    return [Output(method, "FP64", shape)]


def _datatype_of_label(label: Label) -> Datatype:
    if isinstance(label, str):
        return "BYTES"
    if isinstance(label, bool):
        return "BOOL"
    return "INT64" if isinstance(label, int) else "FP64"
