"""A release that is asked already takes its route in two upgrades, and fails nothing."""

from pathlib import Path

import pytest

from tests.cluster.staging import Namespace, measured, question

SERVICE = "models-model-manager"


@pytest.mark.parametrize("major", [4, 3], ids=["helm4", "helm3"])
def test_a_route_in_a_release_that_is_asked_fails_no_request(namespace: Namespace, samples: Path, major: int) -> None:
    namespace.apply_models("models", samples, default="1")
    namespace.install({"istio.sidecar": "true", "tracks.stable.existingConfigMap": "models"}, helm=major)
    try:
        with namespace.traffic(question(SERVICE, requests=None, connections=16, pause_s=0.002)) as traffic:
            pods = {each["metadata"]["name"] for each in namespace.pods()}
            namespace.upgrade({"routing": "istio"}, helm=major)
            traffic.take(2000)
            assert {each["metadata"]["name"] for each in namespace.pods()} == pods
            namespace.upgrade({"routing": "none"}, helm=major)
            traffic.take(2000)
            everything = traffic.so_far()
        measured.append(f"routing in an installed release: {everything.failed} of {everything.all} failed")
        assert everything.failed == 0, everything.bodies
    finally:
        namespace.helm("uninstall", "models", "--wait", major=major)
