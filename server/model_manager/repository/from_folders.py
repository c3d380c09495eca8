"""The models folder as a repository: every `<model>/<version>/` that holds an artifact is wanted.

Place in the flow: called by source for a folder without a manifest. Publishing is a rename, so a name that begins with
a dot, or a version without its artifact, is one that is still being copied.
"""

import logging
import os
import re
from collections.abc import Iterator

from model_manager.repository.digests import Digests
from model_manager.repository.generation import Generation
from model_manager.repository.packages import ARTIFACT, METADATA, declared_sha256, read_metadata
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

logger = logging.getLogger(__name__)


def read_repository_form(generation: Generation, digests: Digests, warned: set[str]) -> WantedState:
    """Read every model folder; `warned` remembers which odd names were logged already.

    Raises OSError when the folder, or that of one model, cannot be listed: an unknown part may not be taken for an
    omitted one.
    """
    models: dict[str, WantedModel] = {}
    for name in _named_folders(generation.real, warned):
        versions = {
            version.id.version: version
            for each in _named_folders(os.path.join(generation.real, name), warned)
            if (version := _version(generation, ServableId(name, each), digests)) is not None
        }
        if versions:
            models[name] = WantedModel(name, max(versions, key=version_order), versions)
    return WantedState(models)


def _version(generation: Generation, id: ServableId, digests: Digests) -> WantedVersion | None:
    folder = os.path.join(generation.real, id.model, id.version)
    artifact = os.path.join(folder, ARTIFACT)
    try:
        os.stat(artifact)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it may well be there: loading will say why it cannot be read, and what serves stays
    metadata = read_metadata(os.path.join(folder, METADATA))
    return WantedVersion(
        id=id,
        location=os.path.join(generation.stable, id.model, id.version, ARTIFACT),
        sha256=declared_sha256(metadata),
        digest=digests.of(artifact),
        metadata=metadata,
        batching=Batching(),
        timeout_ms=None,
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
