"""What is remembered of the deaths of server processes, and which versions are kept out for them: the state folder.

In the flow: a start, or the supervisor when a worker has died → **quarantine** (journal → suspicion → files) → loader,
which refuses what is quarantined.

    journal-<worker>              what a process that runs does now (journal.py); removed by a stop that was asked for
    deaths.json                   the deaths that are not forgotten, and how many there were of each kind
    quarantined/<sha256>.json     one for each artifact that is kept out; whoever removes the file lets it in again
    lock                          held by the one server that keeps the folder

Only a start and the supervisor write here, workers read. A folder that cannot be written, or that holds what this
version of the server did not write, is complained of in the log, and the server goes on as if it were empty.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from model_manager.serving.journal import Suspect, read_journal
from model_manager.serving.suspicion import Death, guilty, not_to_be_compiled, on_probation, remembered

logger = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"
"""How a process ended that this one did not see end."""

_USUAL: Final = (UNKNOWN, "SIGKILL", "SIGSEGV", "SIGABRT", "frozen", "exit code 0", "exit code 1")
_LARGEST: Final = 1 << 20
_MOST_DEATHS: Final = 100


class Remembered(msgspec.Struct, forbid_unknown_fields=True):
    """The content of deaths.json. `ends` counts every end that nobody asked for, by how, and forgets none."""

    format: int = 1
    deaths: list[Death] = []
    ends: dict[str, int] = {}


class Condemned(msgspec.Struct):
    """The content of one file in quarantined/: who it is for, since when (Unix time), and what it did how often."""

    model: str
    version: str
    since: float
    deaths: int
    last: str

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"ended the server {self.deaths} times, the last time at {since}: {self.last}"


class Quarantine:
    """One state folder. Reading it takes no lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._quarantined = folder / "quarantined"
        self._file = folder / "deaths.json"
        self._remembered = self._read()

    @property
    def ends(self) -> dict[str, int]:
        """How many processes ended without being asked to, by how; the usual ways are there from the start."""
        return {**dict.fromkeys(_USUAL, 0), **self._remembered.ends}

    def journal(self, worker: int) -> Path:
        """Where a process keeps its journal; 0 is the only one, or the first worker."""
        return self.folder / f"journal-{worker}"

    def file_of(self, sha256: str) -> Path:
        """The file that keeps an artifact out."""
        return self._quarantined / f"{sha256}.json"

    def verdict(self, sha256: str) -> str | None:
        """Why an artifact is kept out, if it is; what its file says matters less than that it is there."""
        try:
            return str(msgspec.json.decode(_read_small(self.file_of(sha256)), type=Condemned))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            return "ended the server too often, but the file that says when cannot be read"

    def probation(self) -> dict[str, float]:
        """The artifacts that compute one at a time in a process that starts now, and until when (Unix time)."""
        return on_probation(self._remembered.deaths, time.time())

    def not_to_be_compiled(self) -> set[str]:
        """The artifacts that a process which starts now does not compile."""
        return not_to_be_compiled(self._remembered.deaths, time.time())

    def look_back(self) -> None:
        """Remember the death of the server that ran here before, if it left journals. Blocking; raises nothing."""
        left = self._journals()
        if left:
            self.died(left, UNKNOWN, "the server that ran here before")

    def forget_journals(self) -> None:
        """Remove the journals of processes that were killed in a stop. Blocking; raises nothing."""
        _suspects(self._journals())

    def died(self, journals: Iterable[Path], how: str, who: str) -> list[Suspect]:
        """Remember one death, whose journals these are; log whom they name, and give whom that puts in quarantine.

        `how` the process `who` ended. Blocking; raises nothing.
        """
        suspects = _suspects(journals)
        now = time.time()
        known = self._remembered
        known.ends[how] = known.ends.get(how, 0) + 1
        if suspects:
            known.deaths.append(Death(now, how, tuple(suspects)))
        logger.error("%s ended (%s) while it ran %s", who, how, ", ".join(map(str, suspects)) or "no model's code")
        condemned = self._condemn(guilty(known.deaths, now), now)
        known.deaths = remembered(known.deaths, now)[-_MOST_DEATHS:]
        self._write(self._file, known)
        return condemned

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob("journal-*"))

    def _condemn(self, found: dict[str, list[Death]], now: float) -> list[Suspect]:
        condemned = []
        for digest, deaths in found.items():
            who = next(suspect for suspect in deaths[-1].suspects if suspect.sha256 == digest)
            last = f"{deaths[-1].how} while {who.doing}"
            if self._write(self.file_of(digest), Condemned(who.model, who.version, now, len(deaths), last)):
                condemned.append(who)
                fields = {"model_name": who.model, "model_version": who.version}
                id, file = f"{who.model}/{who.version}", self.file_of(digest)
                logger.error("%s is quarantined; removing %s would let it in again", id, file, extra=fields)
        # Accounted for: whoever was suspected beside the guilty is cleared, and who is let in again starts anew.
        done = {who.sha256 for who in condemned}
        known = self._remembered
        known.deaths = [death for death in known.deaths if not death.digests & done]
        return condemned

    def _read(self) -> Remembered:
        try:
            known = msgspec.json.decode(_read_small(self._file), type=Remembered)
        except FileNotFoundError:
            return Remembered()
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used, so earlier deaths of the server are forgotten: %s", self._file, error)
            return Remembered()
        if known.format != 1:
            logger.warning("%s was written by another version of the server and is ignored", self._file)
            return Remembered()
        return known

    def _write(self, path: Path, content: msgspec.Struct) -> bool:
        unfinished = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(content)))
            unfinished.replace(path)
        except OSError as error:
            logger.error("%s cannot be written, so this will not be remembered: %s", path, error.strerror or error)
            return False
        return True


@contextmanager
def kept(folder: Path) -> Iterator[Quarantine | None]:
    """Keep a state folder while the body runs; None, with a line in the log, where that cannot be.

    The journals that an earlier server left in it are looked at first.

    Two servers cannot keep one folder: each would take the journals of the other for those of a dead one.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        logger.error("--state %s cannot be used, the server goes on without: %s", folder, error.strerror or error)
        yield None
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        logger.error("--state %s is kept by another server, this one goes on without", folder)
        os.close(lock)
        yield None
        return
    try:
        quarantine = Quarantine(folder)
        quarantine.look_back()
        yield quarantine
    finally:
        os.close(lock)


def _suspects(journals: Iterable[Path]) -> list[Suspect]:
    """Who is named in the journals, which are removed."""
    found: dict[Suspect, None] = {}
    for path in journals:
        found.update(dict.fromkeys(read_journal(path) or ()))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("%s cannot be removed: %s", path, error.strerror or error)
    return list(found)


def _read_small(path: Path) -> bytes:
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST} bytes")
    return content
