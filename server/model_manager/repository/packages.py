"""What lies in a package: which file is the artifact and of which format, and the metadata beside it."""

import hashlib
import logging
import os
from typing import Final, Literal, NamedTuple

from model_manager.errors import LoadFailed
from model_manager.repository.metadata import parse_metadata
from model_manager.repository.regular_files import Files, Limit

Format = Literal["joblib", "skops", "onnx"]
"""What an artifact is written as. Told by its name, and never guessed from its bytes: a pickle is read as a pickle only
where the name says so."""

ARTIFACT = "model.joblib"
METADATA = "metadata.json"
READABLE: Final = (".joblib", ".pickle", ".pkl", ".sav", ".skops", ".onnx")
"""How artifacts are called; the only such file in a folder is the artifact whatever its name."""
_FORMATS: Final[dict[str, Format]] = {".skops": "skops", ".onnx": "onnx"}
_OF_OTHERS: Final = (".cbm", ".cloudpickle", ".dill", ".h5", ".pmml", ".pt", ".ubj")
_CALLED_MODEL: Final = ("model.joblib", "model.skops", "model.onnx")
ARTIFACT_LIMIT: Final = Limit(4096 * 2**20, "have the operator raise --max-artifact-mb")
METADATA_LIMIT: Final = Limit(16 * 2**20, "leave large tables out of it")
_MOST_REMEMBERED: Final = 100_000  # of every package there ever was; a server that sees more starts over
_declared: dict[bytes, str | None] = {}

logger = logging.getLogger(__name__)


class Described(NamedTuple):
    """Metadata as it is, None when there is none; and why it cannot be read, if so."""

    metadata: bytes | None
    problem: str = ""


def format_of(location: str) -> Format:
    """Tell the format of an artifact by its name; joblib where the name says nothing."""
    return _FORMATS.get(os.path.splitext(location.partition("?")[0])[1].lower(), "joblib")


def is_readable(name: str) -> bool:
    """Whether a file is called as artifacts are."""
    return name.lower().endswith(READABLE)


def metadata_path(artifact: str) -> str:
    """Say where the metadata of an artifact lies.

    `metadata.json` beside `model.joblib`; `iris-1.metadata.json` beside `iris-1.joblib`, for the flat keys of a
    ConfigMap.
    """
    folder, file = os.path.split(artifact)
    return os.path.join(folder, METADATA if file in _CALLED_MODEL else f"{os.path.splitext(file)[0]}.{METADATA}")


def artifact_name(folder: str) -> str | None:
    """Name the artifact in a folder: model.joblib, or the only file that is called as artifacts are.

    model.joblib as well where there are several, or only models of other libraries: the loader tells what it found.
    None where there is no model, or only the beginning of a copy.
    """
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return ARTIFACT  # it may well be there: loading will say why it cannot be read, and what serves stays
    readable = [name for name in names if is_readable(name)]
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


def read_metadata(path: str, files: Files) -> Described:
    """Read metadata as it is.

    When it is there and cannot be read it comes back empty, with the problem, and no loader accepts it: serving without
    the checks that it asks for would be worse than not serving this version.
    """
    try:
        return Described(files.read(path, METADATA_LIMIT))
    except (FileNotFoundError, NotADirectoryError):
        return Described(None)
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
    except LoadFailed as error:
        problem = str(error)
    logger.warning("%s", problem)
    return Described(b"", problem)


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
