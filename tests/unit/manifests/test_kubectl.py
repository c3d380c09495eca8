"""The pipes of docs/manifests.md, by a real kubectl: what is printed is applied, and what is got can be changed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_manager.repository.manifest import parse_manifest

from tests.conftest import ROOT
from tests.unit.manifests.api_server import Objects, api_server
from tests.unit.manifests.staging import package
from tools import parts

PIPES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "manifests.md").read_text(encoding="utf-8"), re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if "kubectl" in line
]


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A folder with build/models, and of programs what the page calls."""
    for version in ("1", "2"):
        package(tmp_path / "build" / "models", "iris", version, bytes(200_000) + version.encode())
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(parts.kubectl())
    command = programs / "model-manager"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m model_manager "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return tmp_path


@pytest.fixture
def cluster(shell: Path) -> Iterator[Objects]:
    objects: Objects = {}
    with api_server(objects, shell):
        yield objects


def run(pipe: str, folder: Path) -> str:
    """Run a line of the page."""
    path = f"{folder / 'bin'}:{Path(shutil.which('sh') or '/bin/sh').parent}"
    done = subprocess.run(
        ["sh", "-c", pipe.replace("kubectl apply", "kubectl apply --validate=false")],
        cwd=folder,
        env={**os.environ, "PATH": path, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def default(cluster: Objects) -> str | None:
    return parse_manifest(cluster["models"]["data"]["models.yaml"].encode()).models["iris"].default


def test_what_the_page_shows_is_what_a_cluster_takes(shell: Path, cluster: Objects) -> None:
    apply, split, promote, rollback, last_good = PIPES
    assert ("--immutable" in split, "--last-good" in last_good) == (True, True)
    assert "configmap/models serverside-applied" in run(apply, shell)
    assert default(cluster) == "2"
    run(promote.replace("iris 2", "iris 1"), shell)
    assert default(cluster) == "1"
    run(rollback, shell)
    assert default(cluster) == "2"
    assert set(cluster["models"]["binaryData"]) == {"iris-1.joblib", "iris-2.joblib"}
    assert cluster["models"]["metadata"]["annotations"]["model-manager/changed-by"]


def test_immutable_ones_are_applied_before_what_points_to_them(shell: Path, cluster: Objects) -> None:
    (split,) = [pipe for pipe in PIPES if "--immutable" in pipe]
    run(split, shell)
    assert list(cluster)[-1] == "models"
    assert [each.get("immutable") for each in cluster.values()] == [True, True, None]
