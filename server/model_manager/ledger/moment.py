"""What served at one moment: which version answered, trained on what, approved by whom.

In the flow: reading → **moment** → admin port, `model-manager history --at`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from model_manager.ledger.entries import Minute, Wanted
from model_manager.ledger.picture import Picture
from model_manager.ledger.reading import Log, Segment

_SILENT: Final = timedelta(seconds=150)
"""A process that has said nothing for longer than this is gone: while it lives it does every minute."""


class WantedThen(msgspec.Struct, omit_defaults=True):
    """What was wanted: since when, by whom; `processes` that had read this state."""

    generation: str
    form: str
    since: datetime
    by: str | None
    changed_at: str | None
    commit: str | None
    processes: int = 1


class VersionThen(msgspec.Struct):
    """One version: its state, and how many requests it answered within that minute, by code.

    `default` counts the processes in which it answered requests that named none. `said`: what its package says of it.
    """

    model: str
    version: str
    state: str
    reason: str
    since: datetime
    sha256: str | None
    processes: int = 0
    default: int = 0
    default_since: datetime | None = None
    answered: dict[str, int] = {}
    said: dict[str, Any] | None = None
    signed_by: str | None = None


class Moment(msgspec.Struct):
    """The answer. `known` is False where the ledger does not reach so far; `problem` says that, or that nobody served.

    `begins`: from when on it knows. `processes`: servers that ran, `counted` of which have noted already how many
    requests they answered in that minute. `wanted` has several where they
    differed. `unread`: lines that could not be read.
    """

    at: datetime
    known: bool
    problem: str
    begins: datetime
    processes: int
    counted: int
    wanted: list[WantedThen]
    versions: list[VersionThen]
    unread: list[str]


class _Then(msgspec.Struct):
    """One process at the moment: how things stood, and what it answered within the minute."""

    picture: Picture
    answered: dict[str, dict[str, dict[str, int]]] | None


def moment_of(folder: Path, at: datetime, *, model: str | None = None, version: str | None = None) -> Moment:
    """Say what served at a moment, of one model or version or of all. Blocking. Raises LedgerUnreadable."""
    log = Log(folder)
    begins, known, problem = log.begins, True, ""
    running: list[_Then] = []
    if at < begins:
        known, problem = False, f"the ledger knows from {_shown(begins)} on"
    elif at > datetime.now(UTC):
        known, problem = False, f"{_shown(at)} is yet to come"
    else:
        running = [then for segments in log.processes.values() if (then := _then(log, segments, at)) is not None]
        if not running:
            problem = "no server that keeps this ledger was running then"
    versions = _versions(running, model, version)
    counted = sum(then.answered is not None for then in running)
    if running and not versions and model is not None:
        problem = f"no version {f'{version} ' if version is not None else ''}of {model} was there then"
    return Moment(at, known, problem, begins, len(running), counted, _wanted(running), versions, log.unread)


def _shown(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def _then(log: Log, segments: list[Segment], at: datetime) -> _Then | None:
    """Give how things stood in one process; None where it did not run."""
    begun = [position for position, segment in enumerate(segments) if segment.began <= at]
    if not begun:
        return None
    picture, heard = Picture(), segments[begun[-1]].began
    answered: dict[str, dict[str, dict[str, int]]] | None = None
    current = segments[begun[-1]]
    for segment in segments[begun[-1] :]:
        if segment.began - at > _SILENT:  # the minute asked for ends in none of these
            break
        for entry in log.entries(segment):
            heard = max(heard, entry.at)
            if isinstance(entry, Minute) and entry.since <= at < entry.at:
                answered = entry.answered
            elif entry.at <= at and segment is current:
                picture.apply(entry)
    fell_silent = current.until is None and at - heard > _SILENT  # one that wrote later lived, whatever its disk did
    if picture.ended_at is not None or fell_silent:
        return None
    return _Then(picture, answered)


def _wanted(running: list[_Then]) -> list[WantedThen]:
    found: dict[str, WantedThen] = {}
    wanted = [then.picture.wanted for then in running if then.picture.wanted is not None]
    for one in sorted(wanted, key=lambda one: one.at):
        if one.generation in found:
            found[one.generation].processes += 1
        else:
            found[one.generation] = _as_wanted(one)
    return list(found.values())


def _as_wanted(one: Wanted) -> WantedThen:
    return WantedThen(one.generation, one.form, one.at, one.by, one.changed_at, one.commit)


def _versions(running: list[_Then], model: str | None, version: str | None) -> list[VersionThen]:
    found: dict[tuple[str, str, str], VersionThen] = {}
    for then in running:
        for moved in then.picture.versions():
            if model not in (None, moved.model) or version not in (None, moved.version):
                continue
            key = (moved.model, moved.version, moved.state)
            one = found.get(key)
            if one is None:
                one = found[key] = VersionThen(
                    *key, reason=moved.reason, since=moved.at, sha256=moved.sha256, answered={}
                )
            _add(one, then)
    return [found[key] for key in sorted(found)]


def _add(version: VersionThen, then: _Then) -> None:
    """Count one process in which a version was in this state."""
    name = (version.model, version.version)
    version.processes += 1
    default, lineage = then.picture.defaults.get(version.model), then.picture.lineage.get(name)
    if default is not None and default.version == version.version and version.state != "failed":
        version.default += 1
        version.default_since = min(default.at, version.default_since or default.at)
    for code, count in (then.answered or {}).get(version.model, {}).get(version.version, {}).items():
        version.answered[code] = version.answered.get(code, 0) + count
    if lineage is not None:
        version.said, version.signed_by = lineage.said, lineage.signed_by
