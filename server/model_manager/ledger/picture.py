"""How things stand after some entries: which versions are in which state, which answers by default, what is wanted.

In the flow: the writer keeps one of its own process, to restate it at the beginning of each file; a query makes one of
each process, up to the moment it asks for. Pure.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from model_manager.ledger.entries import Default, Ended, Entry, Lineage, Moved, Wanted, WantedVersions

_FAILED, _GONE, _READY = "failed", "gone", "ready"


class Picture:
    """Applies entries, the oldest first. `ended_at`: when the process stopped, if it did."""

    def __init__(self) -> None:
        self.wanted: Wanted | None = None
        self.defaults: dict[str, Default] = {}
        self.lineage: dict[tuple[str, str], Lineage] = {}
        self.ended_at: datetime | None = None
        self._loads: dict[tuple[str, str], dict[int, Moved]] = {}

    def apply(self, entry: Entry) -> None:
        """Take an entry in."""
        if isinstance(entry, Moved):
            self._move(entry)
        elif isinstance(entry, Default):
            self.defaults[entry.model] = entry
        elif isinstance(entry, Wanted):
            self.wanted = entry if entry.restated else replace(entry, models=self._all_wanted(entry.models))
        elif isinstance(entry, Lineage):
            self.lineage[entry.model, entry.version] = entry
        elif isinstance(entry, Ended):
            self.ended_at = entry.at

    def _move(self, moved: Moved) -> None:
        id = (moved.model, moved.version)
        loads = self._loads.setdefault(id, {})
        if moved.load not in loads:  # another load takes the place of one that failed
            for number in [number for number, one in loads.items() if one.state == _FAILED]:
                del loads[number]
        loads[moved.load] = moved
        if moved.state == _GONE:
            del loads[moved.load]
        if not loads:
            del self._loads[id]
            self.lineage.pop(id, None)

    def _all_wanted(self, changed: dict[str, WantedVersions | None]) -> dict[str, WantedVersions | None]:
        before = self.wanted.models if self.wanted is not None else {}
        return {name: model for name, model in {**before, **changed}.items() if model is not None}

    def versions(self) -> Iterator[Moved]:
        """Give the last move of every version that is there: of the load that is ready, if one is, else the newest."""
        for loads in self._loads.values():
            newest = list(loads.values())
            yield next((one for one in reversed(newest) if one.state == _READY), newest[-1])

    def restated(self) -> Iterator[Entry]:
        """Give the entries that say how things stand, for the beginning of a file."""
        if self.wanted is not None:
            yield replace(self.wanted, restated=True)
        for loads in self._loads.values():
            for moved in loads.values():
                yield replace(moved, restated=True)
        for default in self.defaults.values():
            if default.version is not None:
                yield replace(default, restated=True)
        for lineage in self.lineage.values():
            yield replace(lineage, restated=True)
