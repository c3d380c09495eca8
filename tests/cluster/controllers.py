"""Controllers that move weights: Flagger and Argo Rollouts, those of the cluster, or programs of this machine.

The tests ask the same of both: whether a change is under way, how it ended, and how much the new pods get.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import pytest

from tests.cluster.prometheus import Prometheus
from tests.cluster.staging import Document, Namespace, wait_until
from tools.processes import Process

NAME: Final = "models-model-manager"
TITLES: Final = {"flagger": "Flagger", "argo": "Argo Rollouts"}


class Controller(Protocol):
    """One of the two, as the chart names it and as clusters name its Deployment, with the values that it needs."""

    progressive: str
    deployment: str
    values: Document

    def command(self, namespace: Namespace, prometheus: Prometheus) -> list[str]:
        """The program, for this namespace alone."""
        ...

    def settled(self, namespace: Namespace) -> bool:
        """Whether what was installed first has all the traffic, and nothing is under way."""
        ...

    def verdict(self, namespace: Namespace) -> str:
        """promoted, rolled back, paused until people decide, or empty while a change is under way."""
        ...


class Flagger:
    """Flagger: a copy of the Deployment has the traffic."""

    progressive = deployment = "flagger"
    values: Final[Document] = {"autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 2}}

    def command(self, namespace: Namespace, prometheus: Prometheus) -> list[str]:
        """Its ports must be nobody else's on this machine."""
        flags = {
            "kubeconfig": namespace.kubeconfig,
            "namespace": namespace.name,
            "mesh-provider": "istio",
            "metrics-server": prometheus.url,
            "port": 18081,
        }
        return ["flagger", *(f"-{name}={value}" for name, value in flags.items())]

    def settled(self, namespace: Namespace) -> bool:
        """Its primary pods are ready."""
        return self._phase(namespace) == "Initialized"

    def verdict(self, namespace: Namespace) -> str:
        """As its Canary says."""
        return {"Succeeded": "promoted", "Failed": "rolled back"}.get(self._phase(namespace), "")

    @staticmethod
    def _phase(namespace: Namespace) -> str:
        found: str = namespace.get("canary", NAME).get("status", {}).get("phase", "")
        return found


class Argo:
    """Argo Rollouts: a Rollout has the pods, and the Deployment their template."""

    progressive = "argo"
    deployment = "argo-rollouts"
    values: Final[Document] = {"replicas": 1}

    def command(self, namespace: Namespace, prometheus: Prometheus) -> list[str]:
        """Its ports must be nobody else's on this machine."""
        flags = {
            "kubeconfig": namespace.kubeconfig,
            "namespace": namespace.name,
            "healthzPort": 18082,
            "metricsport": 18083,
            "leader-elect": "false",  # the lease would be in a namespace that there need not be
        }
        return ["rollouts-controller", "--namespaced", *(f"--{name}={value}" for name, value in flags.items())]

    def settled(self, namespace: Namespace) -> bool:
        """Its pods are the ones of the template."""
        return self._status(namespace).get("phase") == "Healthy"

    def verdict(self, namespace: Namespace) -> str:
        """As its Rollout says."""
        status = self._status(namespace)
        if status.get("abort"):
            return "rolled back"
        if any(each["reason"] == "InconclusiveAnalysisRun" for each in status.get("pauseConditions") or ()):
            return "paused"
        whole = status.get("currentPodHash") == status.get("stableRS")
        return "promoted" if whole and status.get("phase") == "Healthy" else ""

    @staticmethod
    def _status(namespace: Namespace) -> dict[str, Any]:
        found: dict[str, Any] = namespace.get("rollout", NAME).get("status", {})
        return found


@contextmanager
def running(controller: Controller, namespace: Namespace, prometheus: Prometheus) -> Iterator[None]:
    """Have it watch a namespace: as a process of this machine where the cluster has none; skips without either."""
    deployments = namespace.kubectl("get", "deployments", "--all-namespaces", "--output", "name")
    if f"deployment.apps/{controller.deployment}" in deployments.split():
        yield
        return
    program, *flags = controller.command(namespace, prometheus)
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"neither the cluster nor this machine has {program}: docs/cluster.md says how to have it")
    with Process(program, [found, *flags]):
        yield


def wait_until_settled(controller: Controller, namespace: Namespace) -> None:
    """Wait for the first pods, and for the route to them."""
    wait_until(lambda: controller.settled(namespace), f"{controller.progressive} to take up the release", limit_s=240)


def weight_of_new(namespace: Namespace) -> int:
    """Percent of the traffic that the new pods get, as the route says."""
    *_, weighted = namespace.get("virtualservice", NAME)["spec"]["http"]
    for each in weighted["route"]:
        destination = each["destination"]
        if destination.get("subset") == "canary" or destination["host"].endswith("-canary"):
            return int(each.get("weight", 0))
    return 0
