"""Just enough of an API server for Helm's `lookup`: the versions and kinds it has, and objects by name."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Cluster = dict[str, dict[str, Any]]
"""Objects by group/version/plural/name, all in the namespace that is asked for."""

KINDS = {
    "v1": {"configmaps": "ConfigMap", "services": "Service", "serviceaccounts": "ServiceAccount"},
    "apps/v1": {"deployments": "Deployment"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.istio.io/v1": {"virtualservices": "VirtualService", "destinationrules": "DestinationRule"},
    "argoproj.io/v1alpha1": {"rollouts": "Rollout", "analysistemplates": "AnalysisTemplate"},
    "flagger.app/v1beta1": {"canaries": "Canary", "metrictemplates": "MetricTemplate"},
    "keda.sh/v1alpha1": {"scaledobjects": "ScaledObject"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "podmonitors": "PodMonitor"},
}
"""What it knows: Helm 4 looks up every kind that it renders."""

OF_THE_RELEASE = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "models"},
}
"""Without these Helm 4 would not touch an object."""


@contextmanager
def cluster(objects: Mapping[str, dict[str, Any]], folder: Path) -> Iterator[Path]:
    """Serve the objects on a port of this machine; yields a kubeconfig that leads there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = _answer(self.path.partition("?")[0].strip("/"), objects)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(server.server_address[1])))
        yield kubeconfig
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }


def _answer(path: str, objects: Mapping[str, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    match path.removeprefix("apis/").removeprefix("api/").split("/"):
        case ["version"]:
            return 200, {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
        case ["api"]:
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return 200, {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(each) for each in KINDS if "/" in each],
            }
        case [*api] if "/".join(api) in KINDS:
            return 200, _resources("/".join(api), KINDS["/".join(api)])
        case [*api, "namespaces", namespace, plural, name] if f"{'/'.join(api)}/{plural}/{name}" in objects:
            version = "/".join(api)
            metadata = {"name": name, "namespace": namespace, **OF_THE_RELEASE}
            found = {"apiVersion": version, "kind": KINDS[version][plural], "metadata": metadata}
            return 200, found | objects[f"{version}/{plural}/{name}"]
    return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def _group(api: str) -> dict[str, Any]:
    group, version = api.split("/")
    return {"name": group, "versions": [{"groupVersion": api, "version": version}]}


def _resources(api: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    listed = [
        {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
        for plural, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": listed}
