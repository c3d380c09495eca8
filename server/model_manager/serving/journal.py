"""Which versions a process runs the code of right now, written where it outlives the process that dies of it.

In the flow: loader and batcher → **journal** → quarantine, which reads what a dead process left behind.

A journal is one file, mapped into memory. To begin and to end a call of a model is a byte stored each: no system call,
no lock. What was stored survives any death of the process, since the kernel holds the page, but not one of the machine:
nothing is forced to the disk. The file has a header, a byte for every slot (what the slot's version does now) and a
row for every slot (the digest, model and version that it stands for). A row is written before its byte is first set and
is not changed while the byte is, so a process cannot die at a moment in which a byte names the wrong version.

A stop that was asked for removes the file, so a file that is found means that a process ended by something else.
Whatever a reader finds in it that this module did not write names nobody.
"""

import logging
import mmap
import os
import re
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal, ParamSpec, TypeAlias, TypeVar

import msgspec

from model_manager.repository.wanted import NAME_PATTERN
from model_manager.serving.batch import Predict, Results
from model_manager.signature import Rows

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

Doing: TypeAlias = Literal["predicting", "loading", "compiling"]

_DOING: Final[tuple[Doing, ...]] = ("predicting", "loading", "compiling")
_IDLE: Final = 0
_PREDICTING: Final = 1
_PATIENCE_S: Final = 10.0
_SLOTS: Final = 4096
_ROW: Final = 384  # a digest, two names of at most 128 letters, and what separates them
_MAGIC: Final = b"model-manager journal 1\n"
_BYTES_AT: Final = 64
_ROWS_AT: Final = _BYTES_AT + _SLOTS + 64  # the byte after the last slot's is written to by whoever found none free
_SIZE: Final = _ROWS_AT + _SLOTS * _ROW
_KNOWN: Final = re.compile(rf"([0-9a-f]{{64}})\0({NAME_PATTERN})\0({NAME_PATTERN})\0*", re.ASCII)


class Suspect(msgspec.Struct, frozen=True):
    """A version whose code ran when a process ended, by the digest of its artifact, and what that code was to do."""

    sha256: str
    model: str
    version: str
    doing: Doing

    def __str__(self) -> str:
        return f"{self.model}/{self.version} ({self.doing})"


class Journal:
    """The journal of this process. `path` is replaced. Raises OSError where there is no room for it.

    A child that is forked from this process shares the file, and must not use it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with suppress(FileNotFoundError):
            path.unlink()  # never written over: a reader may have it open
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # all of it at once: a full disk would otherwise end the process at the moment a byte is stored
            os.posix_fallocate(number, 0, _SIZE)
            self.file = mmap.mmap(number, _SIZE)
        except OSError:
            path.unlink()
            raise
        finally:
            self._inode = os.fstat(number).st_ino
            os.close(number)
        self.file[: len(_MAGIC)] = _MAGIC
        self._free = deque(range(_SLOTS))
        self._full = False

    def take(self, sha256: str, model: str, version: str) -> int:
        """Give a version a slot, from any thread. Where all are taken it is one that nobody reads."""
        try:
            slot = self._free.popleft()
        except IndexError:
            if not self._full:
                self._full = True
                logger.warning(
                    "the journal has no slot for %s/%s: should it end the server, nobody will know", model, version
                )
            return _SLOTS
        row, start = f"{sha256}\0{model}\0{version}".encode(), _ROWS_AT + slot * _ROW
        self.file[start : start + _ROW] = row.ljust(_ROW, b"\0")
        return slot

    def give_back(self, slot: int) -> None:
        """Let another version have a slot."""
        self.file[_BYTES_AT + slot] = _IDLE
        if slot < _SLOTS:
            self._free.append(slot)

    def end(self) -> None:
        """Remove the file: from now on whatever happens was asked for. What still runs may go on noting itself."""
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:  # and not that of the process which took this one's place
                self._path.unlink()


class Turns:
    """Lets those who share it compute one at a time, so that a death has one name.

    Whoever waited for `_PATIENCE_S` goes on beside the other: a model that hangs must not hold up its fellows for ever.
    """

    def __init__(self) -> None:
        self._lock = Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the others off while the body runs, in any thread but that of the event loop."""
        held = self._lock.acquire(timeout=_PATIENCE_S)
        try:
            yield
        finally:
            if held:
                self._lock.release()


class Noted:
    """One version in the journal of this process; without a journal nothing is noted, at no cost.

    `turns`: whose turns it takes while it is on probation. `until`: when that ends (Unix time). `never_compiled`: why
    no faster form of it is looked for, if none is.
    """

    def __init__(
        self,
        journal: Journal | None,
        name: tuple[str, str, str],
        *,
        turns: Turns | None = None,
        until: float = 0.0,
        never_compiled: str = "",
    ) -> None:
        self._journal = journal
        self._name = name
        self.turns = turns
        self.until = until
        self.never_compiled = never_compiled

    def run(self, doing: Doing, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Call what runs the version's code, noted from begin to end. For any thread but that of the event loop."""
        journal = self._journal
        if journal is None:
            return call(*arguments, **options)
        slot = journal.take(*self._name)
        try:
            with self.turns.turn() if self.turns is not None else nullcontext():
                journal.file[_BYTES_AT + slot] = _DOING.index(doing) + 1
                return call(*arguments, **options)
        finally:
            journal.give_back(slot)

    def predict(self, predict: Predict) -> Predict:
        """The same predictor, noted while it computes, one call at a time; its slot is given back with it."""
        journal = self._journal
        if journal is None:
            return predict
        slot, file = journal.take(*self._name), journal.file
        place = _BYTES_AT + slot

        def noted(rows: Rows, outputs: tuple[str, ...]) -> Results:
            file[place] = _PREDICTING
            try:
                return predict(rows, outputs)
            finally:
                file[place] = _IDLE

        weakref.finalize(noted, journal.give_back, slot).atexit = False
        return noted if self.turns is None else _in_turn(noted, self.turns)


def _in_turn(predict: Predict, turns: Turns) -> Predict:
    def alone(rows: Rows, outputs: tuple[str, ...]) -> Results:
        with turns.turn():
            return predict(rows, outputs)

    return alone


def read_journal(path: Path) -> list[Suspect] | None:
    """Name the versions whose code ran when the process that kept this journal ended; None if there is no journal.

    One that cannot be read, or that this module did not write, names nobody, and the log says so.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_SIZE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s cannot be read, so nobody knows what ended the server: %s", path, error.strerror or error)
        return []
    if len(content) != _SIZE or not content.startswith(_MAGIC):
        logger.warning("%s is not a journal of this version of the server, and is ignored", path)
        return []
    suspects = (
        _suspect(content[_ROWS_AT + slot * _ROW : _ROWS_AT + (slot + 1) * _ROW], content[_BYTES_AT + slot])
        for slot in range(_SLOTS)
        if content[_BYTES_AT + slot] != _IDLE
    )
    return list(dict.fromkeys(suspect for suspect in suspects if suspect is not None))


def _suspect(row: bytes, doing: int) -> Suspect | None:
    known = _KNOWN.fullmatch(row.decode("latin-1"))
    if known is None or not 0 < doing <= len(_DOING):
        return None
    sha256, model, version = known.groups()
    return Suspect(sha256, model, version, _DOING[doing - 1])
