"""Just enough of an API server for kubectl to get and to apply ConfigMaps, and to see what it sends."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Objects = dict[str, dict[str, Any]]
"""ConfigMaps by name, in the order in which they were applied."""

_FOUND: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "configmaps",
                "singularName": "configmap",
                "namespaced": True,
                "kind": "ConfigMap",
                "verbs": ["get", "patch"],
            }
        ],
    },
}
_PLACE = "/api/v1/namespaces/shop/configmaps/"


@contextmanager
def api_server(objects: Objects, folder: Path) -> Iterator[Path]:
    """Keep objects that are applied; yields a kubeconfig that leads there. What the real one refuses is refused."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            name = path.removeprefix(_PLACE)
            if path in _FOUND:
                self._answer(200, _FOUND[path])
            elif name in objects:
                self._answer(200, objects[name])
            else:
                self._answer(404, _failure(404, "NotFound", f"{path} not found"))

        def do_PATCH(self) -> None:
            name = self.path.partition("?")[0].removeprefix(_PLACE)
            body = self.rfile.read(int(self.headers["content-length"]))
            applied: dict[str, Any] = yaml.load(body, Loader=yaml.CSafeLoader)
            assert self.headers["content-type"] == "application/apply-patch+yaml"
            known = objects.get(name)
            version = applied["metadata"].pop("resourceVersion", None)
            if "managedFields" in applied["metadata"]:
                return self._answer(422, _failure(422, "Invalid", "metadata.managedFields must be nil"))
            if known is not None and version not in (None, known["metadata"]["resourceVersion"]):
                return self._answer(409, _failure(409, "Conflict", "the object has been modified"))
            if known is not None and known.get("immutable") and known["data"] != applied["data"]:
                return self._answer(422, _failure(422, "Invalid", "field is immutable"))
            count = int(known["metadata"]["resourceVersion"]) + 1 if known is not None else 1
            applied["metadata"] |= {
                "resourceVersion": str(count),
                "managedFields": [{"manager": "kubectl"}],
                "uid": "7",
            }
            objects[name] = applied
            return self._answer(201 if known is None else 200, applied)

        def _answer(self, status: int, answer: dict[str, Any]) -> None:
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
        kubeconfig.write_text(json.dumps(_kubeconfig(server.server_address[1])), encoding="utf-8")
        yield kubeconfig
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": message,
    }


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "shop"}}],
    }
