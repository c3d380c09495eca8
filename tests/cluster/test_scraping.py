"""Prometheus in the mesh scrapes pods that take mTLS alone: in the two ways of docs/observe.md, and not otherwise."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cluster import prometheus
from tests.cluster.prometheus import Prometheus
from tests.cluster.staging import Document, Namespace, wait_until
from tools.processes import ROOT

PAGE: Final = (ROOT / "docs" / "observe.md").read_text(encoding="utf-8")
WITH_PROXY: Final[Document] = {
    "metadata": {"labels": {"sidecar.istio.io/inject": "true"}},
    "spec": {"containers": [{"name": "prometheus"}]},
}


def pieces() -> list[dict[str, Any]]:
    """What the page says: of Prometheus' pods, of how they ask, and of the release's values."""
    (section,) = re.findall(r"^## Scraping in a mesh\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """Two pods whose admin port takes mTLS alone; Prometheus' namespace may read metrics."""
    if "servicemonitors.monitoring.coreos.com" not in namespace.kubectl("get", "crd", "--output", "name"):
        pytest.skip("the cluster does not know ServiceMonitor: docs/cluster.md says how to have it")
    namespace.apply_models("models", samples, default="1")
    sets = {
        "istio.peerAuthentication.enabled": "true",
        "istio.authorization.enabled": "true",
        "istio.authorization.metricsNamespaces[0]": namespace.name,
        "monitoring.serviceMonitor.enabled": "true",
        "tracks.stable.existingConfigMap": "models",
    }
    namespace.install({"routing": "istio", **sets})
    return namespace


def wait_for(running: Prometheus, health: str) -> None:
    """Wait until both pods are of this health."""
    wait_until(lambda: [each for each, _ in running.targets()] == [health] * 2, f"two pods to be {health}")


def test_with_the_certificates_of_its_proxy_every_pod_is_scraped(models: Namespace) -> None:
    template, job, _ = pieces()
    wait_for(prometheus.start(models, "certified", template=template, job=job), "up")


def test_a_proxy_alone_is_refused_until_the_admin_port_takes_plain_text(models: Namespace, tmp_path: Path) -> None:
    _, _, values = pieces()
    running = prometheus.start(models, "plain", template=WITH_PROXY)
    wait_for(running, "down")
    values["networkPolicy"]["monitoring"]["namespaces"] = [models.name]
    (tmp_path / "values.json").write_text(json.dumps(values), encoding="utf-8")
    models.upgrade({"monitoring.serviceMonitor.enabled": "false"}, values=tmp_path / "values.json")
    wait_for(running, "up")
