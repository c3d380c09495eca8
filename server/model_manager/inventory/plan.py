"""What a change of the models folder would do: which versions load, are replaced, are unloaded, who answers. Pure.

In the flow: `plan` → source reads the folder as a server does, running_server or another folder says what is there now
→ **here**. The rules are those of `repository/lifecycle.py`, told ahead.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from model_manager.errors import LoadFailed
from model_manager.inventory.running_server import Row
from model_manager.repository.lifecycle import choose_default
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.metadata import parse_metadata
from model_manager.repository.wanted import WantedModel, WantedState, WantedVersion, version_order

Action = Literal["load", "replace", "unload", "forget", "fail", "keep"]

ACTIONS: Final[tuple[Action, ...]] = ("unload", "replace", "load", "fail", "forget", "keep")
"""In the order of how much they matter."""


class Served(msgspec.Struct, frozen=True):
    """One version as it is now. `answers`: it is, or will soon be, ready. `fingerprint`: where all of it is known."""

    sha256: str | None
    answers: bool
    fingerprint: str | None = None
    reason: str = ""


class ServedModel(msgspec.Struct, frozen=True):
    """One model as it is now: its versions, and the one that answers when a request names none."""

    default: str | None
    versions: Mapping[str, Served]


class Step(msgspec.Struct, frozen=True):
    """What would happen to one version, and why. "fail": it would not load; "forget": it does not serve now."""

    model: str
    version: str
    action: Action
    why: str


class NewDefault(msgspec.Struct, frozen=True):
    """The version that answers requests that name none: before and after; None where none does."""

    model: str
    before: str | None
    after: str | None


class Plan(msgspec.Struct, frozen=True):
    """All that would happen. `notes`: what cannot be told from here."""

    steps: tuple[Step, ...]
    defaults: tuple[NewDefault, ...]
    notes: tuple[str, ...] = ()

    def steps_that(self, *actions: Action) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.action in actions]

    @property
    def exit_code(self) -> int:
        """2: something would be unloaded; 1: something would not load; 0: neither."""
        return 2 if self.steps_that("unload") else 1 if self.steps_that("fail") else 0

    def document(self) -> dict[str, Any]:
        """The plan for machines."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def served_by(rows: Iterable[Row]) -> dict[str, ServedModel]:
    """Read the index of a running server as what is there now."""
    versions: dict[str, dict[str, Served]] = {}
    defaults: dict[str, str] = {}
    for row in rows:
        if "ignored" in row.parameters or row.state == "UNLOADING":
            continue
        answers = row.state in ("READY", "LOADING")
        known = Served(row.parameters.get("sha256"), answers, reason=row.reason)
        versions.setdefault(row.name, {})[row.version] = known
        if "default" in row.parameters:
            defaults[row.name] = row.version
    return {name: ServedModel(defaults.get(name), known) for name, known in versions.items()}


def served_from(state: WantedState) -> dict[str, ServedModel]:
    """Take all that a folder wants for what is there now, if it would load."""
    return {
        name: ServedModel(
            choose_default(model, _ready(model), None),
            {
                version: Served(_bytes_of(one), not problem_of(one), one.fingerprint)
                for version, one in model.versions.items()
            },
        )
        for name, model in state.models.items()
    }


def plan(before: Mapping[str, ServedModel], after: WantedState) -> Plan:
    """Say what a server that serves `before` would do once it read `after` from its models folder."""
    steps: list[Step] = []
    defaults: list[NewDefault] = []
    for name in sorted({*before, *after.models}):
        there, wanted = before.get(name, ServedModel(None, {})), after.models.get(name)
        own = _steps(name, there, wanted)
        steps += own
        default = choose_default(wanted, _answering(there, own), there.default)
        if default != there.default:
            defaults.append(NewDefault(name, there.default, default))
    return Plan(tuple(steps), tuple(defaults), tuple(_notes(after)))


def _steps(model: str, there: ServedModel, wanted: WantedModel | None) -> list[Step]:
    named = wanted.versions if wanted is not None else {}
    steps = [_step(one, there.versions.get(version)) for version, one in named.items()]
    ready = _answering(there, steps)
    for version, served in there.versions.items():
        if version not in named:
            steps.append(Step(model, version, *_omitted(served, wanted, ready)))
    return sorted(steps, key=lambda step: version_order(step.version))


def _step(wanted: WantedVersion, served: Served | None) -> Step:
    problem = problem_of(wanted)
    if problem:
        stays = "; what serves stays" if served is not None and served.answers else ""
        return Step(*wanted.id, "fail", problem + stays)
    if served is None:
        return Step(*wanted.id, "load", "it is new")
    if not served.answers:
        return Step(*wanted.id, "load", f"it does not serve now: {served.reason}".removesuffix(": "))
    if served.sha256 is not None and _bytes_of(wanted) not in (None, served.sha256):
        return Step(
            *wanted.id, "replace", f"other bytes: {served.sha256[:12]} now, {(_bytes_of(wanted) or '')[:12]} then"
        )
    if served.fingerprint not in (None, wanted.fingerprint):
        return Step(*wanted.id, "replace", "the same bytes with other metadata or options")
    return Step(*wanted.id, "keep", "nothing changes")


def _omitted(served: Served, wanted: WantedModel | None, ready: Sequence[str]) -> tuple[Action, str]:
    if not served.answers:
        return "forget", "it is no longer wanted, and does not serve now"
    if wanted is None:
        return "unload", "its model is no longer wanted"
    if not ready:
        return "keep", "it is no longer wanted, but no other version of the model would be ready in its place"
    return "unload", f"it is no longer wanted, once {max(ready, key=version_order)} is ready"


def _answering(there: ServedModel, steps: Sequence[Step]) -> list[str]:
    """The versions that would be ready in the end."""
    failing = [step.version for step in steps if step.action == "fail"]
    kept = [name for name in failing if name in there.versions and there.versions[name].answers]
    return [*kept, *(step.version for step in steps if step.action in ("load", "replace", "keep"))]


def _ready(model: WantedModel) -> list[str]:
    return [version for version, one in model.versions.items() if not problem_of(one)]


def _bytes_of(wanted: WantedVersion) -> str | None:
    return wanted.digest or wanted.sha256


def problem_of(wanted: WantedVersion) -> str:
    """Why a version would not load, as far as its files tell; empty where nothing speaks against it."""
    if wanted.metadata_problem:
        return f"metadata_invalid: {wanted.metadata_problem}"
    try:
        if wanted.metadata is not None:
            parse_metadata(wanted.metadata)
    except LoadFailed as error:
        return f"{error.reason}: {error}"
    if wanted.sha256 is not None and wanted.digest not in (None, wanted.sha256):
        return f"digest_mismatch: sha256 {wanted.sha256[:12]}… is declared, the file has {(wanted.digest or '')[:12]}…"
    if wanted.digest is None and scheme_of(wanted.location) is None and _folder_is_here(wanted.location):
        return f"missing: {wanted.location} is not there, or cannot be read"
    return ""


def _folder_is_here(location: str) -> bool:
    """Whether what is missing would be there: a volume that only the server mounts has no folder here."""
    return os.path.isdir(os.path.dirname(location))


def _notes(after: WantedState) -> Iterable[str]:
    for one in after.ignored:
        yield f"ignored {one.path}: {one.why}"
    for model in after.models.values():
        for version in model.versions.values():
            if version.digest is None and scheme_of(version.location) is None and not problem_of(version):
                yield f"{version.id}: {without_credentials(version.location)} is not on this machine, to be checked"
