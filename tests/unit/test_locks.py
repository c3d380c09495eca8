"""What `make serve` installs is a part of what the image holds: the same versions, and none of the extras."""

import re
import tomllib

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
