"""Artifacts for swaps: good versions that answer with their own number, and every way in which one can be bad."""

import io
import os
import posix
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.tree import DecisionTreeRegressor

from loadtests.chaos.misbehaving import MisbehavingRegressor
from loadtests.chaos.traffic import WIDTH

_ROWS: Final = 7000  # a tree that knows each of them by itself takes a megabyte
_SPARSE_BYTES: Final = 10 << 30
_GREEDY_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a version's artifact is: among the ConfigMap's own keys, or at a path. `sha256` is declared if given."""

    content: bytes | None = None
    path: Path | None = None
    sha256: str | None = None


class Models:
    """Makes good versions: a tree of a megabyte whose every leaf answers with the version's number."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._tree = DecisionTreeRegressor(random_state=0).fit(random.normal(size=(_ROWS, WIDTH)), np.arange(_ROWS))

    def good(self, number: int) -> bytes:
        """The artifact of a version."""
        self._tree.tree_.value[:] = number
        return dumped(self._tree)


def tiny(answer: float) -> bytes:
    """An artifact of a few hundred bytes that always gives the same answer."""
    return dumped(DummyRegressor(strategy="constant", constant=answer).fit(np.zeros((2, WIDTH)), [0.0, 1.0]))


def dumped(thing: Any) -> bytes:
    """What joblib.dump writes of it."""
    file = io.BytesIO()
    joblib.dump(thing, file)
    return file.getvalue()


class _When:
    """Pickles as a call, so that unpickling makes it."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._reduced = call, arguments

    def __reduce__(self) -> Any:
        return self._reduced


def _unpickling(call: Callable[..., Any], *arguments: Any) -> Callable[[bytes, Path], Placed]:
    return lambda good, folder: Placed(dumped(_When(call, *arguments)))


def _predicting(how: str) -> Callable[[bytes, Path], Placed]:
    fitted = MisbehavingRegressor(how).fit(np.zeros((2, WIDTH)), [0.0, 1.0])
    return lambda good, folder: Placed(dumped(fitted))


def _fifo(good: bytes, folder: Path) -> Placed:
    path = folder / "fifo.joblib"
    if not path.exists():
        os.mkfifo(path)
    return Placed(path=path)


def _sparse(good: bytes, folder: Path) -> Placed:
    path = folder / "sparse.joblib"
    with path.open("wb") as file:
        file.truncate(_SPARSE_BYTES)
    return Placed(path=path)


def _folder(good: bytes, folder: Path) -> Placed:
    path = folder / "folder.joblib"
    path.mkdir(exist_ok=True)
    return Placed(path=path)


def _greedy() -> str:
    return f"[bytearray(b'x') * (1 << 20) for _ in range({_GREEDY_BYTES >> 20})] and exec('raise MemoryError')"


BAD: Final[Mapping[str, Callable[[bytes, Path], Placed]]] = {
    "truncated": lambda good, folder: Placed(good[: len(good) // 2]),
    "no pickle": lambda good, folder: Placed(b"this is no pickle"),
    "wrong digest": lambda good, folder: Placed(good, sha256="0" * 64),
    "missing": lambda good, folder: Placed(path=folder / "nowhere.joblib"),
    "unreadable": _folder,
    "not a model": lambda good, folder: Placed(dumped({"model": None})),
    "fifo": _fifo,
    "sparse": _sparse,
    "link to /proc": lambda good, folder: Placed(path=Path("/proc/kmsg")),
    "raises": _unpickling(int, "no number"),
    "interrupts": _unpickling(exec, "raise KeyboardInterrupt"),
    "cancels": _unpickling(exec, "import asyncio; raise asyncio.CancelledError"),
    "exits": _unpickling(posix._exit, 7),
    "terminates": _unpickling(eval, "__import__('os').kill(__import__('os').getpid(), 15)"),
    "segfaults": _unpickling(eval, "__import__('ctypes').string_at(0)"),
    "hangs": _unpickling(time.sleep, 3600),
    "hangs with the lock": _unpickling(re.match, "(a+)+$", "a" * 64 + "b"),
    "out of memory": _unpickling(eval, _greedy()),
    "predict raises": _predicting("raises"),
    "predict exits": _predicting("exits"),
    "predict segfaults": _predicting("segfaults"),
    "predict hangs": _predicting("hangs"),
}
"""By name: a good artifact and a folder → a bad one."""

_BOMB: Final = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)

BAD_MANIFESTS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "unknown key": lambda good: good + b"\n    defualt: '1'\n",
    "bomb of aliases": lambda good: _BOMB.encode(),
    "binary": lambda good: bytes(range(256)) * 4,
    "empty": lambda good: b"",
    "cut short": lambda good: good[: len(good) - 20],
    "too large": lambda good: good + b"#" * (5 << 20),
}
"""By name: a good manifest → one that is refused."""
