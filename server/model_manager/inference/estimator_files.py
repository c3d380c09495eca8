"""Bytes → estimator: unpickle an artifact whose digest was checked, and prove that something in it predicts.

Runs in a loader thread. The only place that reads or writes joblib files.
"""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from model_manager.errors import LoadFailed
from model_manager.inference.library_mismatch import mismatches_heard
from model_manager.inference.methods import METHODS, methods_of
from model_manager.inference.signature.other_libraries import (
    NEEDS_DMATRIX,
    hold_booster_to_one_thread,
    is_raw_booster,
    library_of,
)
from model_manager.inference.unsafe_parts import refuse_unsafe
from model_manager.signature import Declared

SKLEARN_VERSION: Final[str] = sklearn.__version__
"""The scikit-learn that reads artifacts here, and writes them."""


@dataclass(frozen=True, slots=True)
class LoadedEstimator:
    """An unpickled, fitted estimator. `library_warning` says which scikit-learn wrote it, if it was another.

    `declared`: what the artifact itself says it takes, where metadata says nothing. `compilable`: whether faster forms
    may be looked for. `copied`: whether it was made of a copy that other processes share (estimator_copy.py).
    """

    estimator: Any
    library_warning: str | None
    declared: Declared | None = None
    compilable: bool = True
    copied: bool = False


def load_estimator(
    file: BinaryIO,
    *,
    library_mismatch: Literal["refuse", "warn"],
    unpickle: Callable[[BinaryIO], Any] = joblib.load,
) -> LoadedEstimator:
    """Unpickle the estimator of a file, held to one thread. `unpickle` reads another format, and raises LoadFailed.

    Raises LoadFailed: "library_mismatch" (policy "refuse"), "corrupt", "not_a_model" or "unsafe". A pickle is code:
    check the file's digest before.
    """
    refuse = library_mismatch == "refuse"
    estimator, failure = None, None
    with mismatches_heard(refuse=refuse) as mismatches:
        try:
            estimator = unpickle(file)
        except LoadFailed:
            raise
        except BaseException as error:  # a pickle is code: it may raise what ends a task, a thread or a program
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # somebody pressed Ctrl-C
            failure = error
    written = None
    if mismatches:
        written = f"written by scikit-learn {mismatches[0].original_sklearn_version}, read by {SKLEARN_VERSION}"
        if refuse:
            advice = "train it again with this version, or set the library mismatch policy to warn"
            raise LoadFailed("library_mismatch", f"{written}; {advice}")
    if failure is not None:
        raise LoadFailed("corrupt", _explain(failure) + (f" ({written})" if written else "")) from failure
    _check_is_model(estimator)
    _hold_to_one_thread(estimator)
    return LoadedEstimator(estimator, written)


def dump_estimator(estimator: Any, *, compress: int = 0) -> bytes:
    """Pickle an estimator with joblib; `compress` is a zlib level."""
    file = io.BytesIO()
    joblib.dump(estimator, file, compress=compress)
    return file.getvalue()


def _explain(error: BaseException) -> str:
    """Say in one line why an artifact does not unpickle, with what to do where that is known."""
    text = " ".join(str(error).split())[:300]
    line = f"the artifact does not unpickle: {type(error).__name__}: {text}".rstrip(": ")
    if isinstance(error, ModuleNotFoundError):
        return f"{line}; install module {error.name!r} in the server's image"
    if isinstance(error, AttributeError) and "__main__" in text:
        return f"{line}; move what the training script defines itself into an installed module"
    if isinstance(error, MemoryError):
        return f"{line}; raise the memory limit"
    if isinstance(error, EOFError | IndexError | KeyError):
        return f"{line}; the file is cut short or was not written by joblib.dump"
    return line


def _check_is_model(estimator: Any) -> None:
    if isinstance(estimator, type):
        raise LoadFailed("not_a_model", f"the artifact holds the class {estimator.__name__}, not a fitted estimator")
    kind = type(estimator).__name__
    if not methods_of(estimator):
        if isinstance(estimator, dict):
            kind = f"dict with keys {', '.join(map(repr, list(estimator)[:5]))}"
        has = f"which has none of {', '.join(METHODS)}{_why_none(estimator)}"
        raise LoadFailed("not_a_model", f"the artifact holds a {kind}, {has}")
    if is_raw_booster(estimator):
        raise LoadFailed("not_a_model", f"the artifact holds a {kind}: {NEEDS_DMATRIX}")
    if not _is_fitted(estimator):
        raise LoadFailed("not_a_model", f"the {kind} in the artifact is not fitted; call fit before dump")
    refuse_unsafe(_parts_of(estimator))


def _is_fitted(estimator: Any) -> bool:
    if library_of(estimator) == "catboost":
        return bool(estimator.is_fitted())
    # Only scikit-learn's own classes are sure to show it by attributes that end in "_"; others may say it themselves.
    if library_of(estimator) == "sklearn" or hasattr(estimator, "__sklearn_is_fitted__"):
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            return False
    return True


def _hold_to_one_thread(estimator: Any) -> None:
    """Set n_jobs=1 on the estimator and everything fitted inside it.

    Requests are parallel already; a pool per call costs more than it gives, and oversubscribes a container's CPUs.
    """
    for part in _parts_of(estimator):
        if "n_jobs" in vars(part):
            part.n_jobs = 1
            hold_booster_to_one_thread(part)


def _why_none(estimator: Any) -> str:
    """Name the step that a pipeline's methods depend on, and the way out where scikit-learn has one."""
    last = estimator
    while isinstance(last, Pipeline) or hasattr(last, "best_estimator_"):
        last = last.steps[-1][1] if isinstance(last, Pipeline) else last.best_estimator_
    kind = type(last).__name__
    named = f": its last step, {kind}, has none" if isinstance(estimator, Pipeline) else ""
    if not hasattr(last, "fit_predict"):
        return named
    return f"{named}; {kind} labels only the rows it was fitted on: train a classifier on its labels and serve that"


def _parts_of(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and everything inside it that fits or predicts."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.ravel())
        elif hasattr(part, "__dict__") and not isinstance(part, type) and _is_estimator(part):
            yield part
            waiting.extend(vars(part).values())


def _is_estimator(part: Any) -> bool:
    return hasattr(part, "fit") or any(hasattr(part, method) for method in METHODS)
