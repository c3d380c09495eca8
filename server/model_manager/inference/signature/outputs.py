"""The output half of a signature: each method is called on one row, and what comes back is described."""

import difflib
from collections.abc import Callable
from typing import Any

from model_manager.errors import LoadFailed
from model_manager.inference.methods import call, methods_of
from model_manager.signature import Array, Datatype, Output, Rows, datatype_of

Label = str | int | float | bool


def guess_outputs(estimator: Any) -> tuple[Output, ...]:
    """Describe every method by what its name and `classes_` promise, without calling it."""
    return tuple(_guess(method, _classes(estimator)) for method in methods_of(estimator))


def try_outputs(
    estimator: Any, build: Callable[[Rows], Any], example: Rows, *, example_is_real: bool
) -> tuple[Output, ...]:
    """Describe every method by its answer to one row.

    A method that fails is guessed at, because a made-up row proves little. It is left out when it says itself that it
    is not there, or fails on a real row on which others work.
    """
    outputs: list[Output] = []
    failed: list[Output] = []
    X = build(example)
    classes = _classes(estimator)
    for method in methods_of(estimator):
        try:
            outputs.extend(_describe(method, call(estimator, method, X), classes))
        except (AttributeError, NotImplementedError):
            continue
        except Exception:
            failed.append(_guess(method, classes))
    if example_is_real and outputs:
        return tuple(outputs)
    order = {method: position for position, method in enumerate(methods_of(estimator))}
    return tuple(sorted([*outputs, *failed], key=lambda output: order.get(output.name, 0))) or guess_outputs(estimator)


def choose_outputs(found: tuple[Output, ...], declared: tuple[Output, ...] | None) -> tuple[Output, ...]:
    """Keep the declared outputs, in the declared order; all that were found when none are declared.

    Raises LoadFailed("metadata_invalid") for one the estimator does not have.
    """
    if declared is None:
        return found
    by_name = {output.name: output for output in found}
    for output in declared:
        if output.name not in by_name:
            close = difflib.get_close_matches(output.name, by_name, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            message = (
                f"metadata.json: outputs: {output.name!r} is declared; {hint}the estimator has {', '.join(by_name)}"
            )
            raise LoadFailed("metadata_invalid", message)
    return tuple(by_name[output.name] for output in declared)


def _classes(estimator: Any) -> list[tuple[Label, ...]]:
    """The labels, one tuple per target; empty for anything that is not a classifier."""
    try:
        classes = estimator.classes_
    except Exception:
        return []
    targets = classes if isinstance(classes, list) else [classes]
    return [tuple(target.tolist()) for target in targets if hasattr(target, "tolist")]


def _describe(method: str, answer: Array | list[Array], classes: list[tuple[Label, ...]]) -> list[Output]:
    if isinstance(answer, list):
        return [
            _output(f"{method}_{index}", part, classes[index] if index < len(classes) else ())
            for index, part in enumerate(answer)
        ]
    return [_output(method, answer, classes[0] if len(classes) == 1 else ())]


def _output(name: str, answer: Array, classes: tuple[Label, ...]) -> Output:
    if answer.ndim == 2 and answer.shape[1] != len(classes):
        classes = ()  # one-against-one scores, for instance: a column is not a class
    if name in ("score_samples", "transform") or (answer.ndim == 1 and name != "predict"):
        classes = ()
    return Output(name, datatype_of(answer.dtype), (-1, *answer.shape[1:]), classes)


def _guess(method: str, classes: list[tuple[Label, ...]]) -> Output:
    labels = classes[0] if len(classes) == 1 else ()
    if method == "predict" and labels:
        return Output(method, _datatype_of_label(labels[0]), (-1,), labels)
    if method == "predict_proba" and labels:
        return Output(method, "FP64", (-1, len(labels)), labels)
    if method == "decision_function" and len(labels) > 2:
        return Output(method, "FP64", (-1, len(labels)), labels)
    shape = (-1, -1) if method in ("transform", "predict_proba") else (-1,)
    return Output(method, "FP64", shape)


def _datatype_of_label(label: Label) -> Datatype:
    if isinstance(label, str):
        return "BYTES"
    if isinstance(label, bool):
        return "BOOL"
    return "INT64" if isinstance(label, int) else "FP64"
