"""The workflows of .github do what .ci/run and the Makefile do, with nothing that others could change meanwhile."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def steps(file: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job.get("steps", ())]


def made(text: str) -> set[str]:
    """The targets that are made."""
    return set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", text))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_actions_are_those_that_were_read(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []


def test_the_same_has_to_hold_there_as_here() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (others,) = re.findall(r"target: \[(.*)\]", text)
    there = made(text) | {each.strip(' "').partition(" ")[0] for each in others.split(",")}
    here = made((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert here
    assert here - there == set()


def test_they_make_what_there_is() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    for file in FILES:
        assert made("\n".join(step["run"] for step in steps(file) if "run" in step)) <= targets


def test_every_python_that_is_admitted_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {line.rpartition(".")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}
    (minors,) = re.findall(r"^MINORS := (.*)$", MAKEFILE, re.MULTILINE)
    assert set(minors.split()) == named
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert {"11", *jobs["pythons"]["strategy"]["matrix"]["minor"]} == named


def test_nothing_is_published_but_by_a_tag() -> None:
    document = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    jobs = document["jobs"]
    assert jobs["registry"]["if"] == "github.event_name == 'push'"
    assert document[True]["push"] == {"tags": ["v*"]}  # YAML 1.1 takes `on` for a boolean
    for name, job in jobs.items():
        writes = {scope for scope, right in job.get("permissions", {}).items() if right == "write"}
        assert not writes or name == "registry" or "registry" in job["needs"]
