"""A package → a version of a repository anywhere: a folder, an object store, an HTTP server. All of it, or nothing.

Place in the flow: the end of `model-manager publish`. In a store:

1. the artifact's bytes go to `blobs/sha256/<digest>`, unless they are there: nothing refers to them yet;
2. `<model>/<version>/metadata.json`, which names that digest, is created if there is none: this one step decides which
   of two publishers wins, and from it on the version exists;
3. whoever won, or has the same bytes, puts the other files beside it, and the artifact last: copied within the store.

So what broke off before 2 shows nothing, and after it the same command finishes it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_manager.errors import LoadFailed, PackageRefused, StoreFailed, VersionTaken
from model_manager.packaging.publishing import publish
from model_manager.repository.digests import sha256_of
from model_manager.repository.location import local_path, scheme_of, without_credentials
from model_manager.repository.metadata import parse_metadata
from model_manager.repository.packages import METADATA, artifact_name
from model_manager.repository.signed_files import SIGNATURE, files_of_package, is_package
from model_manager.repository.store import Store
from model_manager.repository.stores import open_store

_TIMEOUT_S: Final = 120.0  # for one question, or one part of a large upload


@dataclass(frozen=True, slots=True)
class Package:
    """A version in a folder, whose artifact is what its metadata says. `others`: further files, relative to it."""

    folder: Path
    artifact: str
    metadata: bytes
    sha256: str
    bytes: int
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Where a version is now: its artifact, as a manifest names it. `already`: it was there, with these bytes."""

    artifact: str
    sha256: str
    bytes: int
    already: bool


def read_package(folder: Path) -> Package:
    """Read what is to be published. Raises PackageRefused where a server would not load it for what it says it is."""
    name = artifact_name(str(folder))
    if name is None:
        raise PackageRefused(f"{folder}: there is no model in it")
    if not is_package(name):
        raise PackageRefused(f"{folder / name}: an artifact is published as model.joblib, model.skops or model.onnx")
    try:
        metadata = (folder / METADATA).read_bytes()
        with open(folder / name, "rb") as file:
            digest = sha256_of(file)
            size = file.tell()
        others = sorted(set(files_of_package(str(folder))) - {name, METADATA})
    except FileNotFoundError as error:
        raise PackageRefused(f"{error.filename}: there is no such file; `model-manager pack` writes it") from None
    except OSError as error:
        raise PackageRefused(f"{error.filename} cannot be read: {error.strerror}") from error
    except LoadFailed as error:
        raise PackageRefused(str(error)) from None
    try:
        declared = parse_metadata(metadata).artifact
    except LoadFailed as error:
        raise PackageRefused(f"{folder / METADATA}: {error}") from None
    if declared is None or declared.sha256 is None:
        message = f"{folder / METADATA} says no sha256 of the artifact, by which servers know it: pack the model again"
        raise PackageRefused(message)
    if declared.sha256 != digest:
        raise PackageRefused(
            f"{folder / name} has the sha256 {digest[:12]}…, and {METADATA} says {declared.sha256[:12]}…: it was "
            "changed or cut short since it was packed; copy it again, or pack it again"
        )
    signature = (SIGNATURE,) if (folder / SIGNATURE).is_file() else ()
    return Package(folder, name, metadata, digest, size, (*others, *signature))


def is_folder(destination: str) -> bool:
    """Whether a destination is a folder of this machine, and no store."""
    return scheme_of(destination) in (None, "file")


