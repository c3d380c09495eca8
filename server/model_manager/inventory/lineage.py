"""The versions of a repository in the order in which they were made, and where each comes from, as metadata.json says.

In the flow: `history` of a repository → **here**. Nobody is asked what serves: a repository does not know.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from model_manager.errors import PackageRefused
from model_manager.repository.packages import METADATA, METADATA_LIMIT, artifact_name
from model_manager.repository.references import Reference
from model_manager.repository.signed_files import signature_path
from model_manager.repository.wanted import version_order

_MOST: Final = METADATA_LIMIT.bytes


class Made(msgspec.Struct):
    """One version. `data` and `evaluation` are as metadata.json has them; `problem` says why they are not known.

    `signed`: there is a signature, which nobody has verified here.
    """

    model: str
    version: str
    created: datetime | None
    sha256: str | None
    data: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    signed: bool
    problem: str = ""


class _Artifact(msgspec.Struct):
    sha256: str | None = None


class _Metadata(msgspec.Struct):
    created: datetime | None = None
    artifact: _Artifact | None = None
    data: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None


def made_in(reference: Reference) -> list[Made]:
    """Tell of every version that is meant, by model and from the oldest. Raises PackageRefused where there is none."""
    made = [
        _made(model, version, reference.repository / model / version)
        for model in reference.models()
        for version in reference.versions(model)
    ]
    if not made:
        raise PackageRefused(f"{reference}: there is no version in it")
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(made, key=lambda one: (one.model, one.created or oldest, version_order(one.version)))


def _made(model: str, version: str, folder: Path) -> Made:
    artifact = artifact_name(str(folder))
    signed = artifact is not None and Path(signature_path(str(folder / artifact))).is_file()
    said, problem = _Metadata(), ""
    try:
        with open(folder / METADATA, "rb") as file:
            said = msgspec.json.decode(file.read(_MOST), type=_Metadata)
    except FileNotFoundError:
        problem = f"it has no {METADATA}"
    except OSError as error:
        problem = f"{METADATA} cannot be read: {error.strerror}"
    except (msgspec.DecodeError, RecursionError) as error:
        problem = f"{METADATA}: {error}"
    created = said.created
    if created is not None and created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    sha256 = said.artifact.sha256 if said.artifact is not None else None
    return Made(model, version, created, sha256, said.data, said.evaluation, signed, problem)
