"""The last wanted states that were in force, with their manifests: what a rollback returns to.

A state counts from the moment in which every version that it wants is ready and nothing else is left, and no longer
once a version fails while it is wanted.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from model_manager.ledger.files import FILE_MODE, make_folder

_FILE: Final = "last-good.json"
_KEPT: Final = 3  # a manifest has four megabytes at the most


class GoodState(msgspec.Struct, frozen=True):
    """A wanted state that was in force since `at`. `manifest`: the text of models.yaml, None where there is none."""

    generation: str
    at: datetime
    manifest: str | None


class LastGood:
    """The good states of one process, the newest first. Immutable values in one list: read it on any thread."""

    def __init__(self, states: Sequence[GoodState] = ()) -> None:
        self.states = list(states)

    def is_good(self, state: GoodState) -> bool:
        """Note that a state is in force; whether that is news."""
        if self.states and self.states[0].generation == state.generation:
            return False
        others = [one for one in self.states if one.generation != state.generation]
        self.states = [state, *others][:_KEPT]
        return True

    def is_not_good(self, generation: str) -> bool:
        """Note that a version failed while this was wanted; whether that is news."""
        others = [one for one in self.states if one.generation != generation]
        news = len(others) < len(self.states)
        self.states = others
        return news


def read_last_good(folder: Path) -> LastGood:
    """Read what an earlier process kept; nothing where it kept none that can be read. Blocking."""
    try:
        return LastGood(msgspec.json.decode((folder / _FILE).read_bytes(), type=list[GoodState]))
    except (OSError, msgspec.DecodeError):
        return LastGood()


def write_last_good(folder: Path, states: Sequence[GoodState]) -> None:
    """Keep the states for the next process: whole or not at all. Blocking. Raises OSError."""
    make_folder(folder)
    beside = folder / f".{_FILE}.{os.getpid()}"
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with open(number, "wb") as file:
        file.write(msgspec.json.encode(states))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(folder / _FILE)
