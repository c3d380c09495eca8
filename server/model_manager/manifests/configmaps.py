"""Packages → ConfigMaps: one with all of it, or a small one that points into immutable ones.

Place in the flow: after packages_named; configmap_yaml writes them down. Kubernetes counts what the values of data and
binaryData hold, decoded (ValidateConfigMap): 1 MiB in all.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model_manager.errors import ChangeRefused
from model_manager.manifests.packages_named import Named, keys_of, manifest_of, places_at
from model_manager.manifests.provenance import CHANGED_BY_ANNOTATION, CHANGED_BY_FILE, ChangedBy
from model_manager.repository.from_manifest import MANIFEST
from model_manager.repository.packages import metadata_path
from model_manager.repository.signed_files import signature_path

MOST_BYTES: Final = 2**20
ARTIFACTS_OF: Final = "model-manager/artifacts-of"
"""The label of immutable ConfigMaps: the name of the one that points to them."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NOT_COPIED: Final = {"flagger.app/config-tracking": "disabled"}
"""Flagger's copies of ConfigMaps lack the binaryData."""


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """One ConfigMap: values of text, and of bytes, by key."""

    name: str
    text: Mapping[str, str] = field(repr=False)
    binary: Mapping[str, bytes] = field(repr=False)
    immutable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Its size as Kubernetes counts it."""
        return sum(len(value.encode()) for value in self.text.values()) + sum(map(len, self.binary.values()))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for: default versions by model, a ConfigMap for each version, or artifacts that lie elsewhere."""

    defaults: Mapping[str, str]
    immutable: bool = False
    artifacts_at: str | None = None


def configmaps_of(name: str, named: Sequence[Named], wishes: Wishes, change: ChangedBy) -> list[ConfigMap]:
    """Lay out packages as ConfigMaps, in the order in which to apply them: what is pointed to goes first.

    Raises ChangeRefused for a name that Kubernetes does not take, and for what does not fit, with what to do instead.
    """
    if not _NAME.fullmatch(name):
        raise ChangeRefused(f"{name!r} is no name for a ConfigMap: lower-case letters, digits and '-', at most 63")
    if wishes.artifacts_at is not None:
        places = places_at(named, wishes.artifacts_at)
        return [_fitting(_pointer(name, manifest_of(named, places, wishes.defaults), change), named, wishes)]
    keys = keys_of(named)
    pointer = _pointer(name, manifest_of(named, keys, wishes.defaults), change)
    if wishes.immutable:
        return [*(_of_version(name, one, keys[one.id]) for one in named), _fitting(pointer, named, wishes)]
    size = pointer.size + sum(map(_size, named))
    if size > MOST_BYTES:
        raise _too_large(name, size, named, wishes)
    text, binary = dict(pointer.text), dict[str, bytes]()
    for one in named:
        _add(one, keys[one.id], text, binary)
    whole = ConfigMap(name, text, binary, annotations={**pointer.annotations, **(_NOT_COPIED if binary else {})})
    return [_fitting(whole, named, wishes)]


def document(config_map: ConfigMap) -> dict[str, Any]:
    """Give a ConfigMap as Kubernetes reads it, with bytes for what is base64 there."""
    metadata: dict[str, Any] = {"name": config_map.name}
    if config_map.labels:
        metadata["labels"] = dict(config_map.labels)
    if config_map.annotations:
        metadata["annotations"] = dict(config_map.annotations)
    whole: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    if config_map.immutable:
        whole["immutable"] = True
    if config_map.text:
        whole["data"] = dict(config_map.text)
    if config_map.binary:
        whole["binaryData"] = dict(config_map.binary)
    return whole


def _pointer(name: str, manifest: bytes, change: ChangedBy) -> ConfigMap:
    text = {MANIFEST: manifest.decode(), CHANGED_BY_FILE: change.file(manifest)}
    return ConfigMap(name, text, {}, annotations={CHANGED_BY_ANNOTATION: change.annotation})


def _of_version(name: str, one: Named, key: str) -> ConfigMap:
    if _size(one) > MOST_BYTES:
        raise ChangeRefused(f"{one.id} has {_size(one):,} bytes, and a ConfigMap holds {MOST_BYTES:,}; {_ELSEWHERE}")
    text: dict[str, str] = {}
    binary: dict[str, bytes] = {}
    _add(one, key, text, binary)
    parts = sorted((key, hashlib.sha256(value).hexdigest()) for key, value in [*binary.items(), *_encoded(text)])
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
    labels = {ARTIFACTS_OF: name}
    return ConfigMap(f"{name}-{digest}", text, binary, immutable=True, labels=labels, annotations=_NOT_COPIED)


def _encoded(text: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(key, value.encode()) for key, value in text.items()]


def _add(one: Named, key: str, text: dict[str, str], binary: dict[str, bytes]) -> None:
    content = one.artifact.read_bytes()
    if hashlib.sha256(content).hexdigest() != one.sha256:
        raise ChangeRefused(f"{one.artifact} was changed meanwhile; run it again")
    binary[key] = content
    for path, small in ((metadata_path(key), one.metadata), (signature_path(key), one.signature)):
        if small is None:
            continue
        try:
            text[path] = small.decode()
        except UnicodeDecodeError:
            binary[path] = small


def _size(one: Named) -> int:
    return one.size + len(one.metadata or b"") + len(one.signature or b"")


_ELSEWHERE: Final = (
    "publish what is large to a volume or a store, and refer to it: --artifacts-at /artifacts/VOLUME or --artifacts-at "
    "s3://BUCKET/PATH"
)


def _fitting(config_map: ConfigMap, named: Sequence[Named], wishes: Wishes) -> ConfigMap:
    if config_map.size > MOST_BYTES:
        raise _too_large(config_map.name, config_map.size, named, wishes)
    return config_map


def _too_large(name: str, size: int, named: Sequence[Named], wishes: Wishes) -> ChangeRefused:
    said = f"{name} would hold {size:,} bytes, and a ConfigMap holds {MOST_BYTES:,}"
    if wishes.artifacts_at is not None or wishes.immutable:
        return ChangeRefused(f"{said}: its {MANIFEST} alone is that large; name fewer versions")
    largest = sorted(named, key=_size, reverse=True)
    shown = ", ".join(f"{one.id} {_size(one):,}" for one in largest[:5])
    more = f" and {len(largest) - 5} more" if len(largest) > 5 else ""
    split = "--immutable gives each version a ConfigMap of its own; or " if _size(largest[0]) <= MOST_BYTES else ""
    return ChangeRefused(f"{said} ({shown}{more}): {split}{_ELSEWHERE}")
