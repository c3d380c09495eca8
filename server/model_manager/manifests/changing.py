"""Which version of a model answers by default: promote one, or return to the one before.

Place in the flow: `model-manager promote` and `rollback` → **changing** → editing (the text). Both write down in the
manifest which version answered before, so that the way back needs nothing but the manifest.
"""

import difflib
from dataclasses import dataclass
from typing import Any, Final

from model_manager.errors import ChangeRefused, GatesFailed
from model_manager.manifests.editing import with_default
from model_manager.manifests.gates import Gates, gates_of
from model_manager.manifests.holding import Holder
from model_manager.manifests.traffic_editing import set_traffic
from model_manager.repository.location import local_path
from model_manager.repository.manifest import ModelEntry, VersionEntry, parse_manifest
from model_manager.repository.packages import metadata_path
from model_manager.repository.wanted import version_order

_ALL: Final = 100  # percent


@dataclass(frozen=True, slots=True)
class Change:
    """A manifest and what it becomes. `before` and `after` are the versions of one model that answer by default.

    `shared`: the model's traffic was split, and all of it goes to one version now.
    """

    old: bytes
    new: bytes
    model: str
    before: str
    after: str
    gates: Gates
    shared: bool = False


def promote(held: Holder, model: str, version: str, *, force: bool, name: str) -> Change:
    """Make a listed version the default of its model, with all of its traffic, and the default of now the previous one.

    Raises ManifestInvalid for a manifest that no server would accept, ChangeRefused for a model or a version that it
    does not list, and GatesFailed for one that did not pass its gates, unless it is forced.
    """
    return _change(held, model, _entry(held.manifest, model, name), version, force=force, name=name)


def roll_back(held: Holder, model: str, to: str | None, *, force: bool, name: str) -> Change:
    """Make the previous default, or another listed version, the default again; twice leads back to where one was.

    Raises as promote does, and ChangeRefused where no previous default is recorded and none is given.
    """
    entry = _entry(held.manifest, model, name)
    version = to if to is not None else entry.previous
    if version is None:
        raise ChangeRefused(
            f"{name}: no previous default of {model} is recorded (promote does that); name the version to return to: "
            f"--to {_others(entry)}"
        )
    return _change(held, model, entry, version, force=force, name=name)


def told(change: Change) -> dict[str, Any]:
    """Say what a change is, as plain data."""
    return {
        "model": change.model,
        "default": change.after,
        "before": change.before,
        "gates": {"passed": list(change.gates.passed), "failed": list(change.gates.failed)},
    }


def in_words(change: Change) -> str:
    """Say what a change is, in a line."""
    if change.new == change.old:
        return f"{change.model}: {change.after} answers by default already"
    was = f"before: {change.before}" if change.before != change.after else "before, as the newest"
    traffic = ", and gets all of the traffic" if change.shared else ""
    return f"{change.model}: {change.after} answers by default now{traffic} ({was}); {change.gates}"


def diff(old: bytes, new: bytes, name: str) -> str:
    """Show what changes, as a unified diff; empty when nothing does."""
    before, after = (text.decode(errors="replace").splitlines() for text in (old, new))
    return "\n".join(difflib.unified_diff(before, after, name, name, lineterm=""))


def _entry(manifest: bytes, model: str, name: str) -> ModelEntry:
    models = parse_manifest(manifest, name).models
    if model not in models:
        raise ChangeRefused(f"{name} has no model {model!r}; it lists {', '.join(sorted(models)) or 'none'}")
    return models[model]


def _change(held: Holder, model: str, entry: ModelEntry, version: str, *, force: bool, name: str) -> Change:
    if version not in entry.versions:
        listed = ", ".join(sorted(entry.versions, key=version_order))
        raise ChangeRefused(f"{name} lists no version {version!r} of {model}; it lists {listed}: add the version first")
    before, manifest = entry.default_version, held.manifest
    gates = gates_of(_metadata(held, entry.versions[version]))
    shared = entry.traffic is not None and entry.traffic.get(version) != _ALL
    if version == entry.default and not shared:
        return Change(manifest, manifest, model, before, version, gates)
    if gates.failed and not force:
        raise GatesFailed(f"{model}/{version} {gates}; --force makes it the default nevertheless")
    keys = {"default": version} | ({"previous": before} if before != version else {})
    new = with_default(manifest, model, keys, name) if version != entry.default else manifest
    if shared:  # traffic goes before the default: without this nothing would change
        new = set_traffic(new.decode(), model, {version: _ALL}, name).encode()
    return Change(manifest, new, model, before, version, gates, shared=shared)


def _metadata(held: Holder, entry: VersionEntry) -> bytes | None:
    if entry.metadata_json is not None:
        return entry.metadata_json
    path = local_path(entry.artifact)
    return held.beside(metadata_path(path)) if path is not None else None


def _others(entry: ModelEntry) -> str:
    others = [one for one in entry.versions if one != entry.default_version]
    return " or --to ".join(sorted(others, key=version_order)) or entry.default_version
