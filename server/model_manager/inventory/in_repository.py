"""The versions of a repository, as a server would find them: what serves by default, what is broken, and why.

In the flow: `list`, `show`, `verify` → **here** → repository, which reads the same files for a server.
"""

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from model_manager.errors import LoadFailed, PackageRefused
from model_manager.inventory.entry import DigestState, Entry, Integrity, described_by
from model_manager.inventory.signers import signer_of
from model_manager.repository.digests import Digests, sha256_of
from model_manager.repository.from_folders import ONLY_VERSION, read_repository_form
from model_manager.repository.generation import Generation
from model_manager.repository.metadata import Metadata, declared_from, parse_metadata
from model_manager.repository.packages import ARTIFACT_LIMIT, METADATA, artifact_name, read_metadata
from model_manager.repository.references import Reference
from model_manager.repository.regular_files import Files, Limit
from model_manager.repository.signatures import Trust
from model_manager.repository.signed_files import check_signed
from model_manager.repository.wanted import NAME_PATTERN, Ignored

_NAMES_ONLY: Final = Limit(0, "only names are looked at")


@dataclass(frozen=True, slots=True)
class Package:
    """One version as it lies in a repository.

    `problems`: why a server would not load it, before it is digested. `note`: what does not fit, and keeps no server
    from loading it.
    """

    model: str
    version: str
    folder: Path
    artifact: Path | None
    size: int | None
    text: bytes | None
    metadata: Metadata
    problems: tuple[str, ...]
    note: str


def read_package(repository: Path, model: str, version: str) -> Package:
    """Look at a version without reading its artifact."""
    folder = _folder_of(repository, model, version)
    files = Files(str(repository))
    problems: list[str] = []
    name = artifact_name(str(folder))
    size = None
    if name is None:
        problems.append("missing: there is no artifact in it")
    else:
        try:
            size = files.stat(str(folder / name), ARTIFACT_LIMIT).st_size
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror}")
        except LoadFailed as error:
            problems.append(f"{error.reason}: {error}")
    text, problem = read_metadata(str(folder / METADATA), files)
    metadata = Metadata()
    try:
        if problem:
            raise LoadFailed("metadata_invalid", problem)
        metadata = parse_metadata(text) if text is not None else metadata
        declared_from(metadata)
    except LoadFailed as error:
        problems.append(f"{error.reason}: {error}")
    declared = metadata.artifact.bytes if metadata.artifact is not None else None
    if declared is not None and size is not None and declared != size:
        problems.append(f"digest_mismatch: {declared:,} bytes were declared, the file has {size:,}")
    said = (metadata.name or model, metadata.version or version)
    note = f"its metadata.json is that of {'/'.join(said)}" if said != (model, version) else ""
    return Package(model, version, folder, folder / name if name else None, size, text, metadata, tuple(problems), note)


def _folder_of(repository: Path, model: str, version: str) -> Path:
    """Where a version lies; the only one of a model may lie in the model's own folder."""
    folder = repository / model / version
    return repository / model if version == ONLY_VERSION and not folder.exists() else folder


def read_packages(reference: Reference) -> list[Package]:
    """Look at the versions that are meant, by model and from the oldest. Raises PackageRefused."""
    named = [(model, version) for model in reference.models() for version in reference.versions(model)]
    if reference.model is None:
        named += [(model, ONLY_VERSION) for model in _without_versions(reference.repository, reference.models())]
    return [read_package(reference.repository, *each) for each in sorted(named, key=lambda each: each[0])]


def _without_versions(repository: Path, others: Collection[str]) -> list[str]:
    """Models whose only artifact lies in their own folder."""
    names = [name for name in os.listdir(repository) if re.fullmatch(NAME_PATTERN, name) and name not in others]
    return [name for name in names if artifact_name(str(repository / name)) is not None]


def default_of(repository: Path, model: str, broken: Collection[tuple[str, str]] = ()) -> str | None:
    """The version that would answer requests that name none: the newest that is not broken, as far as is known."""
    for version in reversed(Reference(repository).versions(model) or [ONLY_VERSION]):
        if (model, version) not in broken and not read_package(repository, model, version).problems:
            return version
    return None


def ignored_in(reference: Reference) -> list[Ignored]:
    """What lies in a repository, below the names that are meant, and is no version of it."""
    folder = str(reference.repository)
    try:
        # its artifacts are not digested: none is small enough
        found = read_repository_form(Generation.of(folder), Files(folder), Digests(_NAMES_ONLY)).ignored
    except OSError as error:
        raise PackageRefused(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    meant = (reference.model, reference.version)
    return [one for one in found if all(name in (None, own) for name, own in zip(meant, one[:2], strict=True))]


def entry_of(package: Package, *, trust: Trust | None = None) -> Entry:
    """Digest the artifact of a package, verify its signature where `trust` says whose counts, and say what came out."""
    problems = list(package.problems)
    digest, found = _digested(package)
    if digest == "differs" and not any("bytes were declared" in each for each in problems):
        assert package.metadata.artifact is not None
        declared = package.metadata.artifact.sha256
        problems.append(f"digest_mismatch: sha256 {declared[:12]}… was declared, the file has {(found or '')[:12]}…")
    verified = None
    if trust is not None and found is not None and package.artifact is not None:
        try:
            check_signed(
                str(package.artifact),
                digest=found,
                metadata=package.text,
                trust=trust,
                files=Files(str(package.folder)),
                limit=ARTIFACT_LIMIT,
            )
            verified = True
        except LoadFailed as error:
            verified = False
            problems.append(f"{error.reason}: {error}")
    signer = signer_of(package.artifact) if package.artifact is not None else None
    return Entry(
        package.model,
        package.version,
        "BROKEN" if problems else "OK",
        "; ".join(filter(None, (*problems, package.note))),
        location=str(package.artifact or package.folder),
        bytes=package.size,
        sha256=found,
        integrity=Integrity(digest, signer, verified),
        **described_by(package.metadata),
    )


def _digested(package: Package) -> tuple[DigestState, str | None]:
    if package.artifact is None or package.size is None:
        return "unreadable", None
    try:
        with Files(str(package.folder)).open(str(package.artifact), ARTIFACT_LIMIT) as file:
            found = sha256_of(file)
    except (OSError, LoadFailed):  # it went since it was looked at
        return "unreadable", None
    declared = package.metadata.artifact
    if declared is None:
        return "undeclared", found
    return ("ok" if declared.sha256 == found else "differs"), found


def entries_in(
    reference: Reference, *, trust: Trust | None = None, told: Callable[[str], None] = lambda what: None
) -> list[Entry]:
    """List the versions that are meant, and what is ignored beside them; `told` hears which one is being digested.

    Raises PackageRefused where a folder cannot be read.
    """
    entries = []
    for package in read_packages(reference):
        told(f"{package.model}/{package.version}")
        entries.append(entry_of(package, trust=trust))
    broken = {(one.model, one.version) for one in entries if one.state == "BROKEN"}
    defaults = {model: default_of(reference.repository, model, broken) for model in {one.model for one in entries}}
    listed = [replace(one, default=defaults[one.model] == one.version) for one in entries]
    return [*listed, *_ignored_entries(ignored_in(reference), listed)]


def _ignored_entries(ignored: Sequence[Ignored], entries: Sequence[Entry]) -> list[Entry]:
    known = {(one.model, one.version) for one in entries}
    return [
        Entry(one.model, one.version, "IGNORED", one.why, location=os.path.normpath(one.path))
        for one in ignored
        if (one.model, one.version) not in known
    ]
