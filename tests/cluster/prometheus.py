"""A Prometheus in the cluster that scrapes the pods of a namespace's release, and what it says.

Which pods there are it reads from a file, which a container beside it keeps: Debian's Prometheus knows no Kubernetes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import yaml
from model_manager.version import __version__

from tests.cluster import finder
from tests.cluster.staging import IMAGE, CommandFailed, Document, Namespace, wait_until

PROMETHEUS: Final = os.environ.get("CLUSTER_PROMETHEUS", "prom/prometheus:v3.5.0")
SCRAPE_S: Final = 1
OUTSIDE: Final[Document] = {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}, "spec": {"containers": [{}]}}
"""Pods without a proxy."""


@dataclass(frozen=True)
class Prometheus:
    """One that runs; `address` is its pod's."""

    namespace: Namespace
    name: str
    address: str

    @property
    def url(self) -> str:
        """Where pods, and processes that reach pods, ask it."""
        return f"http://{self.address}:9090"

    def targets(self) -> Sequence[tuple[str, str]]:
        """Health of every pod that it scrapes, and why it is down."""
        return [(each["health"], each["lastError"]) for each in self._ask("targets")["activeTargets"]]

    def query(self, expression: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """Labels and values of an instant query."""
        found = self._ask(f"query?query={quote(expression)}")["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def _ask(self, path: str) -> dict[str, Any]:
        pod = f"/api/v1/namespaces/{self.namespace.name}/pods/{self.name}:9090/proxy/api/v1/{path}"
        answer: dict[str, Any] = json.loads(self.namespace.kubectl("get", "--raw", pod))["data"]
        return answer


def start(
    namespace: Namespace,
    name: str = "prometheus",
    *,
    template: Document = OUTSIDE,
    job: Document | None = None,
    jobs: Sequence[Document] = (),
) -> Prometheus:
    """Start one as a pod of this template, which scrapes with these settings, and wait until it answers."""
    found = {"file_sd_configs": [{"files": ["/found/targets.json"], "refresh_interval": "1s"}]}
    scrape = {"job_name": "models", **found, **(job or {})}
    config = {"global": {"scrape_interval": f"{SCRAPE_S}s"}, "scrape_configs": [scrape, *jobs]}
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"prometheus.yml": yaml.safe_dump(config)},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
        _pod(namespace, name, template),
    )
    address = wait_until(lambda: namespace.get("pod", name)["status"].get("podIP"), f"an address of {name}")
    running = Prometheus(namespace, name, address)

    def answers() -> bool:
        try:
            return bool(running.query("vector(1)"))
        except CommandFailed:
            return False

    wait_until(answers, f"{name} to answer", limit_s=120)
    return running


def _pod(namespace: Namespace, name: str, template: Document) -> Document:
    (container,) = template["spec"]["containers"]
    own = [{"name": part, "mountPath": path} for part, path in (("config", "/etc/prom"), ("found", "/found"))]
    data = {"name": "data", "mountPath": "/data"}
    scraping = {
        "name": "prometheus",
        "image": PROMETHEUS,
        "command": ["prometheus", "--config.file=/etc/prom/prometheus.yml", "--storage.tsdb.path=/data"],
        "volumeMounts": [*container.get("volumeMounts", []), *own, data],
    }
    finding = {
        "name": "finder",
        "image": f"{IMAGE}:{__version__}",
        "command": ["python", "-c", Path(finder.__file__).read_text(encoding="utf-8"), namespace.name],
        "volumeMounts": own[1:],
    }
    volumes = [
        {"name": "config", "configMap": {"name": name}},
        *({"name": part, "emptyDir": {}} for part in ("found", "data")),
    ]
    spec = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": [scraping, finding],
        "volumes": [*template["spec"].get("volumes", []), *volumes],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}, "spec": spec}
