"""Bytes → estimator: unpickle an artifact whose digest was checked, and prove that something in it predicts.

Runs in a loader thread. The only place that reads or writes joblib files.
"""

import io
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from model_manager.errors import LoadFailed
from model_manager.inference.methods import METHODS, methods_of
from model_manager.inference.signature.other_libraries import (
    NEEDS_DMATRIX,
    hold_booster_to_one_thread,
    is_raw_booster,
    library_of,
)
from model_manager.inference.warning_filters import warnings_filtered

SKLEARN_VERSION: Final[str] = sklearn.__version__
"""The scikit-learn that reads artifacts here, and writes them."""


@dataclass(frozen=True, slots=True)
class LoadedEstimator:
    """An unpickled, fitted estimator. `library_warning` says which scikit-learn wrote it, if it was another."""

    estimator: Any
    library_warning: str | None


def load_estimator(file: BinaryIO, *, library_mismatch: Literal["refuse", "warn"]) -> LoadedEstimator:
    """Unpickle the estimator of a seekable file, held to one thread.

    Raises LoadFailed: "library_mismatch" (policy "refuse"), "corrupt" or "not_a_model". A pickle is code: check the
    file's digest before.
    """
    try:
        with warnings_filtered("error", InconsistentVersionWarning):
            loaded = LoadedEstimator(joblib.load(file), None)
    except InconsistentVersionWarning as warning:
        loaded = _load_mismatched(file, warning, library_mismatch)
    except (Exception, SystemExit) as error:
        raise LoadFailed("corrupt", _explain(error)) from error
    _check_is_model(loaded.estimator)
    _hold_to_one_thread(loaded.estimator)
    return loaded


def dump_estimator(estimator: Any, *, compress: int = 0) -> bytes:
    """Pickle an estimator with joblib; `compress` is a zlib level."""
    file = io.BytesIO()
    joblib.dump(estimator, file, compress=compress)
    return file.getvalue()


def _load_mismatched(
    file: BinaryIO, warning: InconsistentVersionWarning, library_mismatch: Literal["refuse", "warn"]
) -> LoadedEstimator:
    text = f"written by scikit-learn {warning.original_sklearn_version}, read by {SKLEARN_VERSION}"
    if library_mismatch == "refuse":
        advice = "train it again with this version, or set the library mismatch policy to warn"
        raise LoadFailed("library_mismatch", f"{text}; {advice}")
    # A second pass, because a warning raised as an error has ended the first.
    file.seek(0)
    try:
        with warnings_filtered("ignore", InconsistentVersionWarning):
            return LoadedEstimator(joblib.load(file), text)
    except (Exception, SystemExit) as error:
        raise LoadFailed("corrupt", f"{_explain(error)} ({text})") from error


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
        raise LoadFailed("not_a_model", f"the artifact holds a {kind}, which has none of {', '.join(METHODS)}")
    if is_raw_booster(estimator):
        raise LoadFailed("not_a_model", f"the artifact holds a {kind}: {NEEDS_DMATRIX}")
    if not _is_fitted(estimator):
        raise LoadFailed("not_a_model", f"the {kind} in the artifact is not fitted; call fit before dump")


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
            attributes = vars(part)
            if "n_jobs" in attributes:
                part.n_jobs = 1
                hold_booster_to_one_thread(part)
            waiting.extend(attributes.values())


def _is_estimator(part: Any) -> bool:
    return hasattr(part, "fit") or any(hasattr(part, method) for method in METHODS)
