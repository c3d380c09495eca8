"""Files of a ledger → entries. The last line of one may be torn, by a crash or because it is being written: it waits.

In the flow: files → **reading** → moment, history. Blocking; other threads get the interpreter in between, because the
server itself answers queries.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Final, NamedTuple

import msgspec

from model_manager.errors import LedgerUnreadable
from model_manager.ledger.entries import Began, Entry, decode
from model_manager.ledger.files import LedgerFile, files_of

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 200  # lines decoded before other threads have their turn: about a millisecond


class Segment(NamedTuple):
    """One file: from when on it tells, and until when; None where the process wrote no later one."""

    began: datetime
    until: datetime | None
    path: Path


class Log:
    """All files in a folder, by process. `unread` names the lines that say nothing this version of us knows.

    Raises LedgerUnreadable where there are none, with what to look for.
    """

    def __init__(self, folder: Path) -> None:
        self.unread: list[str] = []
        try:
            files = files_of(folder)
        except OSError as error:
            raise LedgerUnreadable(f"{folder}: {error.strerror}; name the folder that --ledger names") from None
        began: dict[str, list[tuple[datetime, Path]]] = {}
        for file in files:
            time = _beginning(file)
            if time is not None:
                began.setdefault(file.process, []).append((time, file.path))
        self.processes = {process: _segments(ones) for process, ones in began.items()}
        if not self.processes:
            raise LedgerUnreadable(f"{folder} holds no ledger: there is no file of a server, <process>.000001.jsonl")

    @property
    def begins(self) -> datetime:
        """The moment before which nothing is known."""
        return min(segments[0].began for segments in self.processes.values())

    def entries(self, segment: Segment) -> Iterator[Entry]:
        """Give the entries of a file, the first of which says whose it is."""
        try:
            lines = segment.path.read_bytes().split(b"\n")
        except FileNotFoundError:  # deleted meanwhile: it was the oldest
            return
        except OSError as error:
            raise LedgerUnreadable(f"{segment.path}: {error.strerror}") from None
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end is no whole line
            if number % _AT_ONCE == 0:
                sleep(0)
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                self.unread.append(f"{segment.path}:{number}: {error}")


def _beginning(file: LedgerFile) -> datetime | None:
    """From when on a file tells; None where not even its first line is there yet."""
    try:
        with open(file.path, "rb") as opened:
            first = opened.readline()
        began = decode(first) if first.endswith(b"\n") else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerUnreadable(f"{file.path}: {error.strerror}") from None
    except msgspec.DecodeError:
        logger.warning("%s is no file of a ledger that this version of us knows, and is ignored", file.path)
        return None
    return began.at if isinstance(began, Began) else None


def _segments(began: Sequence[tuple[datetime, Path]]) -> list[Segment]:
    later: list[datetime | None] = [time for time, _ in began[1:]]
    return [Segment(time, until, path) for (time, path), until in zip(began, [*later, None], strict=True)]
