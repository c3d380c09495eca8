"""What is changed in a cluster is followed by every pod without a restart: a ConfigMap, and a Secret."""

import hashlib
import time
from pathlib import Path

import pytest

from tests.cluster.staging import Namespace, measured, question, restarts, wait_until

SERVICE = "models-model-manager"
KUBELET_S = 150.0  # a kubelet looks about once a minute, and its cache may be as old


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """Two pods that want an API key."""
    namespace.apply_models("models", samples, default="1")
    know(namespace, "first")
    namespace.install(
        {
            "routing": "istio",
            "tracks.stable.existingConfigMap": "models",
            "secrets.api-keys.mount": "true",
            "settings.apiKeys": "/secrets/api-keys",
        }
    )
    return namespace


def know(namespace: Namespace, *keys: str) -> None:
    """Have a Secret with these API keys, each its own id."""
    lines = [f"  {key}: {{sha256: {hashlib.sha256(key.encode()).hexdigest()}}}" for key in keys]
    data = {"api-keys.yaml": "\n".join(["keys:", *lines, ""])}
    namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api-keys"}, "stringData": data})


def test_a_changed_configmap_is_served_by_every_pod_without_a_restart(models: Namespace, samples: Path) -> None:
    pods = models.pods()
    hosts = [f"{pod['status']['podIP']}:8080" for pod in pods]
    asked = [question(host, headers={"x-api-key": "first"}) for host in hosts]
    with models.traffic(
        question(SERVICE, requests=None, connections=4, pause_s=0.02, headers={"x-api-key": "first"})
    ) as traffic:
        began = time.monotonic()
        models.apply_models("models", samples, default="2")
        wait_until(lambda: traffic.take(20).of(version="1") == 0, "version 2 to answer", limit_s=KUBELET_S)
        took = time.monotonic() - began
        assert [set(each.counts) for each in models.ask(*asked)] == [{(200, "2")}] * 2
        everything = traffic.so_far()
    measured.append(
        f"a changed ConfigMap was in force after {took:.1f} s; {everything.failed} of {everything.all} failed"
    )
    assert everything.failed == 0, everything.bodies
    assert restarts(models.pods()) == restarts(pods)


def test_a_renewed_key_is_known_without_a_restart(models: Namespace) -> None:
    pods = models.pods()
    old, new = (question(SERVICE, requests=20, headers={"x-api-key": key}) for key in ("first", "second"))
    assert [each.status for each in models.ask(old, new)] == [200, 401]
    know(models, "first", "second")
    wait_until(lambda: models.ask(new)[0].of(status=200) == 20, "the new key to be known", limit_s=KUBELET_S)
    know(models, "second")
    wait_until(lambda: models.ask(old)[0].of(status=401) == 20, "the old key to be forgotten", limit_s=KUBELET_S)
    assert models.ask(new)[0].failed == 0
    assert restarts(models.pods()) == restarts(pods)
