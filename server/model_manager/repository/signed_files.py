"""Hold the files of a version against its signature: each is covered with its digest, and none lies there uncovered.

Place in the flow: asked by `open_artifact` once it knows the artifact's digest, and by `model-manager verify`.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Final

from model_manager.errors import LoadFailed
from model_manager.repository.digests import sha256_of
from model_manager.repository.packages import METADATA, metadata_path
from model_manager.repository.regular_files import Files, Limit
from model_manager.repository.signatures import SIGNATURE_LIMIT, Trust, refuse

SIGNATURE: Final = "model.sig"
_MOST_FILES: Final = 1000


def signature_path(artifact: str) -> str:
    """Say where the signature of an artifact lies: model.sig in a package, iris-1.sig beside iris-1.joblib."""
    folder, file = os.path.split(artifact)
    return os.path.join(folder, SIGNATURE if is_package(artifact) else f"{os.path.splitext(file)[0]}.sig")


def is_package(artifact: str) -> bool:
    """Whether an artifact has a folder of its own, in which its metadata is called metadata.json."""
    return os.path.basename(metadata_path(artifact)) == METADATA


def check_signed(
    artifact: str, *, digest: str, metadata: bytes | None, trust: Trust, files: Files, limit: Limit
) -> Mapping[str, str]:
    """Verify the signature of an artifact with this digest and this metadata; give what it covers: digests by name.

    Raises LoadFailed: "unsigned" where there is none, "bad_signature" where it does not hold, with the file's name.
    """
    path = signature_path(artifact)
    try:
        covered = trust.covered_by(files.read(path, SIGNATURE_LIMIT))
        if is_package(artifact):
            _check_package(artifact, digest, metadata, covered, files, limit)
        else:
            _check_pair(artifact, digest, metadata, covered)
    except (FileNotFoundError, NotADirectoryError):
        message = f"{path}: there is no such file, and the operator asks for a signature: `model-manager sign` makes it"
        raise LoadFailed("unsigned", message) from None
    except OSError as error:
        raise LoadFailed("bad_signature", f"{path} cannot be read: {error.strerror}") from None
    except LoadFailed as error:
        if error.reason != "bad_signature":
            raise
        raise LoadFailed("bad_signature", f"{path}: {error}") from None
    return covered


def check_signed_pair(
    artifact: str, bundle: bytes | None, *, digest: str, metadata: bytes | None, trust: Trust
) -> None:
    """Verify the signature of a remote artifact and its metadata: of its package, nothing else is ever fetched.

    Raises as check_signed; `bundle` is None where there is none.
    """
    path = signature_path(artifact)
    if bundle is None:
        message = f"{path}: there is none, and the operator asks for one: `model-manager sign`, and publish again"
        raise LoadFailed("unsigned", message)
    try:
        _check_pair(artifact, digest, metadata, trust.covered_by(bundle))
    except LoadFailed as error:
        raise LoadFailed("bad_signature", f"{path}: {error}") from None


def files_of_package(folder: str) -> Iterator[str]:
    """Name every file of a package but its signature, relative to the package. Raises OSError.

    Names that begin with two dots are Kubernetes' own: the generations of a mounted volume.
    """
    count = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(folder, below)) as entries:
            for entry in entries:
                name = os.path.join(below, entry.name)
                if name == SIGNATURE or entry.name.startswith(".."):
                    continue
                count += 1
                if count > _MOST_FILES:
                    refuse(f"{folder} holds more than {_MOST_FILES:,} files, which is no package")
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                else:
                    yield name


def _check_package(
    artifact: str, digest: str, metadata: bytes | None, covered: Mapping[str, str], files: Files, limit: Limit
) -> None:
    folder, file = os.path.split(artifact)
    known = {file: digest}
    if metadata is not None:
        known[METADATA] = hashlib.sha256(metadata).hexdigest()
    there = {*files_of_package(folder), *known}
    if missing := sorted(covered.keys() - there):
        refuse(f"covers {missing[0]}, which is not there")
    if unknown := sorted(there - covered.keys()):
        refuse(f"does not cover {unknown[0]}; remove it, or sign again")
    for name in sorted(there):
        found = known[name] if name in known else _digest(os.path.join(folder, name), files, limit)
        if found != covered[name]:
            refuse(f"covers another {name} than the one that is there")


def _check_pair(artifact: str, digest: str, metadata: bytes | None, covered: Mapping[str, str]) -> None:
    """Check an artifact and its metadata, which may have been renamed for a ConfigMap after they were signed."""
    _, file = os.path.split(artifact)
    extension = os.path.splitext(file)[1]
    of_artifact = (file, f"model{extension}", ".")  # model_signing calls the only file "."
    of_metadata = (os.path.basename(metadata_path(artifact)), METADATA)
    if digest not in {covered.get(name) for name in of_artifact}:
        refuse(f"does not cover {file} as it is")
    signed = [covered[name] for name in of_metadata if name in covered]
    if metadata is None and signed:
        refuse(f"covers {of_metadata[0]}, which is not there")
    if metadata is not None and hashlib.sha256(metadata).hexdigest() not in signed:
        refuse(f"does not cover the metadata as it is ({of_metadata[0]}, or what models.yaml says inline)")


def _digest(path: str, files: Files, limit: Limit) -> str:
    with files.open(path, limit) as file:
        return sha256_of(file)
