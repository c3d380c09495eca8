"""Change the traffic of a model in the text of a manifest: those lines alone, whatever else people wrote.

Place in the flow: `model-manager rollout` → **traffic_editing** → the file, or the ConfigMap, that holds the manifest.
What comes out is held against what was meant before anybody sees it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import yaml

from model_manager.errors import ManifestInvalid
from model_manager.repository.manifest import Manifest, ModelEntry, parse_manifest
from model_manager.repository.wanted import version_order

_MARK = "\ufeff"
_Edit: TypeAlias = tuple[int, int, str]
"""Where to begin, where to end, and what to put there."""


def entry_of(text: str, model: str, name: str = "models.yaml") -> ModelEntry:
    """Read what a manifest says of one model; `name` is what errors call it. Raises ManifestInvalid."""
    models = parse_manifest(text.encode(), name).models
    if model not in models:
        raise ManifestInvalid(f"{name} has no model {model!r}; it lists {', '.join(sorted(models)) or 'none'}")
    return models[model]


def weights_of(entry: ModelEntry) -> dict[str, int]:
    """The percent of each version, by which requests that name none are dealt; all to the default without traffic."""
    return dict(entry.traffic) if entry.traffic else {entry.default_version: 100}


def set_traffic(text: str, model: str, weights: Mapping[str, int], name: str = "models.yaml") -> str:
    """Give each version of a model its percent; those with traffic that are not named get none.

    Raises ManifestInvalid for a manifest, a model or weights that no server would accept, and where the lines cannot be
    changed alone: another model shares them through an anchor.
    """
    before = entry_of(text, model, name)
    mark, body = (_MARK, text[1:]) if text.startswith(_MARK) else ("", text)
    root = yaml.compose(body, Loader=yaml.SafeLoader)
    _, entry = _pair(_pair(root, "models")[1], model)
    key, there = _pair(entry, "traffic")
    wanted = {**dict.fromkeys(before.traffic or (), 0), **weights}
    if key is None:
        edits = [_first(body, entry, f"traffic: {_flow(wanted)}")]
    elif isinstance(there, yaml.MappingNode):
        edits = list(_in_place(body, there, wanted))
    else:  # it is there and says nothing
        edits = [(key.end_mark.index, there.end_mark.index, f": {_flow(wanted)}")]
    for start, end, new in sorted(edits, reverse=True):
        body = body[:start] + new + body[end:]
    edited = mark + body
    after, meant = parse_manifest(edited.encode(), name), _with(parse_manifest(text.encode(), name), model, wanted)
    if repr(after) != repr(meant):  # by their texts, since NaN is unequal to itself
        raise ManifestInvalid(
            f"{name}: the traffic of {model} cannot be changed by itself: it is shared through a YAML anchor (&name, "
            "*name); write it out and try again"
        )
    return edited


def _with(manifest: Manifest, model: str, weights: Mapping[str, int]) -> Manifest:
    entry = manifest.models[model]
    there = list(entry.traffic or ())
    names = there + sorted(weights.keys() - set(there), key=version_order)
    changed = entry.model_copy(update={"traffic": {name: weights[name] for name in names}})
    return manifest.model_copy(update={"models": {**manifest.models, model: changed}})


def _flow(weights: Mapping[str, int]) -> str:
    return "{" + ", ".join(f'"{name}": {weights[name]}' for name in sorted(weights, key=version_order)) + "}"


def _in_place(text: str, there: yaml.MappingNode, weights: Mapping[str, int]) -> Iterator[_Edit]:
    """New weights where the old ones stand, and lines for new versions after the last one."""
    known = {key.value: value for key, value in there.value}
    for version, value in known.items():
        yield value.start_mark.index, value.end_mark.index, str(weights[version])
    missing = sorted(weights.keys() - known.keys(), key=version_order)
    pairs = [f'"{version}": {weights[version]}' for version in missing]
    if not pairs:
        return
    first, last = there.value[0][0].start_mark, there.value[-1][1].end_mark.index
    if there.flow_style:
        yield last, last, "".join(f", {pair}" for pair in pairs)
        return
    line_end = re.compile(r"\r\n|\n|\r|$").search(text, last)
    assert line_end is not None, "a text has an end"
    at, end = line_end.start(), _line_end_of(text)
    yield at, at, "".join(f"{end}{' ' * first.column}{pair}" for pair in pairs)


def _first(text: str, entry: Any, pair: str) -> _Edit:
    """A new first key of a mapping."""
    mark = entry.value[0][0].start_mark
    between = ", " if entry.flow_style else _line_end_of(text) + " " * mark.column
    return mark.index, mark.index, pair + between


def _pair(mapping: Any, key: str) -> tuple[Any, Any]:
    """The nodes of a key and its value; None twice where it is not there."""
    return next(((one, value) for one, value in mapping.value if one.value == key), (None, None))


def _line_end_of(text: str) -> str:
    match = re.search(r"\r\n|\n|\r", text)
    return match[0] if match else "\n"
