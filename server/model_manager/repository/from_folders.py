"""The models folder as a repository: every `<model>/<version>/` that holds an artifact is wanted.

Place in the flow: called by source for a folder without a manifest. Publishing is a rename, so a name that begins with
a dot, or a version without its artifact, is one that is still being copied.
"""

import logging
import os
import re
from collections.abc import Iterator
from typing import Final

from model_manager.repository.digests import Digests
from model_manager.repository.generation import Generation
from model_manager.repository.packages import METADATA, artifact_name, declared_sha256, read_metadata
from model_manager.repository.regular_files import Files
from model_manager.repository.wanted import (
    NAME_PATTERN,
    Batching,
    ServableId,
    WantedModel,
    WantedState,
    WantedVersion,
    version_order,
)

_NAME = re.compile(NAME_PATTERN)
ONLY_VERSION: Final = "1"
"""The version of a model whose artifact lies in the model's own folder, with no version beside it."""

logger = logging.getLogger(__name__)


def read_repository_form(generation: Generation, files: Files, digests: Digests, warned: set[str]) -> WantedState:
    """Read every model folder; `warned` remembers which odd names were logged already.

    Raises OSError when the folder, or that of one model, cannot be listed: an unknown part may not be taken for an
    omitted one.
    """
    models: dict[str, WantedModel] = {}
    for name in _named_folders(generation.real, warned):
        folders = list(_named_folders(os.path.join(generation.real, name), warned))
        found = [
            _version(generation, ServableId(name, each), os.path.join(name, each), files, digests) for each in folders
        ]
        versions = {version.id.version: version for version in found if version is not None}
        alone = _version(generation, ServableId(name, ONLY_VERSION), name, files, digests)
        if alone is not None and not versions:
            versions[ONLY_VERSION] = alone
        elif alone is not None and alone.location not in warned:
            warned.add(alone.location)
            logger.warning("ignored %s: put it into a folder named after its version", alone.location)
        if versions:
            models[name] = WantedModel(name, max(versions, key=version_order), versions)
    return WantedState(models)


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


def _named_folders(folder: str, warned: set[str]) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(".") or not os.path.isdir(path):
            continue
        if _NAME.fullmatch(name):
            yield name
        elif path not in warned:
            warned.add(path)
            logger.warning(
                "ignored %s: a model or version is named with letters, digits, '-', '_' and '.' (at most 128)", path
            )
