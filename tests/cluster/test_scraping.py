"""Prometheus in the mesh scrapes pods that take mTLS alone: as docs/observe.md says, and not otherwise."""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cluster.staging import Document, Namespace, question
from tools.patience import wait_until
from tools.processes import ROOT

PAGE: Final = (ROOT / "docs" / "observe.md").read_text(encoding="utf-8")
IMAGE: Final = os.environ.get("CLUSTER_PROMETHEUS", "prom/prometheus:v3.5.0")


def pieces() -> list[dict[str, Any]]:
    """What the page says of Prometheus' pods, and of how they ask."""
    (section,) = re.findall(r"^## Scraping in a mesh\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """Two pods whose admin port takes mTLS alone."""
    namespace.apply_models("models", samples, default="1")
    sets = {"istio.peerAuthentication.enabled": "true", "tracks.stable.existingConfigMap": "models"}
    namespace.install({"routing": "istio", **sets})
    return namespace


def prometheus(name: str, models: Namespace, template: Document, job: Document) -> list[str]:
    """Start one that asks the pods by their addresses; what became of its first scrapes."""
    targets = [f"{pod['status']['podIP']}:8081" for pod in models.pods()]
    scrape = {"job_name": "models", "scrape_interval": "1s", "static_configs": [{"targets": targets}], **job}
    config = {"prometheus.yml": yaml.safe_dump({"scrape_configs": [scrape]})}
    metadata = {"name": name, **template["metadata"]}
    (container,) = template["spec"]["containers"]
    container |= {
        "image": IMAGE,
        "command": ["prometheus", "--config.file=/etc/prom/prometheus.yml", "--storage.tsdb.path=/data"],
        "volumeMounts": [
            *container.get("volumeMounts", []),
            {"name": "config", "mountPath": "/etc/prom"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [
        *template["spec"].get("volumes", []),
        {"name": "config", "configMap": {"name": name}},
        {"name": "data", "emptyDir": {}},
    ]
    spec = {"containers": [container], "volumes": volumes, "securityContext": {"runAsUser": 10001, "fsGroup": 10001}}
    models.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": config},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    )
    address = wait_until(lambda: models.get("pod", name)["status"].get("podIP"), f"an address of {name}")

    def scraped() -> list[str]:
        asked = question(f"{address}:9090", "/api/v1/targets", method="GET")
        (answers,) = models.ask(asked, sidecar=False)
        if answers.of(status=200) == 0:
            return []
        found = [each["health"] for each in json.loads(answers.bodies[200, "-"])["data"]["activeTargets"]]
        return found if found and "unknown" not in found else []

    seen: list[str] = wait_until(scraped, f"scrapes of {name}", limit_s=120)
    return seen


def test_with_istio_s_certificates_every_pod_is_scraped(models: Namespace) -> None:
    template, job = pieces()
    assert prometheus("certified", models, template, job) == ["up", "up"]


def test_a_proxy_alone_is_refused(models: Namespace) -> None:
    template = {
        "metadata": {
            "labels": {"sidecar.istio.io/inject": "true"},
            "annotations": {"traffic.sidecar.istio.io/includeInboundPorts": ""},
        },
        "spec": {"containers": [{"name": "prometheus"}]},
    }
    assert prometheus("plain", models, template, {}) == ["down", "down"]
