"""Ledgers that tests write: entries at times they choose, and a ledger that is closed after the body."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from model_manager.ledger.entries import Began, Default, Entry, Lineage, Minute, Moved, Wanted, WantedVersions, encode
from model_manager.ledger.writing import Ledger

DIGESTS = {version: version * 64 for version in "1234"}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon of 2 November 2026."""
    return NOON + timedelta(seconds=seconds)


def began(process: str, seconds: float = 0.0) -> Began:
    return Began(at=at(seconds), process=process, host=process.partition("-")[0], pid=1, server="0.1.0")


def moved(version: str, state: str, seconds: float, *, was: str | None = "proving", **other: Any) -> Moved:
    said: dict[str, Any] = {"model": "iris", "load": int(version), "sha256": DIGESTS[version]}
    return Moved(at=at(seconds), version=version, was=was, state=state, **said | other)


def default(version: str | None, seconds: float, was: str | None = None, model: str = "iris") -> Default:
    return Default(at=at(seconds), model=model, version=version, was=was)


def wanted(version: str, seconds: float, **other: Any) -> Wanted:
    """A manifest in which this version is the default."""
    models: dict[str, WantedVersions | None] = {"iris": WantedVersions(version, {version: DIGESTS[version]})}
    said: dict[str, Any] = {"generation": "abc"[int(version) - 1] * 64, "form": "manifest", "models": models}
    return Wanted(at=at(seconds), **said | other)


def lineage(version: str, seconds: float, signed_by: str | None = None) -> Lineage:
    said = {
        "created": "2026-11-01T09:00:00Z",
        "data": {"uri": f"iris-{version}.csv", "sha256": "d" * 64, "rows": 150, "columns": 5},
        "evaluation": {"dataset": "hold-out", "rows": 38, "metrics": {"accuracy": 0.974}},
    }
    return Lineage(
        at=at(seconds), model="iris", version=version, sha256=DIGESTS[version], said=said, signed_by=signed_by
    )


def minute(since: float, until: float, **answered: int) -> Minute:
    """What version `v1`, `v2`, … of iris answered with 200."""
    counts = {name.removeprefix("v"): {"200": count} for name, count in answered.items()}
    return Minute(at=at(until), since=at(since), answered={"iris": counts} if counts else {})


def put(folder: Path, process: str, *entries: Entry, number: int = 1, torn: bytes = b"") -> Path:
    """Write one file of a ledger as a process would have; `torn`: what it had of the next line when it died."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{process}.{number:06d}.jsonl"
    path.write_bytes(b"".join(encode(entry) + b"\n" for entry in entries) + torn)
    return path


@contextmanager
def ledger(folder: Path, *, most_bytes: int = 2**20, most_age_s: float = 1e9) -> Iterator[Ledger]:
    """A ledger that was started, and is closed with time enough."""
    made = Ledger(folder, most_bytes=most_bytes, most_age_s=most_age_s, gather_s=0.0)
    made.start()
    try:
        yield made
    finally:
        made.close(30)
