"""The models folder as a repository: every `<model>/<version>/` that holds an artifact is wanted.

Place in the flow: called by source for a folder without a manifest. Publishing is a rename, so a name that begins with
a dot, or a version without its artifact, is one that is still being copied; an artifact elsewhere, or under a name that
no artifact has, is ignored, and told of.
"""

import os
import re
from typing import Final

from model_manager.repository.digests import Digests
from model_manager.repository.generation import Generation
from model_manager.repository.ignored import holds_artifact, may_be_meant, why_no_version
from model_manager.repository.packages import ARTIFACT, METADATA, artifact_name, declared_sha256, read_metadata
from model_manager.repository.regular_files import Files
from model_manager.repository.wanted import (
    NAME_PATTERN,
    Batching,
    Ignored,
    ServableId,
    WantedModel,
    WantedState,
    WantedVersion,
    version_order,
)

_NAME = re.compile(NAME_PATTERN)
ONLY_VERSION: Final = "1"
"""The version of a model whose artifact lies in the model's own folder, with no version beside it."""
_A_VERSION: Final = f"<model>/<version>/{ARTIFACT}"
_MOST_IGNORED: Final = 100


def read_repository_form(generation: Generation, files: Files, digests: Digests) -> WantedState:
    """Read every model folder, and what lies between them that may be meant as a version.

    Raises OSError when the folder, or that of one model, cannot be listed: an unknown part may not be taken for an
    omitted one.
    """
    models: dict[str, WantedModel] = {}
    ignored: list[Ignored] = []
    for name in _visible(generation.real):
        folder = os.path.join(generation.real, name)
        if not os.path.isdir(folder):
            if may_be_meant(name):
                ignored.append(_ignored(generation, name, "", f"put it at {_A_VERSION}, or name it in models.yaml"))
        elif not _NAME.fullmatch(name):
            ignored += _ill_named(generation, name, "")
        else:
            versions = _versions(generation, name, files, digests, ignored)
            if versions:
                models[name] = WantedModel(name, max(versions, key=version_order), versions)
    return WantedState(models, ignored=tuple(ignored[:_MOST_IGNORED]))


def _versions(
    generation: Generation, model: str, files: Files, digests: Digests, ignored: list[Ignored]
) -> dict[str, WantedVersion]:
    """Read the folder of a model; what is no version there is added to `ignored`."""
    folder = os.path.join(generation.real, model)
    versions: dict[str, WantedVersion] = {}
    stray: list[str] = []
    for name in _visible(folder):
        place = os.path.join(folder, name)
        if not os.path.isdir(place):
            stray += [name] if may_be_meant(name) else []
            continue
        if not _NAME.fullmatch(name):
            ignored += _ill_named(generation, model, name)
            continue
        version = _version(generation, ServableId(model, name), os.path.join(model, name), files, digests)
        if version is not None:
            versions[name] = version
        elif why := why_no_version(place):
            ignored.append(_ignored(generation, model, name, why))
    alone = _version(generation, ServableId(model, ONLY_VERSION), model, files, digests)
    if alone is not None and not versions:
        return {ONLY_VERSION: alone}
    for name in stray:
        if os.path.isfile(os.path.join(folder, name)):  # and no link to what is gone
            ignored.append(_ignored(generation, model, "", "put it into a folder named after its version", name))
    return versions


def _ill_named(generation: Generation, model: str, version: str) -> list[Ignored]:
    if not holds_artifact(os.path.join(generation.real, model, version)):
        return []  # such as lost+found
    why = "a model or version is named with letters, digits, '-', '_' and '.' (at most 128)"
    return [_ignored(generation, model, version, why)]


def _ignored(generation: Generation, model: str, version: str, why: str, file: str = "") -> Ignored:
    place = os.path.join(*filter(None, (generation.stable, model, version, file)))
    return Ignored(model, version, place, why)


def _visible(folder: str) -> list[str]:
    return [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]


def _version(
    generation: Generation, id: ServableId, place: str, files: Files, digests: Digests
) -> WantedVersion | None:
    """The version whose artifact lies in the folder `place`, relative to the repository; None where none does."""
    folder = os.path.join(generation.real, place)
    artifact = artifact_name(folder)
    if artifact is None:
        return None
    metadata, problem = read_metadata(os.path.join(folder, METADATA), files)
    return WantedVersion(
        id=id,
        location=os.path.join(generation.stable, place, artifact),
        sha256=declared_sha256(metadata),
        digest=digests.of(os.path.join(folder, artifact), files),
        metadata=metadata,
        batching=Batching(),
        timeout_ms=None,
        metadata_problem=problem,
    )
