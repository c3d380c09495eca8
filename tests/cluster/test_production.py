"""The values of a small production, installed as they are: who is known gets in, and nobody else."""

import shlex
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.cluster.staging import CHART, Namespace, question, wait_until

FILE: Final = CHART / "examples" / "production.yaml"
SERVICE: Final = "models-model-manager"


def command() -> str:
    """The one that the file names, in the namespace of a test."""
    (line,) = (each for each in FILE.read_text(encoding="utf-8").splitlines() if each.startswith("#   helm install "))
    return line.removeprefix("#").replace("--namespace models ", "").strip()


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """A release of these values, ready."""
    crds = namespace.kubectl("get", "crd", "--output", "name")
    if "prometheusrules.monitoring.coreos.com" not in crds:
        pytest.skip("the cluster does not know PrometheusRule: docs/cluster.md says how to have it")
    namespace.apply_models("models", samples, default="1")
    namespace.run(*shlex.split(command()))
    namespace.wait_for_rollout()
    return namespace


def test_it_has_the_pods_that_its_scaler_keeps_and_what_it_declares(models: Namespace) -> None:
    wanted = yaml.safe_load(FILE.read_text(encoding="utf-8"))["autoscaling"]["minReplicas"]
    models.wait_for_pods(wanted)
    kinds = ["podmonitors", "prometheusrules", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers"]
    for kind in [*kinds, "gateways.networking.istio.io", "peerauthentications", "requestauthentications"]:
        assert len(models.list(kind)) == 1, kind


def test_a_known_workload_gets_in_and_a_stranger_does_not(models: Namespace) -> None:
    accounts = (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in ("shop", "other")
    )
    models.apply(*accounts)
    shop = f"cluster.local/ns/{models.name}/sa/shop"  # the file's own is of a namespace that is not the tests'
    models.upgrade({"istio.authorization.callers.shop.principals[0]": shop})
    wait_until(lambda: models.ask(question(SERVICE), account="shop")[0].status == 200, "the shop to be let in")
    (refused,) = models.ask(question(SERVICE), account="other")
    assert refused.status == 403
