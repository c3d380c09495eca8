"""What the chart passes on: each value arrives where Kubernetes looks for it, after the chart's own."""

import re
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, Document, Helm, Render, container
from tests.chart.test_values import SCHEMA, nodes

FILE = CHART / "ci" / "extras-values.yaml"
VALUES: dict[str, Any] = yaml.safe_load(FILE.read_text())
HINTS: dict[str, str] = yaml.safe_load(
    (CHART / "templates" / "_hints.tpl").read_text().partition('hints" -}}\n')[2].partition("{{- end }}")[0]
)


@pytest.fixture
def render(helm: Helm) -> Render:
    """The chart with all of them."""
    return helm.template(file=FILE)


def pod(render: Render) -> dict[str, Any]:
    """The pods' specification."""
    found: dict[str, Any] = render.one("Deployment")["spec"]["template"]["spec"]
    return found


def test_a_pod_has_what_was_asked_for(render: Render) -> None:
    spec = pod(render)
    for name in ("runtimeClassName", "dnsPolicy", "affinity", "initContainers"):
        assert spec[name] == VALUES[name]
    assert [each["name"] for each in spec["containers"]] == ["server", "ship-logs"]
    assert spec["containers"][1:] == VALUES["extraContainers"]
    assert spec["volumes"][-2:] == VALUES["extraVolumes"]
    assert {each["name"] for each in spec["volumes"][:-2]} == {"tmp", "state", "cache", "models"}


def test_the_server_has_what_was_asked_for(render: Render) -> None:
    server = container(render.one("Deployment"))
    assert server["args"] == VALUES["args"]
    assert server["env"][-2:] == VALUES["extraEnv"]
    assert server["envFrom"] == VALUES["extraEnvFrom"]
    assert server["volumeMounts"][-1:] == VALUES["extraVolumeMounts"]


def test_secrets_and_what_is_passed_on_stand_side_by_side(helm: Helm) -> None:
    server = container(helm.template({"secrets": {"keys": {"env": True}}}, file=FILE).one("Deployment"))
    assert server["envFrom"] == [{"secretRef": {"name": "keys"}}, *VALUES["extraEnvFrom"]]


def test_services_and_hosts_have_what_was_asked_for(render: Render) -> None:
    service = next(each for each in render.all("Service") if "clusterIP" not in each["spec"])["spec"]
    assert (service["type"], service["loadBalancerIP"]) == ("LoadBalancer", "203.0.113.10")
    assert service["externalTrafficPolicy"] == "Local"
    assert render.one("Ingress")["spec"]["tls"] == VALUES["ingress"]["tls"]


def test_a_scaler_has_more_metrics_and_its_own_pace(helm: Helm, render: Render) -> None:
    spec = render.one("HorizontalPodAutoscaler")["spec"]
    assert [each["type"] for each in spec["metrics"]] == ["ContainerResource", "Pods"]
    assert spec["behavior"] == VALUES["autoscaling"]["behavior"]
    alone = helm.template(file=FILE, sets={"autoscaling.targetCPUPercent": "0"}).one("HorizontalPodAutoscaler")
    assert alone["spec"]["metrics"] == VALUES["autoscaling"]["metrics"]
    plain = helm.template(sets={"autoscaling.enabled": "true"}).one("HorizontalPodAutoscaler")["spec"]
    assert plain["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 300}}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_keeps_the_charts_relabelings_before_yours(helm: Helm, kind: str) -> None:
    file = FILE if kind == "ServiceMonitor" else CHART / "ci" / "autoscaling-values.yaml"
    given = yaml.safe_load(file.read_text())["monitoring"][kind[0].lower() + kind[1:]]
    spec = helm.template(file=file).one(kind)["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    assert endpoint["scrapeTimeout"] == given["scrapeTimeout"]
    assert endpoint["relabelings"][0]["targetLabel"] == "track"
    assert endpoint["relabelings"][1:] == given["relabelings"]
    assert endpoint["metricRelabelings"] == given["metricRelabelings"]


def test_manifests_of_yours_are_rendered_as_templates(render: Render) -> None:
    found = render.one("ConfigMap", "-proxy")
    assert found["metadata"] == {
        "name": "shop-model-manager-proxy",
        "labels": {"app.kubernetes.io/instance": "shop"},
    }
    assert found["data"] == {"HTTP_PROXY": "http://proxy.models:3128"}


def test_nothing_is_passed_on_unasked(helm: Helm) -> None:
    text = helm.template().text
    for name in ("args", "envFrom", "initContainers", "runtimeClassName", "dnsPolicy", "affinity", "loadBalancerIP"):
        assert f"{name}:" not in text


@pytest.mark.parametrize(
    ("sets", "name"),
    [
        ({"replicaCount": "3"}, "replicaCount"),
        ({"livenessProbe.periodSeconds": "3"}, "livenessProbe"),
        ({"image.registry": "registry.example.com"}, "image.registry"),
    ],
)
def test_a_value_that_other_charts_have_is_refused_with_its_name_here(
    helm: Helm, sets: dict[str, str], name: str
) -> None:
    assert f"{name}: this chart has no such value: set {HINTS[name]}" in helm.refuses(sets)


def test_every_hint_is_of_a_name_that_the_schema_lets_through_and_leads_to_a_value() -> None:
    deprecated = {
        f"{parent}.{name}".lstrip(".")
        for parent, node in nodes(SCHEMA)
        for name, child in node.get("properties", {}).items()
        if child.get("deprecated")
    }
    assert deprecated == HINTS.keys()
    for hint in HINTS.values():
        first = re.match(r"[A-Za-z]+(\.[A-Za-z]+)?", hint)
        assert first is not None
        node: Document = SCHEMA
        for part in first[0].split("."):
            node = node["properties"][part]
        assert not node.get("deprecated"), hint
