"""The metadata that lies beside an artifact: found, read, and asked for the digest it declares."""

import functools
import logging
import os

from model_manager.errors import LoadFailed
from model_manager.repository.metadata import parse_metadata

ARTIFACT = "model.joblib"
METADATA = "metadata.json"


logger = logging.getLogger(__name__)


def metadata_path(artifact: str) -> str:
    """Say where the metadata of an artifact lies.

    `metadata.json` beside `model.joblib`; `iris-1.metadata.json` beside `iris-1.joblib`, for the flat keys of a
    ConfigMap.
    """
    folder, file = os.path.split(artifact)
    return os.path.join(folder, METADATA if file == ARTIFACT else f"{os.path.splitext(file)[0]}.{METADATA}")


def read_metadata(path: str) -> bytes | None:
    """Read metadata as it is; None when there is none.

    When it is there and cannot be read it comes back empty, which no loader accepts: serving without the checks that it
    asks for would be worse than not serving this version.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        logger.warning("%s cannot be read: %s", path, error.strerror)
        return b""


@functools.lru_cache(maxsize=256)
def declared_sha256(metadata: bytes | None) -> str | None:
    """Give the digest that metadata declares for its artifact; None when it says none or is invalid (loading tells)."""
    if metadata is None:
        return None
    try:
        artifact = parse_metadata(metadata).artifact
    except LoadFailed:
        return None
    return artifact.sha256 if artifact is not None else None
