"""A container of the image serves, follows its mount, stops: read-only, unprivileged, limited, without a shell."""

import base64
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT
from tests.image.containers import CPUS, MEMORY, TIMEOUT_S, Container, contained, measured, podman
from tests.live import wait_until
from tests.models import constant, dump, put
from tests.slow_model import SlowRegressor
from tools import leash
from tools.kubelet import ConfigMapVolume

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(TIMEOUT_S)]

ROW = [[0.0, 0.0]]
_LIMITS = """
from pathlib import Path
from model_manager.cpus import allowed_cpus
cgroup = Path("/sys/fs/cgroup")
memory = cgroup / "memory.max" if (cgroup / "memory.max").exists() else cgroup / "memory/memory.limit_in_bytes"
print(allowed_cpus(), memory.read_text().strip())
"""
_MEMORY = """
from pathlib import Path
lines = Path("/proc/1/status").read_text().splitlines()
print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")))
"""
_PRIVILEGES = """
import os, pathlib
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
print(os.getuid(), os.getgid(), int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"])
"""
_WRITABLE = """
import os
def writable(folder):
    try:
        os.close(os.open(f"{folder}/probe", os.O_CREAT))
    except OSError:
        return False
    return True
print(*[folder for folder in ("/", "/opt/venv", "/models", "/var/tmp", "/tmp") if writable(folder)])
"""


def test_the_samples_are_ready_soon_and_answer(image: str, models: Path, options: list[str]) -> None:
    with contained(image, models, options) as server:
        took = time.monotonic() - server.started
        answer = server.predict("iris", [[6.0, 2.8, 4.8, 1.6]])
        assert answer.json() == {"predictions": ["virginica"]}
        assert answer.headers["x-model-version"] == "2"
        memory = int(server.python(_MEMORY)) / 1e6
    measured.append(f"ready with the samples {took:.2f} s after `podman run`, on {CPUS} CPU; {memory:.0f} MB resident")
    assert took < 20


def test_limits_hold_and_nothing_can_be_written_or_gained(image: str, models: Path, options: list[str]) -> None:
    with contained(image, models, options) as server:
        assert server.python(_LIMITS).split() == [str(CPUS), str(MEMORY)]
        assert server.python(_PRIVILEGES).split() == ["10001", "10001", "0", "0", "1"]
        assert server.python(_WRITABLE) == "/tmp"


def test_several_workers_serve_too(image: str, models: Path, options: list[str]) -> None:
    with contained(image, models, [*options, "--env=MODEL_MANAGER_WORKERS=2", "--memory=1g"]) as server:
        assert server.predict("diabetes", [[0.0] * 10]).status_code == 200


def test_a_term_signal_finishes_what_was_accepted_and_then_exits_zero(
    image: str, tmp_path: Path, options: list[str]
) -> None:
    gates = tmp_path / "gates"
    gates.mkdir()
    gates.chmod(0o777)  # the container's user writes there, and is not ours
    model = SlowRegressor(str(gates / "gate"), str(gates / "entered")).fit(ROW, [0.0])
    model.open()
    put(tmp_path / "models", "slow", "1", dump(model))
    extra = [f"--volume={ROOT / 'tests'}:/extra/tests:ro", "--env=PYTHONPATH=/extra", f"--volume={gates}:{gates}"]
    with contained(image, tmp_path / "models", [*options, *extra]) as server, ThreadPoolExecutor(4) as clients:
        model.shut()
        answers = [clients.submit(server.predict, "slow", [[float(number), 0.0]]) for number in range(4)]
        wait_until(model.entered, "a batch to run")
        wait_until(lambda: server.metric("model_manager_requests_in_flight") == 4, "the others to be accepted")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not server.ready(), "the pod to leave the endpoints")
        model.open()
        assert [answer.result().json() for answer in answers] == [{"predictions": [float(n)]} for n in range(4)]


def test_a_new_version_in_the_mounted_config_map_goes_live_without_a_failed_request(
    image: str, tmp_path: Path, options: list[str]
) -> None:
    artifacts = {f"m-{version}.joblib": dump(constant(float(version))) for version in (1, 2)}
    volume = ConfigMapVolume(tmp_path / "mount")
    volume.write({**artifacts, "models.yaml": _manifest("1")})
    with contained(image, volume.folder, options) as server:
        assert server.predict("m", ROW).json() == {"predictions": [1.0]}
        volume.write({**artifacts, "models.yaml": _manifest("1", "2")})
        swapped = time.monotonic()
        wait_until(lambda: _answer(server) == 2.0, "the new version to answer")
        measured.append(f"a version written to the ConfigMap answers {time.monotonic() - swapped:.2f} s later")
        volume.write({**artifacts, "models.yaml": b"models: [broken"})
        wait_until(lambda: server.logged("cannot be used"), "the broken manifest to be refused")
        assert _answer(server) == 2.0


def _answer(server: Container) -> float:
    answer = server.predict("m", ROW)
    assert answer.status_code == 200
    return float(answer.json()["predictions"][0])


def _manifest(*versions: str) -> bytes:
    wanted = {version: {"artifact": f"m-{version}.joblib"} for version in versions}
    return yaml.safe_dump({"models": {"m": {"versions": wanted}}}).encode()


@pytest.fixture
def pod(image: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a pod that podman plays from Kubernetes' own YAML, with its models in a ConfigMap volume."""
    api, admin = _free_ports(2)
    name = f"model-manager-{api}"
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump_all([_config_map(name), _pod(name, image, api, admin)]))
    leash.run_at_the_end(["podman", "kube", "down", str(file)])
    try:
        podman("kube", "play", "--network=host", str(file))
        yield f"http://127.0.0.1:{api}", f"http://127.0.0.1:{admin}"
    finally:
        print(subprocess.run(["podman", "logs", f"{name}-server"], capture_output=True, text=True).stderr)  # noqa: T201
        subprocess.run(["podman", "kube", "down", str(file)], capture_output=True)


def test_a_pod_serves_the_models_of_its_config_map(pod: tuple[str, str]) -> None:
    api, admin = pod
    wait_until(lambda: _reachable(f"{admin}/v2/health/ready"), "the pod to be ready")
    answer = httpx.post(f"{api}/v1/models/m:predict", json={"instances": ROW})
    assert answer.json() == {"predictions": [1.0]}


def _reachable(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _config_map(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"models.yaml": _manifest("1").decode()},
        "binaryData": {"m-1.joblib": base64.b64encode(dump(constant(1.0))).decode()},
    }


def _pod(name: str, image: str, api: int, admin: int) -> dict[str, Any]:
    ports = {"HOST": "127.0.0.1", "PORT": str(api), "ADMIN_PORT": str(admin)}
    server = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "env": [{"name": f"MODEL_MANAGER_{key}", "value": value} for key, value in ports.items()],
        "securityContext": {
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"limits": {"cpu": str(CPUS), "memory": str(MEMORY)}},
        "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
    }
    spec = {
        "hostNetwork": True,
        "containers": [server],
        "volumes": [{"name": "models", "configMap": {"name": name}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
