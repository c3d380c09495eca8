"""YAML text → where in it each key and value stands, so that one can be changed and no other character.

Place in the flow: below editing and configmap_files. Parsed as the server parses: positions are those of libyaml.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BLOCK_TEXT: Final = ("|", ">")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the text: characters from `start` up to `end`; of a mapping, its keys and values in order.

    `style` is the quote or `|` or `>` of a scalar, "" for a plain one. An alias is no scalar and no mapping.
    """

    start: int
    end: int
    scalar: str | None = None
    style: str = ""
    flow: bool = False
    items: "tuple[tuple[Node, Node], ...]" = field(default=())

    def entry(self, key: str) -> "tuple[Node, Node] | None":
        """Give a key and its value; None where there is no such key."""
        return next(((one, value) for one, value in self.items if one.scalar == key), None)

    def value(self, *path: str) -> "Node | None":
        """Give the value under keys below keys; None where there is none."""
        node: Node | None = self
        for key in path:
            found = node.entry(key) if node is not None else None
            node = found[1] if found is not None else None
        return node


def locate(text: str) -> list[Node]:
    """Give the root of every document in a text that is known to be YAML. A byte order mark must be off."""
    events = yaml.parse(text, Loader=_Loader)
    return [_node(next(events), events, text) for event in events if isinstance(event, yaml.DocumentStartEvent)]


def _node(event: yaml.Event, events: Iterator[yaml.Event], text: str) -> Node:
    start, end = _index(event.start_mark), _index(event.end_mark)
    if isinstance(event, yaml.ScalarEvent):
        style = event.style or ""
        if style in _BLOCK_TEXT:  # whose end takes in the empty lines below
            end = start + len(text[start:end].rstrip("\r\n"))
        return Node(start, end, scalar=event.value, style=style)
    if isinstance(event, yaml.MappingStartEvent):
        items = []
        while not isinstance(following := next(events), yaml.MappingEndEvent):
            key = _node(following, events, text)
            items.append((key, _node(next(events), events, text)))
        return Node(start, _index(following.end_mark), flow=bool(event.flow_style), items=tuple(items))
    if isinstance(event, yaml.SequenceStartEvent):
        while not isinstance(following := next(events), yaml.SequenceEndEvent):
            _node(following, events, text)
        return Node(start, _index(following.end_mark), flow=bool(event.flow_style))
    return Node(start, end)


def _index(mark: Any) -> int:
    """Give the character at which a mark stands; every event of the parser has two."""
    index: int = mark.index
    return index
