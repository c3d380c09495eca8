"""The ledger of one process: taken on the event loop, written by one thread, which alone waits for disks.

In the flow: chronicle → **writing** (bounded queue ⇒ one thread: text, append, fsync) → files. A disk that is full or
read-only costs entries, which are counted and told of once, and nothing else; when it takes lines again, a new file
says first how things stand.
"""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from time import sleep
from typing import Final

from model_manager.ledger.entries import Began, Entry, encode
from model_manager.ledger.files import Appending, delete_the_oldest, process_name
from model_manager.ledger.last_good import GoodState, LastGood, read_last_good, write_last_good
from model_manager.ledger.picture import Picture
from model_manager.settings import Settings
from model_manager.version import __version__

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 50_000
"""What may wait to be written; beyond, entries are dropped."""

_AT_ONCE: Final = 1000
_BETWEEN: Final = 50  # encoded before other threads get the interpreter
_LARGEST_FILE: Final = 1024 * 1024
_FILES: Final = 8  # of the largest size, at least, in what all of them may take
_DAY_S: Final = 86_400.0


class Ledger:
    """Takes entries and writes them below `folder`. `most_bytes`, `most_age_s`: of all files there.

    `gather_s`: how long entries gather once one is there. `written` and `dropped` count entries.
    """

    def __init__(self, folder: Path, *, most_bytes: int, most_age_s: float, gather_s: float = 0.1) -> None:
        self.folder = folder
        self.process = process_name()
        self.written = 0
        self._refused = 0  # the loop's
        self._lost = 0  # the thread's
        self._most_bytes = most_bytes
        self._most_age_s = most_age_s
        self._gather_s = gather_s
        self._queue: SimpleQueue[Entry | Sequence[GoodState] | None] = SimpleQueue()  # None ends the thread
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._closing = threading.Event()
        self._picture = Picture()
        self._file: Appending | None = None
        self._number = 0
        self._good: Sequence[GoodState] | None = None  # what is to be kept and was not yet
        self._failing = False
        self._dropped_before = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> "Ledger | None":
        """Make the ledger that settings ask for; None when they ask for none. Starts nothing."""
        folder = settings.ledger_folder
        if folder is None:
            return None
        return cls(folder, most_bytes=settings.ledger_mb * 2**20, most_age_s=settings.ledger_days * _DAY_S)

    def last_good(self) -> LastGood:
        """Read which states an earlier process found good. Blocking."""
        return read_last_good(self.folder)

    @property
    def dropped(self) -> int:
        """Entries that were not written, and are lost."""
        return self._refused + self._lost

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def note(self, entry: Entry) -> None:
        """Have an entry written: never blocks, never raises. Call it on one thread only."""
        if self._queue.qsize() >= MOST_WAITING:
            self._refused += 1
        else:
            self._queue.put(entry)

    def keep(self, states: Sequence[GoodState]) -> None:
        """Have the good states written, for the next process."""
        self._queue.put(states)

    def close(self, timeout_s: float) -> None:
        """Write what waits, for at most `timeout_s`, and end. Blocks that long."""
        self._closing.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        """Wait for an entry, let more gather, write all that are there; until closed."""
        over = False
        while not over:
            waiting = [self._queue.get()]
            self._closing.wait(self._gather_s)
            while len(waiting) < _AT_ONCE:
                try:
                    waiting.append(self._queue.get_nowait())
                except Empty:
                    break
            over = None in waiting
            entries = [one for one in waiting if one is not None and not isinstance(one, Sequence)]
            good = [one for one in waiting if isinstance(one, Sequence)]
            self._good = good[-1] if good else self._good
            try:
                self._write(entries)
            except Exception:  # our own bug, which must not end the thread
                self._lost += len(entries)
                logger.exception("entries of the ledger were not written, which should not happen")
        if self._file is not None:
            self._file.close()

    def _write(self, entries: Sequence[Entry]) -> None:
        try:
            if entries:
                self._append(entries)
            if self._good is not None:
                write_last_good(self.folder, self._good)
                self._good = None
        except OSError as error:
            if self._file is not None:  # it may end within a line
                self._file.close()
                self._file = None
            if not self._failing:
                self._dropped_before = self.dropped
            self._lost += len(entries)
            self._tell(f"{self.folder}: {error.strerror or error}")
        else:
            self.written += len(entries)
            self._tell("")
        for entry in entries:
            self._picture.apply(entry)

    def _append(self, entries: Sequence[Entry]) -> None:
        if self._file is not None and self._file.is_full:
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = self._begin(min(entry.at for entry in entries))
        self._file.append(_text(entries))

    def _begin(self, at: datetime) -> Appending:
        """Open the next file, with how things stand at a moment, and make room for it."""
        began = Began(at=at, process=self.process, host=socket.gethostname(), pid=os.getpid(), server=__version__)
        head = _text([began, *self._picture.restated()])
        self._number += 1
        largest = min(_LARGEST_FILE, self._most_bytes // _FILES)
        file = Appending(self.folder, self.process, self._number, head, largest)
        delete_the_oldest(self.folder, most_bytes=self._most_bytes, most_age_s=self._most_age_s, but=file.path)
        return file

    def _tell(self, problem: str) -> None:
        """Log the beginning and the end of an outage."""
        if problem and not self._failing:
            logger.warning("the ledger cannot be written, and what served when is not noted: %s", problem)
        elif self._failing and not problem:
            logger.info("the ledger is written again; %d entries were lost", self.dropped - self._dropped_before)
        self._failing = bool(problem)


def _text(entries: Sequence[Entry]) -> bytes:
    lines = []
    for number, entry in enumerate(entries):
        lines.append(encode(entry))
        if number % _BETWEEN == 0:
            sleep(0)
    return b"\n".join(lines) + b"\n"
