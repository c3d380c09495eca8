"""The files of a ledger: a series for each process, each file bounded, the oldest of all of them deleted at last.

In the flow: writing → **files**; reading finds them by their names. Blocking.

    <process>.<number>.jsonl      written by one process alone, so that nobody waits for a lock
    last-good.json                the last wanted states that were in force (last_good.py)

A folder may be shared by several processes and by several pods. Whoever opens a file deletes what is too much, whosever
it is; a process whose file is gone begins another one.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final, NamedTuple

FILE_MODE: Final = 0o640  # reasons quote what models say: not for everybody
_FOLDER_MODE: Final = 0o750
_MOST_FILES: Final = 2000
_NAME: Final = re.compile(r"(?P<process>.+)\.(?P<number>\d{6,})\.jsonl")


class LedgerFile(NamedTuple):
    """One file of a process; numbers count up."""

    process: str
    number: int
    path: Path


def process_name() -> str:
    """Name this process as no other is named in any pod: host, process id, and when it began."""
    began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', socket.gethostname())}-{os.getpid()}-{began}"


def files_of(folder: Path) -> list[LedgerFile]:
    """List the files of a ledger by process, each in order. Raises OSError."""
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))
    return sorted(LedgerFile(one["process"], int(one["number"]), folder / one.string) for one in found if one)


def make_folder(folder: Path) -> None:
    """Make the folder of a ledger where it is not there. Raises OSError."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


class Appending:
    """One file that is being written. Raises OSError where it cannot be made or its head not be written.

    `head` is written first, and is not counted in `is_full`.
    """

    def __init__(self, folder: Path, process: str, number: int, head: bytes, most_bytes: int) -> None:
        make_folder(folder)
        self.path = folder / f"{process}.{number:06d}.jsonl"
        self._left = most_bytes
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, FILE_MODE)
        try:
            self._write(head)
        except OSError:
            self.close()
            with suppress(OSError):
                self.path.unlink()
            raise

    @property
    def is_full(self) -> bool:
        """Whether the next lines belong into another file: it is as large as it may be, or somebody deleted it."""
        return self._left <= 0 or os.fstat(self._fd).st_nlink == 0

    def append(self, lines: bytes) -> None:
        """Write whole lines and have them on the disk. Raises OSError; the file may then end within a line."""
        self._write(lines)
        self._left -= len(lines)

    def _write(self, text: bytes) -> None:
        written = 0
        while written < len(text):
            written += os.write(self._fd, memoryview(text)[written:])
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def delete_the_oldest(folder: Path, *, most_bytes: int, most_age_s: float, but: Path) -> None:
    """Delete files until the others, of all processes, are no more and no older than they may be. Raises OSError."""
    known = sorted(_with_times(folder), reverse=True)
    total = 0
    for position, (changed, size, path) in enumerate(known):
        total += size
        too_much = total > most_bytes or position >= _MOST_FILES or time() - changed > most_age_s
        if too_much and path != but:
            path.unlink(missing_ok=True)


def _with_times(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for file in files_of(folder):
        with suppress(FileNotFoundError):  # another process deletes as well
            known = file.path.stat()
            yield known.st_mtime, known.st_size, file.path
