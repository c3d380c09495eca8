"""What people are told to install is this distribution, by its own name and with an extra that it has."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_manager.version import DISTRIBUTION, __version__, pip_install

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
_TOLD = re.compile(
    r"pip install(?: -\S+| --\S+)* ['\"]?(?P<name>model-manager[\w-]*)"
    r"|(?<![\w/.-])(?P<with_extra>model-manager[\w-]*)\\?\[(?P<extra>[a-z]+)\\?\]"
    r"|pip_install\(['\"](?P<called>[\w-]+)['\"]\)"
)


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the project that a person or a program may take a name from, with its path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if name != f"tests/{Path(__file__).name}" and path.is_file() and path.suffix not in {".png", ".joblib"}:
            yield name, path.read_bytes().decode(errors="replace")


def test_messages_name_the_distribution_as_its_metadata_does() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert PROJECT["version"] == __version__
    assert pip_install("grpc") == f"pip install '{PROJECT['name']}[grpc]'"


def test_whatever_is_said_to_be_installed_is_this_distribution_with_extras_that_it_has() -> None:
    said = [(name, match) for name, text in texts() for match in _TOLD.finditer(text)]
    names = {(where, match["name"] or match["with_extra"]) for where, match in said} - {
        (where, None) for where, _ in said
    }
    assert [(where, name) for where, name in names if name != DISTRIBUTION] == []
    extras = {(where, match["extra"] or match["called"]) for where, match in said if match["name"] is None}
    assert [(where, extra) for where, extra in extras if extra not in EXTRAS] == []
    assert {where.partition("/")[0] for where, _ in extras} >= {"server", "docs"}  # what is looked for is found


@pytest.mark.parametrize(
    "text",
    ["pip install model-manager", "pip install -U 'model-manager[grpc]'", "needs model-manager[grpc]",
     r"match=r'model-manager\[grpc\]'"],
    ids=["bare", "quoted", "extra", "pattern"],
)  # fmt: skip
def test_another_name_would_be_seen(text: str) -> None:
    match = _TOLD.search(text)
    assert match is not None
    assert (match["name"] or match["with_extra"]) == "model-manager"


def test_the_pythons_that_are_named_are_those_that_are_admitted() -> None:
    named = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    least, bound = (int(minor) for minor in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert named == {f"3.{minor}" for minor in range(least, bound)}