def publish_package(
    package: Package, name: str, version: str, destination: str, told: Callable[[int], None] = lambda bytes: None
) -> Published:
    """Publish a package as a version; `told` gets the number of bytes of each part of the artifact that was sent.

    Raises VersionTaken where the version is there with other bytes, PackageRefused and StoreFailed where it cannot be
    written.
    """
    if is_folder(destination):
        return _into_folder(package, name, version, _folder_of(destination), told)
    if "?" in destination or "#" in destination:
        raise PackageRefused(f"{without_credentials(destination)}: give the URL of a folder, without '?' and '#'")
    store, prefix = open_store(destination, timeout_s=_TIMEOUT_S)
    place = f"{name}/{version}"
    uri = f"{destination.rstrip('/')}/{place}"
    already = _into_store(package, store, _below(prefix, place), _below(prefix, "blobs/sha256"), uri, told)
    return Published(f"{without_credentials(uri)}/{package.artifact}", package.sha256, package.bytes, already)


def _into_store(package: Package, store: Store, place: str, blobs: str, uri: str, told: Callable[[int], None]) -> bool:
    record, artifact = f"{place}/{METADATA}", f"{place}/{package.artifact}"
    found = store.read_small(record)
    _refuse_other(package, found, uri)
    blob = f"{blobs}/{package.sha256}"
    copies = store.copies
    if copies and store.size(artifact) != package.bytes and store.size(blob) != package.bytes:
        store.upload(blob, package.folder / package.artifact, told)
    if found is None and not store.create(record, package.metadata):
        _refuse_other(package, store.read_small(record), uri)
    # Read back: of two who write to a store that knows no conditions, the second may have come between.
    _refuse_other(package, store.read_small(record), uri)
    for other in package.others:
        content = (package.folder / other).read_bytes()
        if not store.create(f"{place}/{other}", content) and other == SIGNATURE:
            _refuse_other_signature(content, store.read_small(f"{place}/{other}"), uri)
    already = store.size(artifact) == package.bytes
    if not already:
        if copies:
            store.copy(blob, artifact)
        else:
            store.upload(artifact, package.folder / package.artifact, told)
        if store.size(artifact) != package.bytes:
            raise StoreFailed("unreachable", f"{without_credentials(uri)}: the store keeps another number of bytes")
    return already and found is not None


def _into_folder(package: Package, name: str, version: str, repository: Path, told: Callable[[int], None]) -> Published:
    folder = repository / name / version
    already = folder.exists()
    if not already:
        names = (package.artifact, METADATA, *package.others)
        nested = next((other for other in names if "/" in other), None)
        if nested is not None:
            raise PackageRefused(f"{package.folder / nested} lies in a folder of its own: a package has none")
        try:
            publish(repository, name, version, {each: (package.folder / each).read_bytes() for each in names})
            told(package.bytes)
        except OSError as error:
            raise PackageRefused(f"{error.filename} cannot be read: {error.strerror}") from error
        except PackageRefused:
            if not folder.exists():
                raise
            already = True
    if already:
        there = folder / METADATA
        _refuse_other(package, there.read_bytes() if there.is_file() else b"", str(folder))
    return Published(str(folder / package.artifact), package.sha256, package.bytes, already)


def _refuse_other(package: Package, found: bytes | None, uri: str) -> None:
    if found is None or found == package.metadata:
        return
    try:
        declared = parse_metadata(found).artifact
    except LoadFailed:
        declared = None
    same = declared is not None and declared.sha256 == package.sha256
    what = f"the same artifact and another {METADATA}" if same else "another artifact"
    shown = without_credentials(uri)
    raise VersionTaken(f"{shown} is published already, with {what}; a version is never overwritten, choose another")


def _refuse_other_signature(content: bytes, found: bytes | None, uri: str) -> None:
    if found is not None and found != content:
        shown = without_credentials(uri)
        raise VersionTaken(f"{shown} is published already, with another {SIGNATURE}; remove that one to replace it")


def _folder_of(destination: str) -> Path:
    try:
        path = local_path(destination.rstrip("/") or "/") if scheme_of(destination) else destination
    except ValueError as error:
        raise PackageRefused(f"{destination}: {error}") from None
    return Path(path or destination).absolute()


def _below(prefix: str, path: str) -> str:
    return f"{prefix}/{path}" if prefix else path
