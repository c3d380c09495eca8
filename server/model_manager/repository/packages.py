"""The metadata that lies beside an artifact: found, read, and asked for the digest it declares."""

import hashlib
import logging
import os
from typing import Final

from model_manager.errors import LoadFailed
from model_manager.repository.metadata import parse_metadata

ARTIFACT = "model.joblib"
METADATA = "metadata.json"
READABLE: Final = (".joblib", ".pickle", ".pkl", ".sav")
"""How files are called that joblib and pickle write; the only one in a folder is an artifact whatever its name."""
_OF_OTHERS: Final = (".cbm", ".cloudpickle", ".dill", ".h5", ".onnx", ".pmml", ".pt", ".skops", ".ubj")
_MOST_REMEMBERED: Final = 100_000  # of every package there ever was; a server that sees more starts over
_declared: dict[bytes, str | None] = {}

logger = logging.getLogger(__name__)


def metadata_path(artifact: str) -> str:
    """Say where the metadata of an artifact lies.

    `metadata.json` beside `model.joblib`; `iris-1.metadata.json` beside `iris-1.joblib`, for the flat keys of a
    ConfigMap.
    """
    folder, file = os.path.split(artifact)
    return os.path.join(folder, METADATA if file == ARTIFACT else f"{os.path.splitext(file)[0]}.{METADATA}")


def artifact_name(folder: str) -> str | None:
    """Name the artifact in a folder: model.joblib, or the only file that is called as joblib and pickle call theirs.

    model.joblib as well where there are several, or only models of other libraries: the loader tells what it found.
    None where there is no model, or only the beginning of a copy.
    """
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return ARTIFACT  # it may well be there: loading will say why it cannot be read, and what serves stays
    readable = [name for name in names if name.lower().endswith(READABLE)]
    if ARTIFACT not in readable and len(readable) != 1:
        others = any(name.lower().endswith(_OF_OTHERS) for name in names)
        return ARTIFACT if readable or others else None
    chosen = ARTIFACT if ARTIFACT in readable else readable[0]
    try:
        os.stat(os.path.join(folder, chosen))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass
    return chosen


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


def declared_sha256(metadata: bytes | None) -> str | None:
    """Give the digest that metadata declares for its artifact; None when it says none or is invalid (loading tells)."""
    if metadata is None:
        return None
    key = hashlib.sha256(metadata).digest()  # every poll asks for every package, and some metadata is large
    if key not in _declared:
        if len(_declared) >= _MOST_REMEMBERED:
            _declared.clear()
        _declared[key] = _read_declared(metadata)
    return _declared[key]


def _read_declared(metadata: bytes) -> str | None:
    try:
        artifact = parse_metadata(metadata).artifact
    except LoadFailed:
        return None
    return artifact.sha256 if artifact is not None else None
