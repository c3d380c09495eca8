"""Which version a release may be, and every place that says it: what SemVer and docs/stability.md demand of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools.release.commands import Refused, git

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_WRITTEN = {
    "pyproject.toml": (r'^version = "(\S+)"$',),
    "server/model_manager/version.py": (r'^__version__ = "(\S+)"$',),
    "charts/model-manager/Chart.yaml": (r"^version: (\S+)$", r'^appVersion: "(\S+)"$'),
}
"""The files that say the version, and how; each pattern is found once."""
_SHOWN = r"\bmodel-manager:(\d+\.\d+\.\d+)\b"
"""How pages name the image of a release."""


@dataclass(frozen=True, order=True)
class Version:
    """A version by SemVer. Pre-releases are none: index, image and chart would each write them another way."""

    major: int
    minor: int
    patch: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises Refused."""
        match = _SEMVER.fullmatch(text)
        if match is None:
            raise Refused(f"VERSION={text} is none: MAJOR.MINOR.PATCH, as in 0.2.0")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def tag(self) -> str:
        """Its tag."""
        return f"v{self}"


def last_release(root: Path) -> Version | None:
    """The highest version that has a tag."""
    tags = git(root, "tag", "--list", "v*").split()
    return max((Version.read(tag[1:]) for tag in tags if _SEMVER.fullmatch(tag[1:])), default=None)


def check_step(root: Path, version: Version, unreleased: str) -> None:
    """Raise Refused for a version that is not after the last one, or promises less change than there is.

    What there is: names that came to docs/surface.json or went since, and what the changelog says in bold or removed.
    """
    last = last_release(root)
    if last is None:
        return
    if version <= last:
        raise Refused(f"{version} is not after {last}, the last release")
    before, now = (
        _surface(git(root, "show", f"{last.tag}:docs/surface.json")),
        _surface(_read(root, "docs/surface.json")),
    )
    breaking = [f"without {name}" for name in sorted(before - now)]
    if "### Removed" in unreleased or re.search(r"^ *- \*\*", unreleased, re.MULTILINE):
        breaking.append("what the changelog says in bold or removed")
    least = Version(last.major, last.minor + 1, 0)
    if breaking and last.major:
        least = Version(last.major + 1, 0, 0)
    if (breaking or now - before) and version < least:
        changes = [*breaking, *(f"new {name}" for name in sorted(now - before))]
        told = "; ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")
        raise Refused(f"after {last} this is at least {least}, and not {version}: {told}")


def _surface(text: str) -> set[str]:
    return {f"{what}: {name}" for what, names in json.loads(text).items() for name in names}


def said(root: Path) -> Iterator[tuple[str, str]]:
    """Every place that says which version this is, as (path, version)."""
    for path, patterns in _WRITTEN.items():
        for pattern in patterns:
            (found,) = re.findall(pattern, _read(root, path), re.MULTILINE)
            yield path, found
    for page in _pages(root):
        for found in re.findall(_SHOWN, _read(root, page)):
            yield page, found


def write(root: Path, version: Version) -> None:
    """Say the version in every place."""
    places = [*_WRITTEN.items(), *((page, (_SHOWN,)) for page in _pages(root))]
    for path, patterns in places:
        text = _read(root, path)
        for pattern in patterns:
            text = re.sub(pattern, lambda match: match[0].replace(match[1], str(version)), text, flags=re.MULTILINE)
        (root / path).write_text(text, encoding="utf-8")


def _pages(root: Path) -> list[str]:
    pages = [root / "README.md", root / "charts/model-manager/README.md", *sorted((root / "docs").glob("*.md"))]
    return [str(page.relative_to(root)) for page in pages]


def _read(root: Path, path: str) -> str:
    return (root / path).read_text(encoding="utf-8")
