"""What model code prints becomes lines of the log, at a bounded rate: the server's output stays one that is a log.

In the flow: `print` of a model, to standard output or standard error → **printing** → logging. Lines that C code, or
`os.write`, puts there go there unseen.
"""

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

logger: Final = logging.getLogger("model_manager.printed")

LINES_A_SECOND: Final = 10.0
_AT_ONCE: Final = 50.0
_LONGEST: Final = 500


class _Here(threading.local):
    """Whether this thread is telling the log: what a handler prints, when it fails, must not come back."""

    telling = False


_here: Final = _Here()


class Printed(io.TextIOBase):
    """Takes the place of a standard stream; `original` is told what logging itself prints."""

    def __init__(self, name: str, original: Any) -> None:
        self._name = name
        self._original = original
        self._lock = threading.RLock()  # a model's own finalizer may print while this allocates
        self._part = ""
        self._allowed = _AT_ONCE
        self._asked = monotonic()
        self._left_out = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]  # it is an attribute of others
        """That of the stream whose place it takes."""
        return str(getattr(self._original, "encoding", None) or "utf-8")

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream whose place it takes, for what writes without Python."""
        return int(self._original.fileno())

    def flush(self) -> None:
        """Nothing waits but lines that are not whole."""

    def close(self) -> None:
        """It stays open: others print as well."""

    def write(self, text: str) -> int:
        """Log the lines that are whole with this."""
        if _here.telling:
            return int(self._original.write(text))
        with self._lock:
            *lines, rest = (self._part + text).split("\n")
            self._part = rest[:_LONGEST]
            told = [line for line in lines if line.strip() and self._may_tell()]
            left_out, self._left_out = (self._left_out, 0) if told else (0, self._left_out)
        _here.telling = True
        try:
            for line in told:
                fields = {"stream": self._name, **({"lines_left_out_before": left_out} if left_out else {})}
                logger.info("%s", line[:_LONGEST], extra=fields)
                left_out = 0
        finally:
            _here.telling = False
        return len(text)

    def _may_tell(self) -> bool:
        now = monotonic()
        self._allowed = min(_AT_ONCE, self._allowed + (now - self._asked) * LINES_A_SECOND)
        self._asked = now
        if self._allowed < 1:
            self._left_out += 1
            return False
        self._allowed -= 1
        return True


@contextmanager
def printed_into_the_log() -> Iterator[None]:
    """Log what is printed to standard output and error while the body runs."""
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    before = {name: getattr(sys, name) for name in names}
    for name in ("stdout", "stderr"):
        printed = Printed(name, before[name])
        setattr(sys, name, printed)
        setattr(sys, f"__{name}__", printed)
    try:
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)
