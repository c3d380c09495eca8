"""A model card: what of its Markdown becomes the fields that people look for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import PackageRefused
from model_manager.packaging.card import MAX_BYTES, card_of, read_card


def read(folder: Path, text: str | bytes) -> tuple[str | None, str | None, str | None]:
    path = folder / "card.md"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    card = read_card(path)
    return card.owner, card.description, card.intended_use


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", (None, None, None)),
        ("# Title only\n", (None, None, None)),
        ("Just words,\nover lines.\n\nMore.", (None, "Just words, over lines.", None)),
        ("---\nowner: Ana\nIntended use: calls\n---\nWords.", ("Ana", "Words.", "calls")),
        ("---\nowner: [Ana, Bo]\ndescription: |\n  two\n  lines\n---\n# T\nWords.", ("Ana, Bo", "two lines", None)),
        ("---\r\nintended-use: x\r\n---\r\nWords.\r\n", (None, "Words.", "x")),
        ("\ufeff---\nowner: Ana\n---\n", ("Ana", None, None)),
        ("---\n- a list\n---\nWords.", (None, "Words.", None)),
        ("---\nno end of it", (None, "--- no end of it", None)),
        ("## Intended Uses & limitations\nA.\n\nB.\n### C\nD.\n## Other\nE.", (None, "A.", "A. B. ### C D.")),
        ("# M\nWords.\n## Uses\n\n## Next\n", (None, "Words.", None)),
    ],
)
def test_the_fields_are_found_where_the_field_writes_them(
    tmp_path: Path, text: str, fields: tuple[str | None, str | None, str | None]
) -> None:
    assert read(tmp_path, text) == fields


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x" * (MAX_BYTES + 1), "a model card has at most 65,536 bytes, this one 65,537"),
        (b"first\nsecond \xff\n", "line 2 is no UTF-8"),
        (b"---\na: 1\nowner: [Ana\n---\n", "card.md: line 3: the YAML of the model card cannot be read"),
    ],
)
def test_a_card_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(PackageRefused, match=told):
        read(tmp_path, content)


def test_plain_words_are_fields(tmp_path: Path) -> None:
    assert card_of({"owner": "Ana"}).model_dump(exclude_none=True) == {"owner": "Ana"}
    with pytest.raises(PackageRefused, match="a model card has no 'author'"):
        card_of({"author": "Ana"})


@given(st.text() | st.tuples(st.text(), st.text()).map(lambda parts: f"---\n{parts[0]}\n---\n{parts[1]}"))
def test_any_text_is_a_card_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.md"
    path.write_bytes(text.encode(errors="surrogateescape" if text.isascii() else "replace"))
    try:
        card = read_card(path)
    except PackageRefused:
        return
    assert card.text is None or card.text in path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
