"""What model code may change of the process, but not for good: it is put back, and who did it is named.

In the flow: a beat of the event loop, and the loader after each step → **process state** → a log line and a metric.
Kept is what the server's own promises stand on: that it stops when told, logs, finds its files, and answers the other
versions as before. No sandbox: what code of a model changes in other modules, or by C, stays changed.
"""

import asyncio
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from model_manager.metrics import Metrics
from model_manager.serving.printing import printed_into_the_log
from model_manager.settings import environment, set_environment

logger = logging.getLogger(__name__)

BEAT_S: Final = 1.0

_STREAMS: Final = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
_LIMITS: Final = ("NOFILE", "NPROC", "CPU", "FSIZE", "AS", "DATA", "STACK")
_SIGNALS: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGPROF, signal.SIGPIPE, signal.SIGHUP,
    signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
_OUR_LOGGERS: Final = ("model_manager", "uvicorn")


@dataclass(slots=True)
class Kept:
    """One part of the process: how it is read and written, and what it is to be. `name` is fit for a metric label."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    value: Any = None


class ProcessState:
    """Keeps the process as it was. `suspects` names who may have changed it since a moment (perf_counter seconds)."""

    def __init__(self, metrics: Metrics, suspects: Callable[[float], str]) -> None:
        self._changes = metrics.process_changes
        self._suspects = suspects
        self._kept: list[Kept] = []
        # Two threads that leave scikit-learn's ensembles in the wrong order may leave no filter at all, and then those
        # warn of every tree of every request. That is nobody's fault, and told to nobody.
        self._filters = [*warnings.filters]

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep the process as it is now while the body runs, and log what is printed.

        On the main thread, whose signal mask is kept as well.
        """
        with printed_into_the_log(), ExitStack() as copies:
            saved = {fd: os.dup(fd) for fd in range(3) if _file(fd) is not None}
            for copy in saved.values():
                copies.callback(os.close, copy)
            self._kept = [*_kept_parts(), _kept_files(saved)]
            for part in self._kept:
                part.value = part.read()
            beating = asyncio.create_task(self._beat(), name="process state")
            try:
                yield
            finally:
                beating.cancel()
                self.check()
                self._kept = []

    def check(self, suspect: str | None = None) -> None:
        """Put back what is not as it was, and tell of it: of `suspect`, or of all whose code ran just now."""
        outcomes = {}
        if not warnings.filters:
            warnings.filters[:] = self._filters  # type: ignore[index]  # it is a list
            warnings._filters_mutated()  # type: ignore[attr-defined]
        for part in self._kept:
            now = part.read()
            if now == part.value:
                continue
            with suppress(OSError, ValueError):
                part.write(part.value)
            after = part.read()
            outcomes[part.name] = "was put back" if after == part.value else "cannot be put back"
            part.value = after
        for name, outcome in outcomes.items():  # logging itself may have been among them
            self._changes.labels(name).inc()
            who = suspect or self._suspects(perf_counter() - 2 * BEAT_S)
            logger.error("model code changed the %s of the process, which %s: %s", name, outcome, who)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.check()


def _kept_parts() -> list[Kept]:
    umask = os.umask(0o077)
    os.umask(umask)
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    return [
        Kept("signal handlers", _signal_handlers, _set_signal_handlers),
        Kept("signal mask", lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()), _set_signal_mask),
        # These two can be read only by being set.
        Kept("wakeup of signals", lambda: signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False), lambda _: None),
        Kept("umask", lambda: os.umask(umask), lambda _: None),
        Kept("working folder", _working_folder, os.chdir),
        Kept("logging", _logging, _set_logging),
        Kept("warning filters", _errors_of_warnings, _set_errors_of_warnings),
        Kept("standard streams", lambda: [getattr(sys, name) for name in _STREAMS], _set_streams),
        Kept("exception hooks", lambda: (sys.excepthook, threading.excepthook, sys.unraisablehook), _set_hooks),
        Kept("locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
        Kept("environment", _variables(environment()), set_environment),
        Kept("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Kept("switch interval", sys.getswitchinterval, sys.setswitchinterval),
        Kept("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        Kept("resource limits", _limits, _set_limits),
        Kept("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    ]


def _signal_handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _set_signal_handlers(handlers: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _set_signal_mask(mask: set[signal.Signals]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _our_loggers() -> list[logging.Logger]:
    """The loggers of our own that differ from what a logger is when it is made."""
    found = list(logging.root.manager.loggerDict.items())
    return [
        one
        for name, one in found
        if isinstance(one, logging.Logger)
        and name.partition(".")[0] in _OUR_LOGGERS
        and (one.disabled or one.level or not one.propagate or one.handlers or one.filters)
    ]


def _logging() -> Any:
    root = logging.root
    ours = [
        (one.name, one.disabled, one.level, one.propagate, [*one.handlers], [*one.filters]) for one in _our_loggers()
    ]
    disabled = (root.manager.disable, root.disabled)
    return disabled, root.level, [*root.handlers], [*root.filters], ours


def _set_logging(value: Any) -> None:
    (disable, disabled), level, handlers, filters, ours = value
    root = logging.root
    root.handlers[:], root.filters[:], root.disabled = handlers, filters, disabled
    for one in _our_loggers():
        one.disabled, one.propagate, one.handlers[:], one.filters[:] = False, True, [], []
        one.setLevel(logging.NOTSET)
    for name, off, its_level, propagate, its_handlers, its_filters in ours:
        one = logging.getLogger(name)
        one.disabled, one.propagate, one.handlers[:], one.filters[:] = off, propagate, its_handlers, its_filters
        one.setLevel(its_level)
    root.setLevel(level)
    logging.disable(disable)


def _errors_of_warnings() -> list[Any]:
    """The filters that make errors of warnings. Others come and go with blocks of every thread, and harm nobody."""
    return [one for one in warnings.filters if one[0] == "error"]


def _set_errors_of_warnings(value: list[Any]) -> None:
    others = [one for one in warnings.filters if one[0] != "error"]
    warnings.filters[:] = [*others, *value]  # type: ignore[index]  # it is a list
    warnings._filters_mutated()  # type: ignore[attr-defined]  # which empties the cache of each module


def _set_streams(streams: list[Any]) -> None:
    for name, stream in zip(_STREAMS, streams, strict=True):
        setattr(sys, name, stream)


def _set_hooks(hooks: tuple[Any, Any, Any]) -> None:
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def _variables(before: dict[str, str]) -> Callable[[], dict[str, str]]:
    """What became of the variables that there were; libraries may add others."""
    return lambda: {name: value for name, value in environment().items() if name in before}


def _limits() -> list[int]:
    return [resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in _LIMITS]


def _set_limits(limits: list[int]) -> None:
    for name, soft in zip(_LIMITS, limits, strict=True):
        number = getattr(resource, f"RLIMIT_{name}")
        if resource.getrlimit(number)[0] != soft:
            resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))


def _file(fd: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _kept_files(saved: dict[int, int]) -> Kept:
    """Standard input, output and error: `saved` are copies of their descriptors."""

    def write(files: list[tuple[int, int] | None]) -> None:
        for (fd, copy), file in zip(saved.items(), files, strict=True):
            if _file(fd) != file:
                os.dup2(copy, fd)

    return Kept("standard files", lambda: [_file(fd) for fd in saved], write)
