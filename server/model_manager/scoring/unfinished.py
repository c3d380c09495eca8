"""What a run has written so far, beside the file that it is to become: a run that was killed goes on there.

Place in the flow: every piece that is answered is handed over here, in order. `OUT.part` holds what is written and
`OUT.part.json` how much of it counts, replaced whole after every piece: what follows is cut off.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from model_manager.errors import TableRefused
from model_manager.scoring.sources import Source


@dataclass(slots=True)
class Progress:
    """How many rows are done, and how many of these were refused."""

    rows: int = 0
    refused: int = 0


class Unfinished:
    """The file of a run that is under way. `progress` is what was done before, `resumed` whether that is anything."""

    def __init__(self, out: Path, part: BinaryIO, said: Mapping[str, Any] | None) -> None:
        self._out, self._part = out, part
        self._notes = _beside(out, ".part.json")
        self.progress = Progress(said["rows"], said["refused"]) if said is not None else Progress()
        self.resumed = self.progress.rows
        part.seek(said["bytes"] if said is not None else 0)
        part.truncate()

    def add(self, content: bytes, progress: Progress, of: Mapping[str, Any]) -> None:
        """Keep a piece: first its bytes, then that they count."""
        self._part.write(content)
        self._part.flush()
        os.fsync(self._part.fileno())
        self.progress = progress
        said = {"rows": progress.rows, "refused": progress.refused, "bytes": self._part.tell(), "of": dict(of)}
        new = _beside(self._out, ".part.json.new")
        new.write_text(json.dumps(said), encoding="utf-8")
        new.replace(self._notes)

    def finish(self, source: Source) -> None:
        """Make the file of it, in place of one of that name."""
        whole = _beside(self._out, ".part.new")
        self._part.seek(0)
        with whole.open("wb") as file:
            source.finish(self._part, file)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(self._out)
        self._notes.unlink(missing_ok=True)
        _beside(self._out, ".part").unlink(missing_ok=True)


@contextmanager
def unfinished(out: Path, of: Mapping[str, Any]) -> Iterator[Unfinished]:
    """Begin to write a file, or go on; `of` is all that decides its content.

    Raises TableRefused where it cannot be written, another run writes it, or what is there is of something else.
    """
    path = _beside(out, ".part")
    try:
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b"))
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TableRefused(f"{out}: another run is writing it") from None
            yield Unfinished(out, part, _said(out, of))
    except OSError as error:
        raise TableRefused(f"{out}: it cannot be written: {error.strerror}") from error


def _said(out: Path, of: Mapping[str, Any]) -> Mapping[str, Any] | None:
    notes = _beside(out, ".part.json")
    try:
        said: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    other = [name for name in of if said["of"].get(name) != of[name]]
    if other:
        was, now = said["of"].get(other[0]), of[other[0]]
        told = f"{notes.name} is of a run with another {other[0]} ({was!r}, now {now!r})"
        raise TableRefused(f"{out}: {told}; delete it to begin again")
    return said if said["rows"] else None  # a head alone is written anew


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)
