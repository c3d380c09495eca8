"""An estimator that does to its process what models should not. Importable, so that an artifact of it loads."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

LINGERING = "67108863"
"""What processes that were left behind are called by: their sleep, in seconds."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def _allocate() -> None:
    taken = []
    while True:
        taken.append(np.empty(1 << 24))


def _leave_processes() -> None:
    for alone in (False, True):
        subprocess.Popen(["sleep", LINGERING], start_new_session=alone)
    if os.fork() == 0:
        if os.fork() == 0:  # an orphan, as daemons are
            os.setsid()
            os.execvp("sleep", ["sleep", LINGERING])
        os._exit(0)
    os._exit(4)


def _write_garbage() -> None:
    for number in range(3, 64):
        with suppress(OSError):
            os.write(number, b"garbage " * 100)


def _change_the_process() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0)
    os.nice(1)
    sys.stdout = sys.stderr = None
    os._exit(6)


def _leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait).start()


def _kill_its_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def _spin() -> None:
    while True:
        pass


DEEDS: dict[str, Callable[[], Any]] = {
    "exit 0": lambda: os._exit(0),
    "exit 3": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "SystemExit": lambda: _raise(SystemExit(5)),
    "CancelledError": lambda: _raise(asyncio.CancelledError()),
    "RecursionError": lambda: _raise(RecursionError("too deep")),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "its parent": _kill_its_parent,
    "its group": lambda: os.killpg(0, signal.SIGKILL),
    "holding the interpreter": lambda: ctypes.PyDLL(None).sleep(1000),
    "sleeping": lambda: time.sleep(1000),
    "spinning": _spin,
    "allocating": _allocate,
    "leaving processes": _leave_processes,
    "closing files": lambda: os.closerange(0, 1 << 16),
    "writing garbage": _write_garbage,
    "printing": lambda: [print("a flood " * 1000) for _ in range(100)],  # noqa: T201
    "changing the process": _change_the_process,
    "leaving a thread": _leave_a_thread,
}


class HostileRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers zeros, and does a deed when it is unpickled, asked to predict, or looked at by what compiles."""

    def __init__(self, deed: str, where: str) -> None:
        self.deed = deed
        self.where = where
        self.n_features_in_ = 2

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.where == "unpickling":
            DEEDS[self.deed]()

    def __getattr__(self, name: str) -> Any:
        if name == "best_estimator_" and self.__dict__.get("where") == "compiling" and _is_compiling():
            DEEDS[self.deed]()
        raise AttributeError(name)

    def predict(self, X: Any) -> Any:
        if self.where == "predicting":
            DEEDS[self.deed]()
        return np.zeros(len(X))


class ObedientRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, and does the deed whose number, from 1, its second column holds."""

    def __init__(self) -> None:
        self.n_features_in_ = 2
        self.fitted_ = True

    def predict(self, X: Any) -> Any:
        for number in X[:, 1]:
            if number >= 1:
                list(DEEDS.values())[int(number) - 1]()
        return np.array(X[:, 0])


def _is_compiling() -> bool:
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "compile_predictor":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
