"""docs/README.md lists every page, and the links of all pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
_LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def test_every_page_is_in_the_index_once() -> None:
    listed = re.findall(
        r"^- \[([\w-]+\.md)\]\(\1\): \S", (DOCS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted({page.name for page in DOCS.glob("*.md")} - {"README.md"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name if page.parent != DOCS else f"docs-{page.name}")
def test_links_lead_somewhere(page: Path) -> None:
    for where, part in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        there = (page.parent / where).resolve() if where else page
        assert there.exists(), f"{page.name} links to {where}"
        if part and there.suffix == ".md":
            assert part in anchors(there), f"{page.name} links to {where}#{part}"


def anchors(page: Path) -> set[str]:
    """What may stand behind `#`: headings as GitHub writes them, and what HTML names."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one) for one in headings)
    written = {re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in plain}
    return written | {*re.findall(r'(?:name|id)="([^"]+)"', text)}
