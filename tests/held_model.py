"""An artifact whose unpickling a test holds at a gate, in the test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.models import dump

_GATES: dict[str, "Gate"] = {}


class Gate:
    """`entered` once somebody unpickles the artifact; unpickling ends when it is `opened`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entered = threading.Event()
        self.opened = threading.Event()

    def artifact(self, estimator: Any) -> bytes:
        """An artifact that becomes `estimator` once the gate is open."""
        return dump(_Held(self.name, estimator))


@contextmanager
def gate(name: str) -> Iterator[Gate]:
    """A gate that is shut, and opened at the end in any case, so that no thread is left waiting."""
    made = _GATES[name] = Gate(name)
    try:
        yield made
    finally:
        made.opened.set()


class _Held:
    def __init__(self, name: str, estimator: Any) -> None:
        self._name = name
        self._estimator = estimator

    def __reduce__(self) -> Any:
        return _pass, (self._name, self._estimator)


def _pass(name: str, estimator: Any) -> Any:
    _GATES[name].entered.set()
    _GATES[name].opened.wait()
    return estimator


def unloadable_without(file: Path, estimator: Any) -> bytes:
    """An artifact that becomes `estimator` where a file is there, and raises where it is not, in any process."""
    return dump(_Dependent(str(file), estimator))


class _Dependent:
    def __init__(self, file: str, estimator: Any) -> None:
        self._file = file
        self._estimator = estimator

    def __reduce__(self) -> Any:
        return _with_file, (self._file, self._estimator)


def _with_file(file: str, estimator: Any) -> Any:
    if not Path(file).exists():
        raise FileNotFoundError("the dictionary of this model is not there yet")
    return estimator
