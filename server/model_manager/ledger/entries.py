"""The lines of the ledger: what can be noted of a server, one struct a kind, and JSON text to and from them.

An entry says what changed, and the moments at which nothing is said of a thing are those at which it stayed as it was.
Every file therefore begins with how things stand (`restated`), so that it is understood without those before it.
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec


def now() -> datetime:
    """This moment, as entries carry it: UTC."""
    return datetime.now(UTC)


class _Entry(msgspec.Struct, tag_field="kind", omit_defaults=True, kw_only=True):
    at: datetime
    """When it happened; of what is restated, when it had happened."""


class Began(_Entry, tag="began"):
    """The first line of every file: whose it is. `process` is the same in all files of one process."""

    process: str
    host: str
    pid: int
    server: str


class WantedVersions(msgspec.Struct, omit_defaults=True, frozen=True):
    """What is wanted of one model: its default, and its versions with the digest of each, where it is known."""

    default: str
    versions: dict[str, str | None]


class Wanted(_Entry, tag="wanted"):
    """Another state is wanted. `generation`: the SHA-256 of models.yaml, or of what the folder holds.

    `models`: those that are wanted in another way than before, None for one that is no longer; where it is restated,
    all. `by`, `changed_at` and `commit`: what changed-by.json says of the change. `first`: the process had read no
    other state before.
    """

    generation: str
    form: Literal["manifest", "folder"]
    models: dict[str, WantedVersions | None]
    by: str | None = None
    changed_at: str | None = None
    commit: str | None = None
    first: bool = False
    restated: bool = False


class Moved(_Entry, tag="moved"):
    """A version changed its state. `load` tells apart the loads of a version in one process; `was` is None at first."""

    model: str
    version: str
    load: int
    sha256: str | None
    was: str | None
    state: str
    reason: str = ""
    restated: bool = False


class Default(_Entry, tag="default"):
    """Another version answers requests that name none; None: no version does."""

    model: str
    version: str | None
    was: str | None
    restated: bool = False


class Lineage(_Entry, tag="lineage"):
    """Where a version that became ready comes from, as its metadata says: made when, of what, how good, signed by."""

    model: str
    version: str
    sha256: str
    said: dict[str, Any]
    signed_by: str | None = None
    restated: bool = False


class Minute(_Entry, tag="minute"):
    """The process lives, and answered so many requests since `since`: by model, version and HTTP status code."""

    since: datetime
    answered: dict[str, dict[str, dict[str, int]]]


class Good(_Entry, tag="good"):
    """The wanted state is in force: every version that it wants is ready, and nothing else is left."""

    generation: str


class Ended(_Entry, tag="ended"):
    """The process stopped, as it was asked to."""


Entry: TypeAlias = Began | Wanted | Moved | Default | Lineage | Minute | Good | Ended

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Entry).decode
