"""What holds a manifest: models.yaml itself, or a ConfigMap, as a file or as kubectl prints it.

Place in the flow: commands read one, changing gives a new manifest, and it is put back where it was.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from model_manager.errors import ChangeRefused
from model_manager.manifests.provenance import CHANGED_BY_ANNOTATION, CHANGED_BY_FILE, ChangedBy
from model_manager.manifests.yaml_places import Node, locate
from model_manager.repository.from_manifest import MANIFEST

_SERVERS_OWN: Final = ("managedFields", "uid", "creationTimestamp", "selfLink", "generation")
"""Of an object's metadata what only the API server writes, and refuses to be told. Its resourceVersion stays: with it
the API server refuses a change of what somebody else changed meanwhile."""
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_KIND: Final = re.compile(r"^kind:\s*[\"']?ConfigMap\b", re.MULTILINE)


class Holder(Protocol):
    """Something with a manifest in it."""

    @property
    def manifest(self) -> bytes:
        """The manifest's text."""

    def holding(self, manifest: bytes, change: ChangedBy) -> bytes:
        """Give the whole of it with another manifest."""

    def beside(self, path: str) -> bytes | None:
        """Give what lies at a path as the manifest names them; None where nothing is to be seen from here."""


def read_holder(content: bytes, name: str, folder: Path | None) -> Holder:
    """Tell what was read: a ConfigMap as JSON or YAML, or the manifest itself, which lies in `folder`.

    Raises ChangeRefused for a ConfigMap without a manifest.
    """
    if content.lstrip().startswith(b"{"):
        try:
            document = json.loads(content)
        except ValueError:
            document = None  # a manifest may be written in braces as well
        if isinstance(document, dict) and document.get("kind") in ("ConfigMap", "List"):
            return _JsonConfigMap(document, name)
    text = content.decode(errors="replace")
    if _KIND.search(text):
        return _YamlConfigMap(text, name)
    return _Manifest(content, folder)


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The manifest itself."""

    manifest: bytes
    folder: Path | None

    def holding(self, manifest: bytes, change: ChangedBy) -> bytes:
        return manifest

    def beside(self, path: str) -> bytes | None:
        if self.folder is None and not os.path.isabs(path):
            return None
        try:
            return Path(self.folder or "/", path).read_bytes()
        except OSError:
            return None


class _JsonConfigMap:
    """A ConfigMap, or a list with one in it, as `kubectl get --output json` prints them."""

    def __init__(self, document: dict[str, Any], name: str) -> None:
        self._document = document
        items = document.get("items", []) if document["kind"] == "List" else [document]
        self._objects = [item for item in items if isinstance(item, dict) and item.get("kind") == "ConfigMap"]
        self._holder = _the_one_with_a_manifest(self._objects, name)

    @property
    def manifest(self) -> bytes:
        return str(self._holder["data"][MANIFEST]).encode()

    def holding(self, manifest: bytes, change: ChangedBy) -> bytes:
        data, metadata = self._holder["data"], self._holder.setdefault("metadata", {})
        data[MANIFEST], data[CHANGED_BY_FILE] = manifest.decode(), change.file(manifest)
        for one in _SERVERS_OWN:
            metadata.pop(one, None)
        annotations = metadata["annotations"] = dict(metadata.get("annotations") or {})
        annotations.pop(_LAST_APPLIED, None)
        annotations[CHANGED_BY_ANNOTATION] = change.annotation
        return (json.dumps(self._document, indent=2, ensure_ascii=False) + "\n").encode()

    def beside(self, path: str) -> bytes | None:
        return _key_of(self._objects, path)


class _YamlConfigMap:
    """A file with a ConfigMap, as people keep them in git: whatever else it holds stays as it is."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        try:
            documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
            self._objects = [one for one in documents if isinstance(one, dict) and one.get("kind") == "ConfigMap"]
            self._holder = _the_one_with_a_manifest(self._objects, name)
            self._root = locate(text)[next(at for at, one in enumerate(documents) if one is self._holder)]
        except yaml.YAMLError as error:
            raise ChangeRefused(f"{name} is no YAML: {' '.join(str(error).split())}") from None

    @property
    def manifest(self) -> bytes:
        return str(self._holder["data"][MANIFEST]).encode()

    def holding(self, manifest: bytes, change: ChangedBy) -> bytes:
        wanted: dict[tuple[str, ...], str] = {
            ("data", MANIFEST): manifest.decode(),
            ("data", CHANGED_BY_FILE): change.file(manifest),
            ("metadata", "annotations", CHANGED_BY_ANNOTATION): change.annotation,
        }
        there = [(node, value) for path, value in wanted.items() if (node := self._root.value(*path)) is not None]
        text = self._text
        for node, value in sorted(there, key=lambda pair: -pair[0].start):
            text = text[: node.start] + self._written(node, value) + text[node.end :]
        try:
            back = read_holder(text.encode(), self._name, None).manifest
        except ChangeRefused:
            back = b""
        if back != manifest:
            raise ChangeRefused(
                f"{self._name}: {MANIFEST} in it cannot be changed in place; write it as '{MANIFEST}: |'"
            )
        return text.encode()

    def beside(self, path: str) -> bytes | None:
        return _key_of(self._objects, path)

    def _written(self, node: Node, value: str) -> str:
        if node.style != "|":
            return json.dumps(value, ensure_ascii=False)  # which is YAML too
        old = self._text[node.start : node.end].split("\n")
        indent = min((len(line) - len(line.lstrip(" ")) for line in old[1:] if line.strip()), default=2)
        lines = value.rstrip("\n").split("\n")
        kept = "" if value.endswith("\n") else "-"
        return "\n".join([f"|{kept}", *(" " * indent + line if line else "" for line in lines)])


def _the_one_with_a_manifest(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = [one for one in objects if isinstance(one.get("data"), dict) and MANIFEST in one["data"]]
    if len(found) != 1:
        how_many = "no ConfigMap" if not found else f"{len(found)} ConfigMaps"
        raise ChangeRefused(f"{name} holds {how_many} with {MANIFEST} in its data; give one that does")
    return found[0]


def _key_of(objects: list[dict[str, Any]], path: str) -> bytes | None:
    for one in objects:
        text: Mapping[str, Any] = one.get("data") or {}
        if path in text:
            return str(text[path]).encode()
        binary: Mapping[str, Any] = one.get("binaryData") or {}
        if path in binary:
            try:
                return base64.b64decode(binary[path])
            except (binascii.Error, TypeError):
                return None
    return None
