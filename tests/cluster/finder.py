"""Keeps the file by which a Prometheus knows the pods of a release, with the standard library alone: a pod runs it.

usage: finder.py NAMESPACE, with an account that may list its pods. What the chart's monitors say of a pod is said too.
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FILE = Path("/found/targets.json")
_OURS = "labelSelector=app.kubernetes.io/name=model-manager"


def _pods(namespace: str) -> list[dict[str, Any]]:
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    token = (_ACCOUNT / "token").read_text(encoding="utf-8")
    asked = urllib.request.Request(
        f"{server}/api/v1/namespaces/{namespace}/pods?{_OURS}", headers={"authorization": f"Bearer {token}"}
    )
    trusted = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(asked, context=trusted, timeout=10) as answer:
        items: list[dict[str, Any]] = json.load(answer)["items"]
    return items


def _target(pod: dict[str, Any]) -> dict[str, Any]:
    metadata = pod["metadata"]
    labels = {"namespace": metadata["namespace"], "pod": metadata["name"], "track": metadata["labels"]["version"]}
    return {"targets": [f"{pod['status']['podIP']}:8081"], "labels": labels}


def _keep(namespace: str) -> None:
    while True:
        try:
            found = [_target(pod) for pod in _pods(namespace) if pod["status"].get("podIP")]
            unfinished = _FILE.with_suffix(".tmp")
            unfinished.write_text(json.dumps(found), encoding="utf-8")
            unfinished.rename(_FILE)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{error}\n")
        time.sleep(1)


if __name__ == "__main__":
    _keep(sys.argv[1])
