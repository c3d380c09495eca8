"""Estimators that misbehave at a test's word. Importable, so that an artifact of them loads."""

import asyncio
import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

RAISED: dict[float, type[BaseException]] = {
    1.0: SystemExit,
    2.0: KeyboardInterrupt,
    3.0: GeneratorExit,
    4.0: asyncio.CancelledError,
    5.0: StopIteration,
    1001.0: MemoryError,
    1002.0: RecursionError,
}
"""What is raised for a first column of so much."""


class ExitingRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, but for some values raises what is no error. Takes `seconds` over it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> "ExitingRegressor":
        X, y = validate_data(self, X, y)
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False))
        time.sleep(self.seconds)
        for value in X[:, 0]:
            if value in RAISED:
                raise RAISED[value]("as it likes")
        return X[:, 0]


class Unspeakable:
    """Raises whatever it is made of when anybody wants to know what it is."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def _raise(self, *others: object) -> Any:
        raise self.kind("as it likes")

    __str__ = __repr__ = __float__ = __int__ = __hash__ = __eq__ = __bool__ = __len__ = __iter__ = _raise


class UnspeakableClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers texts, but for the values of RAISED what cannot be told. Takes `seconds` over it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> "UnspeakableClassifier":
        X, y = validate_data(self, X, y)
        self.classes_ = np.array(["7", "8"], dtype=object)
        return self

    def predict(self, X: Any) -> Any:
        values = np.asarray(X)[:, 0]
        time.sleep(self.seconds)
        answers = np.empty(len(values), dtype=object)
        for index, value in enumerate(values):
            answers[index] = Unspeakable(RAISED[value]) if value in RAISED else f"{value:g}"
        return answers


class MeddlingRegressor(ExitingRegressor):
    """Answers its first column; for 13 it changes the process and prints a lot, for 14 it sets off an alarm."""

    def predict(self, X: Any) -> Any:
        values = super().predict(X)
        if 13 in values:
            for number in range(5000):
                sys.stdout.write(f"{number} of a flood\n")
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.set_wakeup_fd(-1)
            os.chdir("/")
            os.umask(0)
            logging.getLogger().handlers.clear()
            logging.disable()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if 14 in values:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        return values


class StuckRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Answers its first column, but does not come back from 666; writes `announcement` when that is asked.

    `within`: "a lock", "a sleep" and "a loop" let other threads run meanwhile, "an expression" never does. It takes
    `seconds` over every call; the default is dearer than what may run on the event loop.
    """

    def __init__(self, announcement: Path, within: str, seconds: float = 0.002) -> None:
        self.announcement = announcement
        self.within = within
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> "StuckRegressor":
        X, y = validate_data(self, X, y)
        self.is_fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        X = np.asarray(validate_data(self, X, reset=False))
        if self.seconds:
            time.sleep(self.seconds)
        if 666 in X:
            self.announcement.touch()
            if self.within == "a lock":
                threading.Event().wait()
            elif self.within == "a sleep":
                time.sleep(10_000)
            elif self.within == "an expression":
                re.match(r"(a+)+$", "a" * 64 + "b")
            while True:
                pass
        return X[:, 0]


class HeldReader:
    """An analyzer for vectorizers that reads a document of more than half a million letters only once `gate` exists.

    It writes `announcement` when it waits for that.
    """

    def __init__(self, gate: Path, announcement: Path) -> None:
        self.gate = gate
        self.announcement = announcement

    def __call__(self, document: str) -> list[str]:
        while len(document) > 500_000 and not self.gate.exists():
            self.announcement.touch()
            time.sleep(0.005)
        return document.split()
