"""Pods counted by the cluster: a HorizontalPodAutoscaler takes over without taking a pod away."""

from pathlib import Path

import pytest

from tests.cluster.staging import Namespace, wait_until

SCALER_S = 90.0  # it looks every 15 s


@pytest.mark.parametrize("major", [4, 3], ids=["helm4", "helm3"])
def test_a_scaler_takes_over_and_raises_the_pods_to_its_least(namespace: Namespace, samples: Path, major: int) -> None:
    namespace.apply_models("models", samples, default="1")
    namespace.install({"replicas": 2, "tracks.stable.existingConfigMap": "models"}, helm=major)
    try:
        before = {each["metadata"]["name"] for each in namespace.pods()}
        namespace.upgrade({"autoscaling.enabled": "true", "autoscaling.minReplicas": 3}, helm=major)

        def at_least() -> bool:
            now = {each["metadata"]["name"] for each in namespace.pods()}
            assert before <= now, "the upgrade took pods away"
            return len(now) == 3

        wait_until(at_least, "the third pod", limit_s=SCALER_S)
        namespace.wait_for_pods(3)
    finally:
        namespace.helm("uninstall", "models", "--wait", major=major)
