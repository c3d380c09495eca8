"""YAML text → plain data, plus the line every key stands on. Refuses what plain loading lets pass: duplicate keys, keys
that are not strings, tags, and documents that would explode.

Place in the flow: below manifest, which says what the data has to look like.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from model_manager.errors import ManifestInvalid
from model_manager.repository.regular_files import Limit

KeyPath: TypeAlias = tuple[str | int, ...]

LIMIT: Final = Limit(4 * 2**20, "keep artifacts in files of their own")
_MAX_DEPTH = 32
_MAX_NODES = 100_000  # a thousand models need a tenth; each takes some ten microseconds
_MAX_PLAIN = 100  # characters of a number or a date; base 60 makes a number of a million digits in days
_FEW_NODES = 10_000

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp"))
_KINDS = {"int": "a number", "float": "a number", "bool": "a truth value", "timestamp": "a date", "null": "nothing"}
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

# The parser of libyaml is several times faster and in every wheel of PyYAML; both read the same language.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data, and for every key path the line (from 1) on which its key or item stands."""

    name: str
    data: object
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int:
        """Say on which line a key path stands; for a key that is not there, on which its nearest parent does."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def refusal(self, path: KeyPath, problem: str) -> ManifestInvalid:
        """Make the error that names line, key and problem."""
        return _refusal(self.name, self.line_of(path), path, problem)


def read_yaml(text: bytes, name: str) -> Document:
    """Read one YAML document.

    Raises ManifestInvalid with the line and, where there is one, the key.
    """
    if len(text) > LIMIT.bytes:
        raise _refusal(name, 1, (), f"larger than {LIMIT.bytes >> 20} MiB; {LIMIT.advice}")
    source = _decode(text, name)
    try:
        _check_extent(source, name)
        loader = _Loader(source)
        try:
            return _Reading(loader, name, size=len(source)).document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise _refusal(name, mark.line + 1 if mark else 1, (), f"not YAML: {problem}") from None


class _Reading:
    """One walk over the node graph; aliases are followed, within limits."""

    def __init__(self, loader: Any, name: str, *, size: int) -> None:
        self._loader = loader
        self._name = name
        self._lines: dict[KeyPath, int] = {(): 1}
        self._nodes = 0
        self._most_nodes = max(_FEW_NODES, min(size, _MAX_NODES))  # every value takes a character, without aliases
        self._characters_left = size + _FEW_NODES

    def document(self) -> Document:
        node = self._loader.get_single_node()
        return Document(self._name, None if node is None else self._value(node, ()), self._lines)

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        self._nodes += 1
        if isinstance(node, yaml.ScalarNode):
            self._characters_left -= len(node.value)
        if self._nodes > self._most_nodes or self._characters_left < 0:
            raise self._refusal(node, path, "aliases make the document many times larger than it is written")
        if len(path) > _MAX_DEPTH:  # aliases can nest deeper than the text does, and can hold themselves
            raise self._refusal(node, path, f"nested more than {_MAX_DEPTH} deep")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return {key: self._value(value, (*path, key)) for key, value in self._items(node, path)}
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, path)
        raise self._refusal(node, path, f"the tag {node.tag.replace(_TAG, '!!')} is not read here")

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        seen: dict[str, int] = {}
        for key_node, value in node.value:
            key = self._key(key_node, path)
            self._characters_left -= len(key)
            line = _line(key_node)
            if key in seen:
                raise self._refusal(key_node, (*path, key), f"duplicate key (first on line {seen[key]})")
            seen[key] = self._lines[(*path, key)] = line
            yield key, value

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _TAG + "str":
                return str(node.value)
            if node.tag == _TAG + "merge":
                raise self._refusal(node, path, "merge keys (<<) are not read here; write the keys out")
            kind = _KINDS.get(node.tag.removeprefix(_TAG), "something else")
            raise self._refusal(
                node, path, f'the key {node.value} is {kind} to YAML, not text: write "{node.value}" in quotes'
            )
        raise self._refusal(node, path, "a key must be a string")

    def _item(self, node: yaml.Node, path: KeyPath) -> object:
        self._lines[path] = _line(node)
        return self._value(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        if node.tag == _TAG + "str":
            return node.value
        try:
            if len(node.value) > _MAX_PLAIN:
                raise ValueError(f"longer than the {_MAX_PLAIN} characters of any number or date")
            return self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:  # such as 2026-13-45, which looks like a date
            raise self._refusal(
                node, path, f"cannot read {node.value[:40]}: {error}; is it text? write it in quotes"
            ) from None

    def _refusal(self, node: yaml.Node, path: KeyPath, problem: str) -> ManifestInvalid:
        return _refusal(self._name, _line(node), path, problem)


def _decode(text: bytes, name: str) -> str:
    try:
        source = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise _refusal(name, line, (), f"not UTF-8 text (byte {text[error.start]:#04x})") from None
    if wrong := _NOT_TEXT.search(source):
        line = source.count("\n", 0, wrong.start()) + 1
        raise _refusal(name, line, (), f"holds the control character #x{ord(wrong[0]):04x}")
    return source


def _check_extent(source: str, name: str) -> None:
    """Refuse what is nested too deep or holds too much, before anything is made of it.

    libyaml composes by recursion on the C stack, where too deep a nesting ends the process; its events do not.
    """
    depth = nodes = 0
    for event in yaml.parse(source, Loader=_Loader):
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if nodes > _MAX_NODES:
                what = f"holds more than {_MAX_NODES:,} keys and values; put metadata into files beside the artifacts"
                raise _refusal(name, _line(event), (), what)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise _refusal(name, _line(event), (), f"nested more than {_MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(marked: yaml.Node | yaml.Event) -> int:
    mark = marked.start_mark
    return mark.line + 1 if mark is not None else 1


def _refusal(name: str, line: int, path: KeyPath, problem: str) -> ManifestInvalid:
    """Make the error of a document that is refused: `models.yaml line 7: models.iris.default: what is wrong`."""
    where = f"{_dotted(path)}: " if path else ""
    return ManifestInvalid(f"{name} line {line}: {where}{problem}")


def _dotted(path: KeyPath) -> str:
    # Keys that hold a dot are quoted, so that the version "1.2" is not taken for two keys.
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in path)
