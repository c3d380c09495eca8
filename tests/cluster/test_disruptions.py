"""What callers lose when pods, servers, nodes or the control plane go: nothing, or what those had begun."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.staging import (
    CommandFailed,
    Document,
    Namespace,
    Traffic,
    is_ready,
    measured,
    question,
    restarts,
    wait_until,
)

SERVICE = "models-model-manager"
CONNECTIONS = 8
OUTLIERS = 10  # istio.outlierDetection.consecutiveGatewayErrors


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """Two pods under mTLS."""
    namespace.apply_models("models", samples, default="1")
    namespace.install(
        {
            "routing": "istio",
            "istio.peerAuthentication.enabled": "true",
            "podDisruptionBudget.enabled": "true",
            "tracks.stable.existingConfigMap": "models",
        }
    )
    return namespace


@pytest.fixture
def traffic(models: Namespace) -> Iterator[Traffic]:
    """Requests that do not stop, to two ready pods."""
    models.wait_for_pods(2)
    with models.traffic(question(SERVICE, requests=None, connections=CONNECTIONS, pause_s=0.01)) as running:
        yield running


def test_a_rolling_restart_fails_no_request(models: Namespace, traffic: Traffic) -> None:
    models.kubectl("rollout", "restart", f"deployment/{SERVICE}-stable")
    models.wait_for_rollout()
    traffic.take(200)
    models.wait_for_pods(2)
    everything = traffic.so_far()
    measured.append(f"rolling restart: {everything.failed} of {everything.all} failed")
    assert everything.failed == 0, everything.bodies


def test_a_deleted_pod_fails_no_request(models: Namespace, traffic: Traffic) -> None:
    gone, *_ = models.pods()
    models.kubectl("delete", "pod", gone["metadata"]["name"])
    models.wait_for_pods(2)
    traffic.take(200)
    everything = traffic.so_far()
    measured.append(f"deleted pod: {everything.failed} of {everything.all} failed")
    assert everything.failed == 0, everything.bodies


def test_pods_that_are_evicted_one_by_one_fail_no_request(models: Namespace, traffic: Traffic) -> None:
    first, second = (each["metadata"]["name"] for each in models.pods())
    wait_until(lambda: evict(models, first), f"{first} to be evicted")
    assert not evict(models, second), "the budget let both go at once"
    wait_until(lambda: evict(models, second), f"{second} to be evicted, once another is ready", limit_s=120)
    models.wait_for_pods(2)
    traffic.take(200)
    everything = traffic.so_far()
    measured.append(f"drained node: {everything.failed} of {everything.all} failed")
    assert everything.failed == 0, everything.bodies


def test_a_killed_server_loses_what_it_had_begun(models: Namespace, traffic: Traffic) -> None:
    victim, *_ = models.pods()
    before = traffic.take(200)
    assert before.failed == 0, before.bodies
    name = victim["metadata"]["name"]
    began = restarts([victim])[name]
    os.kill(server_of(victim), signal.SIGKILL)
    wait_until(lambda: restarts(models.pods())[name] > began, "the server to be started again")
    wait_until(lambda: is_ready(models.get("pod", name)), "the pod to be ready again")
    traffic.take(200)
    everything = traffic.so_far()
    measured.append(f"killed server: {everything.failed} of {everything.all} failed, {dict(everything.counts)}")
    assert everything.failed <= CONNECTIONS + OUTLIERS, everything.bodies


def test_a_pod_that_falls_silent_loses_what_it_had_begun(models: Namespace, traffic: Traffic) -> None:
    """As all those of a node that is lost: for most of a minute the API still calls them ready."""
    silent, *_ = models.pods()
    before = traffic.take(200)
    assert before.failed == 0, before.bodies
    with silenced(silent, towards=traffic.address):
        lost = traffic.take(4000)  # longer than a request may take, and than the pod is left out at first
        after = traffic.take(4000)
    everything = traffic.so_far()
    measured.append(f"silent pod: {lost.failed} of {lost.all} failed, {dict(lost.counts)}; then {dict(after.counts)}")
    assert 0 < lost.failed <= CONNECTIONS, lost.bodies
    assert after.failed == 0, after.bodies
    assert everything.failed == lost.failed, everything.bodies


def test_requests_go_on_while_the_control_plane_stands_still(
    models: Namespace, traffic: Traffic, samples: Path
) -> None:
    with control_plane_away(models):
        after = traffic.take(1000)
        models.apply_models("models", samples, default="2")  # the pods' own folder needs no control plane
        wait_until(lambda: traffic.take(50).of(version="1") == 0, "version 2 to answer", limit_s=120)
    models.apply_models("models", samples, default="1")
    everything = traffic.so_far()
    measured.append(f"istiod away: {everything.failed} of {everything.all} failed")
    assert after.failed == everything.failed == 0, everything.bodies


def evict(models: Namespace, pod: str) -> bool:
    """Ask for a pod to go, as `kubectl drain` asks for each of a node; False where the budget does not let it."""
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": models.name}}
    place = f"/api/v1/namespaces/{models.name}/pods/{pod}/eviction"
    try:
        models.kubectl("create", "--raw", place, "-f", "-", stdin=json.dumps(asked))
    except CommandFailed as error:
        if "disruption budget" not in str(error):
            raise
        return False
    return True


def server_of(pod: Document) -> int:
    """The process that serves in a pod; skips where pods do not run on this machine."""
    name = pod["metadata"]["name"]
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"HOSTNAME={name}".encode() in environment and b"serve" in words:
            return int(folder.name)
    pytest.skip("no process of the pod is seen on this machine: its server cannot be killed")


@contextmanager
def silenced(pod: Document, *, towards: str) -> Iterator[None]:
    """A pod sends nothing to an address any more, not even that it does not; skips where that cannot be done."""
    network = f"--net=/proc/{server_of(pod)}/ns/net"
    subprocess.run(["nsenter", network, "ip", "route", "add", "blackhole", towards], check=True)
    try:
        yield
    finally:
        subprocess.run(["nsenter", network, "ip", "route", "del", "blackhole", towards], check=True)


@contextmanager
def control_plane_away(models: Namespace) -> Iterator[None]:
    """istiod answers nobody: its pods are gone, or where it is a process of this machine, it stands still."""
    deployments = models.kubectl("get", "deployments", "-n", "istio-system", "-o", "name").split()
    if "deployment.apps/istiod" in deployments:
        models.kubectl("scale", "-n", "istio-system", "deployment/istiod", "--replicas=0")
        try:
            yield
        finally:
            models.kubectl("scale", "-n", "istio-system", "deployment/istiod", "--replicas=1")
            models.kubectl("rollout", "status", "-n", "istio-system", "deployment/istiod")
        return
    processes = [path.parent for path in Path("/proc").glob("[0-9]*/comm") if _is_istiod(path)]
    if len(processes) != 1:
        pytest.skip("istiod is neither a Deployment nor a process of this machine")
    pid = int(processes[0].name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_istiod(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8").startswith("pilot-discovery")
    except OSError:
        return False
