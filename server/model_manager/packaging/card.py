"""A model card, in Markdown or as plain words → what metadata says of a model for people.

The field's form of a card: Markdown that may begin with a few lines of YAML between `---`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from model_manager.errors import PackageRefused
from model_manager.repository.metadata import Card

MAX_BYTES: Final = 64 * 1024
"""Metadata is read at every load, and has to fit into a ConfigMap beside its artifact."""
_FIELDS: Final = ("owner", "description", "intended_use")
_FRONT: Final = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_HEADING: Final = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t#]*$", re.MULTILINE)
_INTENDED: Final = re.compile(r"(?:intended[ _-]uses?\b.*|uses?)", re.IGNORECASE)


def read_card(path: Path) -> Card:
    """Read a model card from a file of Markdown.

    `owner`, `description` and `intended_use` are taken from the YAML at its beginning; where that is silent, the first
    paragraph is the description, and the section "Intended use" the intended use. Raises PackageRefused.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackageRefused(f"{path}: the model card cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise PackageRefused(f"{path}: a model card has at most {MAX_BYTES:,} bytes, this one {len(content):,}; link")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PackageRefused(f"{path}: line {line} is no UTF-8; save the model card as UTF-8") from None
    said = _front_matter(path, text)
    body = _FRONT.sub("", text)
    return Card(
        owner=said.get("owner"),
        description=said.get("description") or _first_paragraph(body),
        intended_use=said.get("intended_use") or _section(body, _INTENDED),
        text=text.strip() or None,
    )


def card_of(said: Mapping[str, str]) -> Card:
    """Take a card from plain words. Raises PackageRefused for a key that a card does not have."""
    unknown = sorted(said.keys() - Card.model_fields.keys())
    if unknown:
        raise PackageRefused(f"a model card has no {unknown[0]!r}; it has {', '.join(Card.model_fields)}")
    return Card(**said)


def _front_matter(path: Path, text: str) -> dict[str, str]:
    found = _FRONT.match(text)
    if found is None:
        return {}
    try:
        said = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
        line = f" line {mark.line + 2}:" if mark is not None else ""
        raise PackageRefused(f"{path}:{line} the YAML of the model card cannot be read; quote its texts") from None
    if not isinstance(said, dict):
        return {}
    named = {str(key).lower().replace(" ", "_").replace("-", "_"): value for key, value in said.items()}
    return {field: text for field in _FIELDS if (text := _as_text(named.get(field)))}


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return " ".join(str(value).split()) if value is not None else ""


def _first_paragraph(body: str) -> str | None:
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", _HEADING.sub("\n\n", body)))
    return next((one for one in paragraphs if one), None)


def _section(body: str, title: re.Pattern[str]) -> str | None:
    """The text below a heading, up to the next one of its level or above."""
    headings = list(_HEADING.finditer(body))
    for at, heading in enumerate(headings):
        if title.fullmatch(heading[2].strip()):
            ends = (one.start() for one in headings[at + 1 :] if len(one[1]) <= len(heading[1]))
            return " ".join(body[heading.end() : next(ends, len(body))].split()) or None
    return None
