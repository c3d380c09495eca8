"""The wanted state: immutable values that say which versions of which models should serve, with which bytes."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from model_manager.repository.changed_by import ChangedBy

NAME_PATTERN = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
"""Names of models and versions: safe in a URL, a file name and a metric label; never starting with a dot."""


class Ignored(NamedTuple):
    """What is passed over in a repository: the names under which it lies, its path, why, and what to do.

    `version` is empty for what lies in no folder of a version.
    """

    model: str
    version: str
    path: str
    why: str


class ServableId(NamedTuple):
    """A model's name and one of its versions."""

    model: str
    version: str

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which "10" comes after "9" and "2026-11-02.2" after "2026-11-02.1": digits compare as numbers.

    A total order: "1" and "01" are equal as numbers and are told apart by their text.
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    numbered = ((1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts)
    return (*numbered, (-1, 0, version))


@dataclass(frozen=True, slots=True)
class Batching:
    """How one model's requests are gathered. Rows are counted, not requests; delay is in milliseconds."""

    max_rows: int = 256
    max_queue_rows: int = 4096
    max_delay_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class WantedVersion:
    """One version that should serve.

    `location` is an absolute path or a URI. The same bytes may move and a path may come to mean other bytes, so it is
    no part of the identity. `sha256` is the declared digest, checked before unpickling. `digest` is that of the bytes
    found (or the declared one where they are remote); None when there are none. `metadata` is JSON; `metadata_problem`
    says why it cannot be read, if so. `timeout_ms` and `compile` (whether faster forms are looked for) are None where
    they are left to the server's settings. `isolated`: it predicts in a process of its own.
    """

    id: ServableId
    location: str = field(compare=False)
    sha256: str | None
    digest: str | None
    metadata: bytes | None
    batching: Batching
    timeout_ms: float | None
    compile: bool | None = None
    metadata_problem: str = ""
    isolated: bool = False
    fingerprint: str = field(init=False, compare=False, repr=False)
    """Identity of this incarnation: whatever else is wanted of the version makes another, loaded beside it."""

    def __post_init__(self) -> None:
        # Taken once, on the thread that reads the folder: convergence compares fingerprints often, on the event loop.
        described = (self.metadata, self.metadata_problem)
        parts = (self.sha256, self.digest, described, self.batching, self.timeout_ms, self.compile, self.isolated)
        object.__setattr__(self, "fingerprint", hashlib.sha256(repr(parts).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class WantedModel:
    """One model: its versions, and what answers when a request names none.

    That is `default`, or, where `traffic` deals them out, each version for its percent of these requests. `sticky` is
    the header, in lower case, by whose value they are dealt; empty where chance does. `shadow` is the version that gets
    copies of them, if one does. `labels` are names by which versions may be asked for, too. None of this is part of a
    version's identity.
    """

    name: str
    default: str
    versions: Mapping[str, WantedVersion]
    traffic: Mapping[str, int] = field(default_factory=dict)
    sticky: str = ""
    shadow: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What declared a wanted state. `generation`: the SHA-256 of `manifest`, or of all that the folder wants.

    `manifest`: the text of models.yaml, None for a repository. `changed_by`: who made it so, where that is said.
    """

    generation: str = ""
    manifest: bytes | None = field(default=None, repr=False)
    changed_by: ChangedBy | None = None


@dataclass(frozen=True, slots=True)
class WantedState:
    """Everything one server should serve, and what declared it.

    `ignored`: what lies there and is no version of it, though it may be meant as one.
    """

    models: Mapping[str, WantedModel]
    ignored: tuple[Ignored, ...] = ()
    declared: Declaration = field(default=Declaration(), compare=False)

    @property
    def by_manifest(self) -> bool:
        """Whether a manifest says so, and not the folders of a repository."""
        return self.declared.manifest is not None


def generation_of(models: Mapping[str, WantedModel]) -> str:
    """Give the SHA-256 of what is wanted: the same for the same versions, bytes and options."""
    digest = hashlib.sha256()
    for name in sorted(models):
        model = models[name]
        versions = sorted((version, one.fingerprint) for version, one in model.versions.items())
        digest.update(repr((name, model.default, versions)).encode())
    return digest.hexdigest()


def changed_models(before: WantedState | None, after: WantedState) -> list[str]:
    """Name the models that are wanted in another way than before: new ones, other ones, those that were omitted."""
    known = before.models if before is not None else {}
    return [name for name in {**known, **after.models} if known.get(name) != after.models.get(name)]
