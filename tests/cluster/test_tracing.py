"""One trace, from the gateway through both proxies and the server to the batch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from model_manager.version import __version__

from tests.cluster import collector
from tests.cluster.staging import CHART, IMAGE, Document, Namespace, question
from tools.patience import wait_until

HOST: Final = "models.example.com"
PORT: Final = 9411
PROXY: Final = {"sidecar.istio.io/inject": "true", "gateway": "own"}
AS_GATEWAY: Final = {"inject.istio.io/templates": "gateway"}


def pod(name: str, container: Document, labels: Document, annotations: Document) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001},
            "containers": [container],
        },
    }


def address(namespace: Namespace, name: str) -> str:
    found: str = wait_until(lambda: namespace.get("pod", name)["status"].get("podIP"), f"an address of {name}")
    return found


@pytest.fixture(scope="module")
def gateway(namespace: Namespace, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a gateway before the release; it, the proxies and the server send what they trace to one place."""
    program = Path(collector.__file__).read_text(encoding="utf-8")
    command = ["python", "-c", program, str(PORT)]
    taking = {"name": "collector", "image": f"{IMAGE}:{__version__}", "command": command}
    namespace.apply(pod("collector", taking, {"sidecar.istio.io/inject": "false"}, {}))
    place = f"{address(namespace, 'collector')}:{PORT}"
    traced = {"proxy.istio.io/config": json.dumps({"tracing": {"sampling": 100, "zipkin": {"address": place}}})}
    namespace.apply(pod("gateway", {"name": "istio-proxy", "image": "auto"}, PROXY, {**AS_GATEWAY, **traced}))
    values = {
        "podAnnotations": traced,
        "tracing": {"enabled": True, "endpoint": f"http://{place}", "protocol": "http/protobuf"},
        "route": {"hosts": [HOST]},
        "istio": {"gateway": {"create": True, "selector": {"gateway": "own"}}},
        "replicas": 1,
        "image": {"repository": IMAGE, "tag": __version__},
        "routing": "istio",
        "tracks": {"stable": {"existingConfigMap": "models"}},
    }
    file = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    namespace.apply_models("models", samples, default="1")
    namespace.helm("install", "models", CHART, "--values", file)  # Helm 4 would wait for a status of the Gateway
    namespace.wait_for_rollout()
    return address(namespace, "gateway")


def test_a_request_is_one_trace_from_the_gateway_to_the_batch(gateway: str, namespace: Namespace) -> None:
    asked = question(f"{gateway}:80", requests=20, headers={"host": HOST})
    wait_until(lambda: namespace.ask(asked, sidecar=False)[0].of(status=200) == 20, "the gateway to know the release")

    def spans() -> Sequence[dict[str, Any]]:
        return [json.loads(line) for line in namespace.kubectl("logs", "collector").splitlines()]

    def whole() -> bool:
        seen = spans()
        batches = {trace for each in seen if each["by"] == "server" for trace in each["links"]}
        by_id = {each["id"]: each for each in seen}
        for inner in (each for each in seen if each["by"] == "server" and each["trace"] in batches):
            way = [inner]
            while way[-1]["parent"] in by_id:
                way.append(by_id[way[-1]["parent"]])
            makers = [each["by"] for each in way]
            if makers[0] == "server" and any(each.startswith("gateway") for each in makers):
                return True
        return False

    wait_until(whole, "a trace that begins at the gateway and ends in a batch", limit_s=60)
