"""A fitted estimator → the bytes of its artifact, or what in it cannot be written and what to do about that."""

import io
import pickle
from collections.abc import Iterator
from typing import Any, Final

from model_manager.errors import PackageRefused
from model_manager.inference.estimator_files import dump_estimator

_DEEPEST: Final = 12


def pickled(estimator: Any, *, compress: int = 0) -> bytes:
    """Pickle an estimator; `compress` is a zlib level.

    Raises PackageRefused for what no server could read: lambdas, what a function defines inside, open files, locks, and
    what belongs to the script that is running.
    """
    try:
        artifact = dump_estimator(estimator, compress=compress)
    except Exception as error:  # whatever the parts of an estimator raise when they are asked what they are
        raise PackageRefused(_explain(estimator, error)) from error
    return artifact


def _explain(estimator: Any, error: Exception) -> str:
    place, culprit = _culprit(estimator, type(estimator).__name__)
    text = " ".join(str(error).split())[:200]
    return f"the estimator cannot be pickled: {place} {_advice(culprit)} ({type(error).__name__}: {text})"


def _advice(culprit: Any) -> str:
    name = getattr(culprit, "__qualname__", "") if callable(culprit) else ""
    module = "in an installed module, with def or class at its top level, and import it from there"
    if name.endswith("<lambda>"):
        return f"is a lambda, which has no name to find it by; write it {module}"
    if "<locals>" in name or "<locals>" in type(culprit).__qualname__:
        what = name or type(culprit).__qualname__
        return f"is {what}, defined inside a function, where no server finds it; write it {module}"
    if isinstance(culprit, io.IOBase):
        return "is an open file; keep what was read from it instead"
    kind = f"{type(culprit).__module__}.{type(culprit).__qualname__}"
    return f"holds a {kind}; leave it out, or make it again in __setstate__"


def _culprit(value: Any, place: str, depth: int = 0) -> tuple[str, Any]:
    """The innermost part that cannot be pickled by itself, and the way to it."""
    if depth < _DEEPEST:
        for name, part in _parts(value):
            if not _can_be_pickled(part):
                return _culprit(part, f"{place}{name}", depth + 1)
    return place, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{at}]", part) for at, part in enumerate(value))
    elif not isinstance(value, type) and not callable(value):
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _can_be_pickled(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True
