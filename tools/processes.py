"""Programs as processes of their own: started, waited for, their log kept, stopped or killed with all they started."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tools import leash
from tools.cores import pinned
from tools.patience import LIMIT_S, Limit

ROOT = Path(__file__).resolve().parents[1]
_PAUSE_S = 0.01
_LAST_LINES = 5

T = TypeVar("T")


class ProcessFailed(Exception):
    """A process of ours did not start, did not get ready, or ended by itself. The text holds its last words."""


class Process:
    """A running program; what it writes to standard error is its log.

    As a context manager it stops the program after a body that did not end it, and kills it when the body raises.
    `environment` takes the place of this program's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        leash.hold()
        self.name = name
        self._token = leash.new_token()
        self._log = _nameless_file()
        weakref.finalize(self, os.close, self._log)
        self._read = 0
        self._lines: list[str] = []
        self._reading = threading.Lock()
        self._ended = False
        variables = {**(environment or os.environ), leash.TOKENS: leash.with_token(self._token)}
        self.popen = subprocess.Popen(pinned(command, core), stderr=self._log, cwd=ROOT, env=variables)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        elif not self._ended:
            self.stop()

    @contextmanager
    def killed_if_in_vain(self) -> Iterator[None]:
        """Kill the program when the body raises: for constructors that wait, so that what fails leaves nothing."""
        try:
            yield
        except BaseException:
            self.kill()
            raise

    @property
    def log(self) -> list[str]:
        """The lines that it has written."""
        with self._reading:
            while part := os.pread(self._log, 1 << 20, self._read):
                whole = part[: part.rfind(b"\n") + 1] if self.popen.poll() is None else part
                if not whole:
                    break
                self._read += len(whole)
                self._lines += whole.decode(errors="replace").splitlines()
            return list(self._lines)

    def wait_for(self, condition: Callable[[], T | None], what: str, *, limit_s: float = LIMIT_S) -> T:
        """Return the first value of `condition` that is true. Raises ProcessFailed."""
        limit = Limit(limit_s)
        while True:
            self.check()
            if value := condition():
                return value
            if limit.passed():
                raise ProcessFailed(f"{self.name}: waited {limit.so_far:.0f} s for it {what}{self._last_words()}")
            time.sleep(_PAUSE_S)

    def check(self) -> None:
        """Raise ProcessFailed when the process has ended."""
        code = self.popen.poll()
        if code is not None:
            raise ProcessFailed(f"{self.name} ended with exit code {code}{self._last_words()}")

    def stop(self) -> None:
        """Send SIGTERM and wait; raises ProcessFailed when the exit code is not 0 or the wait was in vain."""
        if (code := self.end(signal.SIGTERM)) != 0:
            raise ProcessFailed(f"{self.name} stopped with exit code {code}{self._last_words()}")

    def end(self, signum: int) -> int:
        """Send a signal, wait, and return the exit code. Raises ProcessFailed, with the process killed, if in vain."""
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
        self._ended = True
        limit = Limit()
        while True:
            try:
                self.popen.wait(max(0.0, limit.left()))
                break
            except subprocess.TimeoutExpired:
                if limit.passed():
                    self.kill()
                    raise ProcessFailed(
                        f"{self.name} did not stop within {limit.so_far:.0f} s{self._last_words()}"
                    ) from None
        self.kill()  # what it may have left behind
        return self.popen.returncode

    def signal(self, signum: int) -> None:
        """Send a signal to the process and to all that it has started."""
        for pid in leash.carriers(self._token):
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, signum)

    def kill(self) -> None:
        """End the process at once, and all that it has started."""
        if self.popen.poll() is None:
            self.popen.kill()
        leash.end(self._token)
        self.popen.wait()

    def _last_words(self) -> str:
        return "".join(f"\n  {line}" for line in self.log[-_LAST_LINES:])


def stop_when_told() -> None:
    """Take SIGTERM for an exit, so that what was started is stopped on the way out."""
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))


def without_server_settings() -> dict[str, str]:
    """The environment less what configures a server: defaults are what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODEL_MANAGER_", "OTEL_"))}


def _nameless_file() -> int:
    """A file that is gone when nobody has it open any more."""
    number, path = tempfile.mkstemp()
    os.unlink(path)
    return number
