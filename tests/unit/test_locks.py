"""What `make serve` installs is a part of what the image holds: the same versions, none of the extras, and not much."""

import re
import tomllib
from importlib.metadata import distribution

from packaging.requirements import Requirement

from tests.conftest import ROOT


def pins(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file; several where they differ by Python's version."""
    found: dict[str, set[str]] = {}
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    for package, version in re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_what_is_served_on_a_laptop_is_what_the_image_serves() -> None:
    base, image = pins("base"), pins("serve")
    assert base
    assert {name: image.get(name) for name in base} == base


def test_the_extras_stay_out_of_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        re.split(r"[<>=;\[ ]", one)[0].lower() for many in project["optional-dependencies"].values() for one in many
    }
    assert extras
    assert not extras & {*pins("base")}


def test_it_is_little_beside_what_anybody_would_install() -> None:
    """FastAPI itself is not here; without it the limit is the stricter one. docs/compared.md has the whole figures."""
    text = (ROOT / "locks" / "base.txt").read_text(encoding="utf-8")
    base = {
        one.name for one in map(Requirement, re.findall(r"^[a-z0-9].*==[^\\]*", text, re.MULTILINE)) if applies(one)
    }
    others = with_all_they_need("pandas", "pydantic", "scikit-learn", "starlette", "uvicorn")
    assert others <= base
    assert size(base) <= 1.15 * size(others), sorted((-size({name}), name) for name in base - others)


def applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def with_all_they_need(*names: str) -> set[str]:
    found: set[str] = set()
    missing = [*names]
    while missing:
        name = missing.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or ())
            missing += [re.sub("[-_.]+", "-", one.name).lower() for one in needed if applies(one)]
    return found


def size(names: set[str]) -> int:
    """The bytes of what is installed, without bytecode, which is there or not by how it was installed."""
    files = (file for name in names for file in distribution(name).files or () if file.suffix != ".pyc")
    return sum(file.size or 0 for file in files)
