"""What is in the image, and what is not: nothing of the build, nothing that only builds or tests."""

import json
import re
import subprocess

import pytest

from tests.conftest import ROOT
from tests.image.containers import BASE, TIMEOUT_S, measured, podman, python

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(TIMEOUT_S)]

_FILES = """
import os
for folder, folders, names in os.walk("/"):
    if folder == "/":
        folders[:] = set(folders) - {"proc", "sys", "dev"}
    for name in names:
        print(os.path.join(folder, name))
"""
_NEEDED = """
from importlib.metadata import distribution
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

extras = ("compiled", "fast", "otlp", "signing", "skops", "remote")
needed, open_ends = set(), [("model-manager-server", extra) for extra in extras]
while open_ends:
    name, extra = open_ends.pop()
    if (name, extra) not in needed:
        needed.add((name, extra))
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                dependency = canonicalize_name(requirement.name)
                open_ends += [(dependency, one) for one in ("", *requirement.extras)]
print(*{name for name, extra in needed})
"""
_INSTALLED = """
from importlib.metadata import distributions
from packaging.utils import canonicalize_name

print(*(f"{canonicalize_name(found.name)}=={found.version}" for found in distributions()))
"""
_UNCOMPILED = """
import sys
from pathlib import Path
import model_manager.cli

for module in list(sys.modules.values()):
    cached = getattr(module, "__cached__", None)
    if cached and not Path(cached).exists():
        print(module.__name__)
"""


def test_only_an_environment_and_bytecode_lie_on_the_base(image: str) -> None:
    added = set(python(image, _FILES).splitlines()) - set(python(BASE, _FILES).splitlines())
    assert [path for path in added if not path.startswith("/opt/venv/") and "/__pycache__/" not in path] == []
    unwanted = ("/tests/", ".pyx", "/pip/", "/setuptools/", "pip.conf", ".pem", ".whl", "editable")
    public_roots = ("/certifi/cacert.pem", "/grpc/_cython/_credentials/roots.pem")  # what any client trusts
    left = [path for path in added if not path.endswith(public_roots)]
    assert [path for path in left if any(part in path for part in unwanted)] == []
    assert any(path.endswith("/model_manager/cli.py") for path in added)


def test_the_packages_are_those_that_serving_needs_at_the_locked_versions(image: str) -> None:
    installed = python(image, _INSTALLED).split()
    assert {package.partition("==")[0] for package in installed} == set(python(image, _NEEDED).split())
    lock = (ROOT / "locks" / "serve.txt").read_text().splitlines()
    locked = {re.sub(r"\[.*?\]", "", line.split()[0]) for line in lock if "==" in line and not line.startswith(" ")}
    assert [package for package in installed if package not in locked] == [
        package for package in installed if package.startswith("model-manager-server==")
    ]


def test_nothing_that_a_start_imports_has_to_be_compiled(image: str) -> None:
    assert python(image, _UNCOMPILED) == ""


def test_it_says_what_it_is_and_how_it_runs(image: str) -> None:
    (inspected,) = json.loads(podman("image", "inspect", image))
    config = inspected["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["model-manager", "serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert sorted(config["ExposedPorts"]) == ["8080/tcp", "8081/tcp"]
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert config["Labels"][f"org.opencontainers.image.{name}"]
    measured.append(f"image of {inspected['Size'] / 1e6:.0f} MB, its layers from the newest:")
    for layer in json.loads(podman("history", "--format=json", image)):
        if layer["size"]:
            measured.append(f"{layer['size'] / 1e6:8.1f} MB  {layer['CreatedBy'][:90]}")


def test_the_bill_of_materials_names_what_is_installed(image: str) -> None:
    made = subprocess.run(
        ["make", "--no-print-directory", "sbom", "CONTAINERS=podman"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads((ROOT / "build" / "sbom" / "model-manager.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "model-manager-server"
    listed = {component["purl"] for component in bill["components"] if "purl" in component}
    installed = {f"pkg:pypi/{package.replace('==', '@')}" for package in python(image, _INSTALLED).split()}
    assert listed | {purl for purl in installed if "model-manager-server@" in purl} == installed
