"""One trace, from the gateway through both proxies and the server to the batch."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from model_manager.version import __version__

from tests.cluster import collector
from tests.cluster.staging import CHART, IMAGE, Document, Namespace, question, wait_until
from tools.processes import ROOT

SERVICE: Final = "models-model-manager"
HOST: Final = "models.example.com"
PORT: Final = 9411
PROXY: Final = {"sidecar.istio.io/inject": "true", "istio": "traced-gateway"}
ON_THE_PAGE: Final = "collector.observability:9411"
PAGE: Final = (ROOT / "docs" / "observe.md").read_text(encoding="utf-8")
AS_GATEWAY: Final = {"inject.istio.io/templates": "gateway"}


def pieces() -> list[str]:
    """What the page says: of the release's values, and of annotations of a gateway's pods."""
    (section,) = re.findall(r"^### In a mesh\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)


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
    ours, theirs = (yaml.safe_load(each.replace(ON_THE_PAGE, place)) for each in pieces())
    namespace.apply(pod("gateway", {"name": "istio-proxy", "image": "auto"}, PROXY, {**AS_GATEWAY, **theirs}))
    values = {
        **ours,
        "route": {"hosts": [HOST]},
        "istio": {"gateway": {"create": True, "selector": {"istio": PROXY["istio"]}}},
        "replicas": 1,
        "image": {"repository": IMAGE, "tag": __version__},
        "routing": "istio",
        "tracks": {"stable": {"existingConfigMap": "models"}},
    }
    file = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(values), encoding="utf-8")
    namespace.apply_models("models", samples, default="1")
    # no --wait: Helm 4 does not understand the status that istiod may give a Gateway whose pods have no Service
    namespace.helm("install", "models", CHART, "--values", file)
    namespace.wait_for_rollout()
    return address(namespace, "gateway")


def outwards(span: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> list[str]:
    """Who made a span, and those that it is part of."""
    parent = by_id.get(span["parent"])
    return [span["by"].partition(".")[0], *(outwards(parent, by_id) if parent else ())]


def test_a_request_is_one_trace_from_the_gateway_to_the_batch(gateway: str, namespace: Namespace) -> None:
    asked = question(f"{gateway}:80", requests=20, headers={"host": HOST})
    wait_until(lambda: namespace.ask(asked, sidecar=False)[0].of(status=200) == 20, "the gateway to know the release")

    def ways() -> set[tuple[str, ...]]:
        """Who made the span of a batch, and every span around it."""
        seen = [json.loads(line) for line in namespace.kubectl("logs", "collector").splitlines()]
        by_id = {each["id"]: each for each in seen}
        return {tuple(outwards(each, by_id)) for each in seen if each["name"] == "batch"}

    names = ("server", "server", SERVICE, "gateway")
    wait_until(lambda: names in ways(), "a trace from the gateway to a batch", limit_s=60)
