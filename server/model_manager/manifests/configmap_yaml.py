"""ConfigMaps → the YAML or the JSON that kubectl reads."""

import base64
from collections.abc import Sequence
from typing import Any

import yaml

from model_manager.manifests.configmaps import ConfigMap, document

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WIDE = 2**31 - 1
"""libyaml breaks no line that is shorter."""


class _Dumper(_Base):  # type: ignore[misc]
    """Writes text of several lines as such, and bytes as Kubernetes wants them."""


def _text(dumper: Any, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)  # type: ignore[no-any-return]


def _bytes(dumper: Any, value: bytes) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", base64.b64encode(value).decode())  # type: ignore[no-any-return]


_Dumper.add_representer(str, _text)
_Dumper.add_representer(bytes, _bytes)


def as_yaml(config_maps: Sequence[ConfigMap]) -> str:
    """Write ConfigMaps as documents of YAML, in order."""
    documents = [document(one) for one in config_maps]
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE, explicit_start=True
    )
    return text


def as_json(config_maps: Sequence[ConfigMap]) -> dict[str, Any]:
    """Give a ConfigMap, or several as a List, as plain data for JSON."""
    items = [document(one) for one in config_maps]
    for item in items:
        if "binaryData" in item:
            item["binaryData"] = {key: base64.b64encode(value).decode() for key, value in item["binaryData"].items()}
    return items[0] if len(items) == 1 else {"apiVersion": "v1", "kind": "List", "items": items}
