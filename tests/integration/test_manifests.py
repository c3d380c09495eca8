"""Packages → a ConfigMap → the folder that a pod mounts → a running server, which follows promote and rollback."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from model_manager import write_package
from model_manager.cli import cli

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant
from tools.kubelet import ConfigMapVolume

ROW = [[0.0, 0.0]]


def command(*arguments: object, given: str | None = None) -> str:
    """Run a command in this process, and give what it prints."""
    done = CliRunner().invoke(cli, [*map(str, arguments)], input=given)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def process(*arguments: object, given: str) -> str:
    """Run a command as a process of its own, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "model_manager", *map(str, arguments)], input=given, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mounted(text: str) -> dict[str, bytes]:
    """What a pod sees of ConfigMaps in one projected volume."""
    files: dict[str, bytes] = {}
    for document in yaml.safe_load_all(text):
        parts: dict[str, Any] = document.get("binaryData", {})
        files |= {key: base64.b64decode(value) for key, value in parts.items()}
        files |= {key: value.encode() for key, value in document.get("data", {}).items()}
    return files


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    for version in ("1", "2"):
        write_package(constant(float(version)), name="m", version=version, repository=repository)
    return repository


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> ConfigMapVolume:
    return ConfigMapVolume(tmp_path_factory.mktemp("mount"))


@pytest.fixture(scope="module")
def server(repository: Path, volume: ConfigMapVolume) -> Iterator[LiveServer]:
    volume.write(mounted(command("configmap", "models", repository / "m" / "1")))
    with live_server(volume.folder, poll_interval_s=60, require_digest=True) as server:
        yield server


def answers(server: LiveServer, value: float) -> bool:
    response = server.predict("m", ROW)
    return response.status_code == 200 and response.json()["predictions"] == [value]


def test_a_config_map_is_served_and_follows_promote_and_rollback(
    repository: Path, volume: ConfigMapVolume, server: LiveServer
) -> None:
    assert answers(server, 1.0)
    both = command("configmap", "models", repository / "m", "--default", "m=1")
    promoted = command("promote", "-", "m", "2", given=both)
    volume.write(mounted(promoted))
    wait_until(lambda: answers(server, 2.0), "version 2 to answer")
    volume.write(mounted(process("rollback", "-", "m", given=promoted)))
    wait_until(lambda: answers(server, 1.0), "version 1 to answer again")
    assert server.status("m", "2")[0] == "READY"
    # Split into immutable ones nothing is loaded anew: the same bytes under the same names.
    loaded = load_seconds(server)
    volume.write(mounted(command("configmap", "models", repository / "m", "--immutable")))
    wait_until(lambda: answers(server, 2.0), "version 2 to answer")
    assert load_seconds(server) == loaded


def load_seconds(server: LiveServer) -> dict[str, float]:
    """How long reading each version took: of one that is loaded anew, another time. Compiling ends when it ends."""
    name = "model_manager_version_load_seconds"
    times = {version: server.metric(name, model_version=version, phase="load") for version in "12"}
    assert all(times.values())
    return times
