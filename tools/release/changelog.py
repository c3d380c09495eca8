"""CHANGELOG.md at a release: the section of what is unreleased becomes that of the version, with its date."""

import re

from tools.release.commands import Refused
from tools.release.versions import Version

_UNRELEASED = "## Unreleased"


def unreleased(text: str) -> str:
    """What the next release changes. Raises Refused when nothing is written there."""
    section = _section(text, _UNRELEASED)
    if "\n- " not in section:
        raise Refused(f"CHANGELOG.md says nothing under {_UNRELEASED!r}: what would users get?")
    return section


def dated(text: str, version: Version, date: str) -> str:
    """The changelog of the release, with an empty section for what comes next; an ISO date."""
    return text.replace(f"{_UNRELEASED}\n", f"{_UNRELEASED}\n\n## {version} - {date}\n", 1)


def notes(text: str, version: Version) -> str:
    """What a release changes, for its page. Raises Refused when there is no such section."""
    return _section(text, f"## {version}").strip() + "\n"


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^{re.escape(heading)}(?: - [-\d]+)?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise Refused(f"CHANGELOG.md has no section {heading!r}")
    return found[1]
