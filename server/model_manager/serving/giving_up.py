"""When a prediction is given up, what ends it, and when its version has hung too often. No loop, no threads of its own.

In the flow: prediction threads and the loop's watch give predictions up; the batcher counts them; the manager fails the
version. A prediction that is slow is not given up: its requests expire, and it counts against nobody.
"""

import ctypes
import sys
import threading
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Final

from model_manager.errors import PredictionFailed

OVERDUE: Final = 3.0
"""A prediction on a thread is given up after so many times its version's timeout, and not before OVERDUE_S."""
OVERDUE_S: Final = 2.0

MOST_HUNG: Final = 3
"""A version is failed when so many of its predictions were given up within WINDOW_S, or hold a thread at once: a model
that gets stuck on one input a day costs a thread now and then, and goes on."""
WINDOW_S: Final = 600.0

_INNERMOST: Final = 4


class GivenUp(BaseException):
    """Raised in model code that does not come back. No Exception, so that the model's own handlers let it pass."""


class DoesNotReturn(Exception):
    """What becomes of a batch whose `thread` was given up. The text says where that was."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__(f"on {thread.name}, at {place_of(thread)}")
        self.thread = thread


class ProcessLost(PredictionFailed):
    """The process in which an isolated version predicts ended over a batch, or was ended since it `hung` over it.

    `how` continues "its process …".
    """

    def __init__(self, how: str, *, hung: bool = False) -> None:
        super().__init__(f"the process of this model {how} over this input")
        self.how = how
        self.hung = hung


def overdue_after_s(timeout_s: float) -> float:
    """Seconds after which a prediction of a version with this timeout is given up: all its requests have expired."""
    return max(OVERDUE * timeout_s, OVERDUE_S)


def was_given_up(error: BaseException | None) -> bool:
    """Whether an exception is, or came of, one that ended model code: the model may have wrapped it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, GivenUp):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def end_code_of(thread: threading.Thread) -> None:
    """Raise GivenUp in a thread, when it next runs Python code; what waits or computes in C is not reached by it."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(GivenUp))


def place_of(thread: threading.Thread) -> str:
    """The innermost calls of a thread."""
    return place_in(sys._current_frames().get(thread.ident or 0))


def place_in(frame: FrameType | None) -> str:
    """The innermost calls of a stack."""
    calls: list[str] = []
    while frame is not None and len(calls) < _INNERMOST:
        calls.append(f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})")
        frame = frame.f_back
    return " > ".join(reversed(calls))


class Hangs:
    """The predictions of one version that were given up; or, of one in a process of its own, that ended that."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_HUNG)
        self._threads: list[threading.Thread] = []

    def add(self, now: float, thread: threading.Thread | None, did: str = "were given up") -> str:
        """Count one more, at `now` in seconds, and the thread that it still holds, if any. `did` says what they did.

        Returns why the version should be failed, which is empty as long as it should not.
        """
        self._times.append(now)
        self._threads = [one for one in (*self._threads, thread) if one is not None and one.is_alive()]
        recent = sum(now - time <= WINDOW_S for time in self._times)
        if recent >= MOST_HUNG:
            return f"{recent} predictions within {WINDOW_S / 60:g} minutes {did}"
        if len(self._threads) >= MOST_HUNG:
            return f"{len(self._threads)} predictions that were given up still hold a thread each"
        return ""
