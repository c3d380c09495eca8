"""Change which version of a model answers, in the text of a manifest: those lines alone, whatever else people wrote.

Place in the flow: below changing. The text is changed where the keys stand, not read and written anew: comments,
quotes, order, spacing and line ends stay. What comes out is held against what was meant before anybody sees it.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from model_manager.errors import ChangeRefused, ManifestInvalid
from model_manager.manifests.yaml_places import Node, locate
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.yaml_lines import read_yaml

_MARK = "\ufeff"
_Edit = tuple[int, int, str]


def with_default(manifest: bytes, model: str, keys: Mapping[str, str], name: str) -> bytes:
    """Set `default`, and `previous` where given, of one model in a valid manifest; `name` is what errors call it.

    Raises ChangeRefused where that would change more: the entry is shared with another through an anchor.
    """
    text = manifest.decode()
    mark, text = (_MARK, text[1:]) if text.startswith(_MARK) else ("", text)
    entry = locate(text)[0].value("models")
    found = entry.entry(model) if entry is not None else None
    if found is None or not found[1].items:
        raise _shared(name, model)
    edited = mark + _apply(text, list(_edits(text, *found, keys)))
    if not _is_as_meant(manifest, edited.encode(), model, keys, name):
        raise _shared(name, model)
    return edited.encode()


def _shared(name: str, model: str) -> ChangeRefused:
    return ChangeRefused(
        f"{name}: the entry of {model} cannot be changed by itself: it, or its default, is shared through a YAML "
        "anchor (&name, *name); write it out and try again"
    )


def _edits(text: str, key: Node, entry: Node, keys: Mapping[str, str]) -> list[_Edit]:
    """What to replace, in order of the text. Keys that are not there go below `default`, which goes first."""
    edits: list[_Edit] = []
    missing: dict[str, str] = {}
    for one, value in keys.items():
        if (there := entry.entry(one)) is not None:
            edits.append(_replaced(text, there[1], value))
        else:
            missing[one] = value
    if missing:
        edits.append(_inserted(text, key, entry, missing))
    return sorted(edits, key=lambda edit: edit[0])  # stable: a value goes before what follows it


def _replaced(text: str, old: Node, value: str) -> _Edit:
    quoted = f"'{value}'" if old.style == "'" else f'"{value}"'
    before = "" if text[old.start - 1 : old.start].isspace() or old.end > old.start else " "
    return old.start, old.end, before + quoted


def _inserted(text: str, key: Node, entry: Node, missing: Mapping[str, str]) -> _Edit:
    first = entry.items[0][0]
    quote = '"' if first.style == '"' else ""
    pairs = [f'{quote}{name}{quote}: "{value}"' for name, value in missing.items()]
    default = entry.entry("default")
    if entry.flow:
        if default is not None:
            at = default[1].end
            return at, at, "".join(f", {pair}" for pair in pairs)
        return first.start, first.start, "".join(f"{pair}, " for pair in pairs)
    column = first.start - max(text.rfind(line_end, 0, first.start) for line_end in "\n\r") - 1
    line_end = _line_end_of(text)
    if default is not None:
        at = _next_line(text, default[1].end)
    else:
        at = _next_line(text, key.end)
        if at > first.start or not _says_nothing(text[at : first.start]):
            # The first key stands on the line of its parent, or something else stands between them.
            return first.start, first.start, "".join(f"{pair}{line_end}{' ' * column}" for pair in pairs)
    lines = [" " * column + pair for pair in pairs]
    if at and text[at - 1] not in "\r\n":  # the last line has no end
        return at, at, "".join(line_end + line for line in lines)
    return at, at, "".join(line + line_end for line in lines)


def _says_nothing(lines: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in re.split(r"\r\n|\n|\r", lines))


def _next_line(text: str, at: int) -> int:
    match = re.compile(r"\r\n|\n|\r").search(text, at)
    return match.end() if match else len(text)


def _line_end_of(text: str) -> str:
    match = re.search(r"\r\n|\n|\r", text)
    return match[0] if match else "\n"


def _apply(text: str, edits: list[_Edit]) -> str:
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


def _is_as_meant(before: bytes, after: bytes, model: str, keys: Mapping[str, str], name: str) -> bool:
    """Whether the new text is a manifest that differs from the old one by these keys and by nothing else."""
    try:
        parse_manifest(after, name)
        meant, got = _plain(before, name), _plain(after, name)
    except ManifestInvalid:
        return False
    values = {key: got["models"][model].pop(key, None) for key in keys}
    for key in keys:
        meant["models"][model].pop(key, None)
    return values == dict(keys) and repr(meant) == repr(got)  # by their texts, since NaN is unequal to itself


def _plain(manifest: bytes, name: str) -> dict[str, Any]:
    data: Any = copy.deepcopy(read_yaml(manifest, name).data)
    return dict(data)
