"""What served within a time: the changes in order, who made them, and how many requests each version answered.

In the flow: reading → **history** → admin port, `model-manager history`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from model_manager.ledger.entries import Began, Default, Ended, Entry, Good, Lineage, Minute, Moved, Wanted
from model_manager.ledger.reading import Log, Segment

MOST_EVENTS: Final = 5000
_TOGETHER: Final = timedelta(seconds=120)
"""Processes that follow the same folder do the same within this time."""

What = Literal["began", "ended", "wanted", "in force", "default", "state"]


class Event(msgspec.Struct, omit_defaults=True):
    """One change, and by how many processes. `was`, `to`: a state, or the default. `models`: those that changed."""

    at: datetime
    what: What
    model: str | None = None
    version: str | None = None
    was: str | None = None
    to: str | None = None
    reason: str = ""
    sha256: str | None = None
    generation: str | None = None
    models: list[str] = []
    by: str | None = None
    changed_at: str | None = None
    commit: str | None = None
    host: str | None = None
    processes: int = 1


class Answered(msgspec.Struct):
    """How many requests one version answered, by HTTP status code, and between when and when, to the minute."""

    model: str
    version: str
    codes: dict[str, int]
    first: datetime
    last: datetime


class Origin(msgspec.Struct):
    """What the package of a version that was ready says of it."""

    model: str
    version: str
    sha256: str
    said: dict[str, Any]
    signed_by: str | None


class History(msgspec.Struct):
    """The answer. `left_off` counts the oldest events, of which there were too many; `unread`: lines, likewise."""

    begins: datetime
    since: datetime | None
    until: datetime | None
    processes: int
    events: list[Event]
    left_off: int
    answered: list[Answered]
    versions: list[Origin]
    unread: list[str]


def history_of(
    folder: Path,
    *,
    model: str | None = None,
    version: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> History:
    """Tell what happened, of one model or version or of all. Blocking. Raises LedgerUnreadable."""
    log = Log(folder)
    first, last = since or datetime.min.replace(tzinfo=UTC), until or datetime.max.replace(tzinfo=UTC)
    asked = _Asked(model, version, first, last)
    found: list[tuple[Event, str]] = []
    counts = _Counts()
    origins: dict[tuple[str, str, str], Origin] = {}
    processes = set()
    for process, segments in log.processes.items():
        for segment in segments:
            if not asked.covers(segment):
                continue
            processes.add(process)
            for entry in log.entries(segment):
                if isinstance(entry, Lineage) and asked.about(entry.model, entry.version) and entry.at <= last:
                    key = (entry.model, entry.version, entry.sha256)
                    origins[key] = Origin(*key, entry.said, entry.signed_by)
                elif isinstance(entry, Minute) and first <= entry.at and entry.since <= last:
                    counts.add(entry, asked)
                elif first <= entry.at <= last:
                    found += ((event, process) for event in _events(entry, segment, asked))
    events = _merged(found)
    left_off = max(0, len(events) - MOST_EVENTS)
    return History(
        log.begins,
        since,
        until,
        len(processes),
        events[left_off:],
        left_off,
        counts.all(),
        [origins[key] for key in sorted(origins)],
        log.unread,
    )


class _Asked:
    """What a question is about."""

    def __init__(self, model: str | None, version: str | None, first: datetime, last: datetime) -> None:
        self.model, self.version, self.first, self.last = model, version, first, last

    def about(self, model: str, version: str | None) -> bool:
        """Whether it is about this version, or this model where none is given."""
        return self.model in (None, model) and (version is None or self.version in (None, version))

    def covers(self, segment: Segment) -> bool:
        """Whether a file may tell of the time asked for."""
        return segment.began <= self.last and (segment.until is None or segment.until >= self.first)


class _Counts:
    """Sums what minutes counted."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Answered] = {}

    def add(self, minute: Minute, asked: _Asked) -> None:
        """Count what is asked for of a minute."""
        for model, versions in minute.answered.items():
            for version, codes in versions.items():
                if not asked.about(model, version):
                    continue
                one = self._found.setdefault(
                    (model, version), Answered(model, version, {}, first=minute.since, last=minute.at)
                )
                one.first, one.last = min(one.first, minute.since), max(one.last, minute.at)
                for code, count in codes.items():
                    one.codes[code] = one.codes.get(code, 0) + count

    def all(self) -> list[Answered]:
        """Give the sums by version."""
        return [self._found[key] for key in sorted(self._found)]


def _events(entry: Entry, segment: Segment, asked: _Asked) -> Iterator[Event]:
    """The event that an entry is, if it is one that was asked for."""
    if isinstance(entry, Began):
        if segment.path.name.endswith(".000001.jsonl"):
            yield Event(entry.at, "began", host=entry.host, reason=entry.server)
    elif isinstance(entry, Ended):
        yield Event(entry.at, "ended")
    elif isinstance(entry, Good):
        yield Event(entry.at, "in force", generation=entry.generation)
    elif isinstance(entry, Wanted):
        if not entry.restated and (asked.model is None or asked.model in entry.models):
            yield Event(
                entry.at,
                "wanted",
                generation=entry.generation,
                models=sorted(entry.models),
                by=entry.by,
                changed_at=entry.changed_at,
                commit=entry.commit,
                was="nothing" if entry.first else None,
            )
    elif isinstance(entry, Default):
        if not entry.restated and asked.about(entry.model, None):
            yield Event(entry.at, "default", model=entry.model, was=entry.was, to=entry.version)
    elif isinstance(entry, Moved) and not entry.restated and asked.about(entry.model, entry.version):
        yield Event(
            entry.at,
            "state",
            model=entry.model,
            version=entry.version,
            was=entry.was,
            to=entry.state,
            reason=entry.reason,
            sha256=entry.sha256,
        )


def _merged(found: list[tuple[Event, str]]) -> list[Event]:
    """Bring the events of all processes in order; what several did together is one, and no restart is a change."""
    events: list[Event] = []
    newest: dict[tuple[object, ...], tuple[Event, set[str]]] = {}
    generation: str | None = None
    for event, process in sorted(found, key=lambda one: one[0].at):
        if event.what == "wanted":
            restarted = event.was is not None and event.generation == generation
            event.was, generation = None, event.generation
            if restarted:
                continue
        key = (event.what, event.model, event.version, event.was, event.to, event.reason, event.generation, event.host)
        known = newest.get(key)
        if known is not None and process not in known[1] and event.at - known[0].at <= _TOGETHER:
            known[0].processes += 1
            known[1].add(process)
            continue
        newest[key] = (event, {process})
        events.append(event)
    return events
