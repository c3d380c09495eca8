"""docs/protocols.md: what it says of an endpoint or an option is held by tests that it names, and that are there."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}
ANSWERS = ("same", "better", "not offered")


def rows_of(section: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its two lines of headings."""
    table = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[2:]]


@pytest.fixture(scope="module")
def tests_by_file() -> dict[str, set[str]]:
    """The names of the tests in every file of tests, by the name of the file."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        found[path.stem].update(
            re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
    return found


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_row_names_tests_that_are_there(section: str, tests_by_file: dict[str, set[str]]) -> None:
    rows = rows_of(section)
    assert len(rows) > 5
    for option, offered, _, tests in rows:
        assert offered in ANSWERS, option
        named = re.findall(r"`(\w+)\.(\w+)`", tests)
        assert named, f"{option} names no test"
        for file, test in named:
            assert test in tests_by_file[file], f"{option}: there is no {file}.{test}"


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_what_is_not_offered_says_why(section: str) -> None:
    for option, offered, said, _ in rows_of(section):
        assert (offered == "not offered") == said.startswith("because "), option
