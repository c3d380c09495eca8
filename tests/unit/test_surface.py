"""What people build upon does not go unnoticed: docs/stability.md promises how it changes."""

import json

import pytest

from tests.conftest import ROOT
from tools.surface import SURFACE, surface

COMMITTED = json.loads(SURFACE.read_text(encoding="utf-8"))
TODAY = surface()


@pytest.mark.parametrize("what", sorted(COMMITTED))
def test_nothing_that_was_promised_has_gone(what: str) -> None:
    gone = sorted(set(COMMITTED[what]) - set(TODAY.get(what, ())))
    assert not gone, f"announce it first, as docs/stability.md says, and keep it meanwhile: {gone}"


@pytest.mark.parametrize("what", sorted(TODAY))
def test_what_is_new_is_written_down(what: str) -> None:
    new = sorted(set(TODAY[what]) - set(COMMITTED.get(what, ())))
    assert not new, f"`make docs` adds it to docs/surface.json: {new}"


def test_the_page_explains_every_kind() -> None:
    page = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    for what in COMMITTED:
        assert f"| {what} |" in page
