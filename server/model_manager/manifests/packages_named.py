"""Packages that were named → what a manifest says of each: digest, default and where its artifact is.

Place in the flow: `model-manager configmap` reads the packages here; configmaps lays them out.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model_manager.errors import ChangeRefused, LoadFailed, PackageRefused
from model_manager.repository.digests import sha256_of
from model_manager.repository.location import scheme_of
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.metadata import parse_metadata
from model_manager.repository.packages import ARTIFACT_LIMIT, METADATA, artifact_name, metadata_path
from model_manager.repository.references import read_reference
from model_manager.repository.regular_files import Files
from model_manager.repository.signed_files import SIGNATURE
from model_manager.repository.wanted import ServableId, version_order

_LONGEST_KEY = 200
"""Of the 253 characters of a ConfigMap's key; the rest is for `.metadata.json`."""


@dataclass(frozen=True, slots=True)
class Named:
    """One version: its artifact's file, size in bytes and digest, and the small files that belong to it."""

    id: ServableId
    artifact: Path
    size: int
    sha256: str
    metadata: bytes | None = field(repr=False)
    signature: bytes | None = field(repr=False)


def read_named(paths: Iterable[Path]) -> list[Named]:
    """Read what REPO, REPO/N and REPO/N/V name, each version once, models in order and the oldest version first.

    Raises PackageRefused for what is no package, and for one whose artifact is not the one that its metadata describes.
    """
    found: dict[ServableId, Path] = {}
    for path in paths:
        reference = read_reference(path)
        named = [ServableId(model, version) for model in reference.models() for version in reference.versions(model)]
        if not named:
            raise PackageRefused(f"{path}: there is no version in it")
        for id in named:
            folder = reference.repository / id.model / id.version
            if found.setdefault(id, folder) != folder:
                raise PackageRefused(f"{id} is named twice: {found[id]} and {folder}")
    return [_read(id, found[id]) for id in sorted(found, key=lambda id: (id.model, version_order(id.version)))]


def keys_of(named: Iterable[Named]) -> dict[ServableId, str]:
    """Give every artifact a flat name of its own: `iris-1.joblib`, longer where two would be the same."""
    keys: dict[ServableId, str] = {}
    for one in named:
        stem = f"{one.id.model}-{one.id.version}"
        taken = {os.path.splitext(key)[0] for key in keys.values()}
        if stem in taken or len(stem) > _LONGEST_KEY:
            stem = f"{stem[:_LONGEST_KEY]}-{_digest_of(one.id)}"
        keys[one.id] = stem + one.artifact.suffix
    return keys


def places_at(named: Iterable[Named], place: str) -> dict[ServableId, str]:
    """Say where artifacts are that lie at an absolute path or a URI, as `<place>/<model>/<version>/<file>`."""
    if scheme_of(place) is None and not place.startswith("/"):
        raise ChangeRefused(f"--artifacts-at {place}: give an absolute path such as /artifacts/models, or a URI")
    return {one.id: f"{place.rstrip('/')}/{one.id.model}/{one.id.version}/{one.artifact.name}" for one in named}


def manifest_of(named: Iterable[Named], artifacts: Mapping[ServableId, str], defaults: Mapping[str, str]) -> bytes:
    """Write the manifest: every version with its digest, and by model the version that answers by default.

    Metadata is inline where a server would find none beside the artifact. `defaults` holds what was asked for; the
    newest version is the default of the other models. Raises ChangeRefused for a default that is not among them.
    """
    models: dict[str, list[Named]] = {}
    for one in named:
        models.setdefault(one.id.model, []).append(one)
    for model, version in defaults.items():
        listed = [one.id.version for one in models.get(model, [])]
        if version not in listed:
            have = f"of {model} there is {', '.join(listed)}" if listed else f"there is {', '.join(models)}"
            raise ChangeRefused(f"--default {model}={version}: no such version is named here; {have}")
    lines = ["models:"]
    for model, versions in models.items():
        default = defaults.get(model, versions[-1].id.version)
        lines += [
            f'  "{model}":' if _needs_quotes(model) else f"  {model}:",
            f'    default: "{default}"',
            "    versions:",
        ]
        for one in versions:
            lines += _version_lines(one, artifacts[one.id])
    manifest = ("\n".join(lines) + "\n").encode()
    parse_manifest(manifest)
    return manifest


def _version_lines(one: Named, artifact: str) -> list[str]:
    lines = [
        f'      "{one.id.version}":',
        f"        artifact: {_scalar(artifact)}",
        f"        sha256: {_scalar(one.sha256)}",
    ]
    beside = scheme_of(artifact) is None and (
        not artifact.startswith("/") or os.path.basename(metadata_path(artifact)) == METADATA
    )
    if one.metadata is not None and not beside:
        described: Any = parse_metadata(one.metadata).model_dump(mode="json", exclude_none=True)
        text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=None)
        lines += ["        metadata:", *(f"          {line}" for line in text.splitlines())]
    return lines


def _scalar(value: str) -> str:
    return yaml.safe_dump(value, allow_unicode=True, width=10**9).removesuffix("\n").removesuffix("\n...")


def _needs_quotes(name: str) -> bool:
    return _scalar(name) != name


def _digest_of(id: ServableId) -> str:
    return hashlib.sha256(repr(id).encode()).hexdigest()[:12]


def _read(id: ServableId, folder: Path) -> Named:
    name = artifact_name(str(folder))
    if name is None:
        raise PackageRefused(f"{folder} holds no model")
    try:
        with Files(str(folder)).open(str(folder / name), ARTIFACT_LIMIT) as file:
            digest = sha256_of(file)
            size = os.fstat(file.fileno()).st_size
        metadata, signature = _bytes(folder / METADATA), _bytes(folder / SIGNATURE)
    except OSError as error:
        raise PackageRefused(f"{folder} cannot be read: {error.strerror}") from None
    except LoadFailed as error:
        raise PackageRefused(str(error)) from None
    if metadata is not None:
        _check_described(folder, metadata, digest)
    return Named(id, folder / name, size, digest, metadata, signature)


def _check_described(folder: Path, metadata: bytes, digest: str) -> None:
    try:
        described = parse_metadata(metadata).artifact
    except LoadFailed as error:
        raise PackageRefused(f"{folder}: {error}") from None
    if described is not None and described.sha256 != digest:
        message = f"{folder}: its artifact has sha256 {digest[:12]}…, its metadata.json says {described.sha256[:12]}…"
        raise PackageRefused(f"{message}: it was changed after it was packed; pack it again as another version")


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
