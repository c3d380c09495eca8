"""Flagger and Argo Rollouts: what they are given and what is left to them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.chart.chart import CHART, Document, Helm, Render
from tests.chart.cluster import Cluster, cluster

FLAGGER = CHART / "ci" / "flagger-values.yaml"
ARGO = CHART / "ci" / "argo-values.yaml"
GRPC = {"settings.grpcPort": "8082", "monitoring.podMonitor.enabled": "false"}
IRIS_2 = {"tracks.stable.models.iris.versions.1.artifact": "iris-2.joblib"}


def pod_labels(render: Render) -> dict[str, str]:
    """The labels of the only Deployment's pods."""
    labels: dict[str, str] = render.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    return labels


def weighted(render: Render) -> dict[str, int]:
    """The weights of the VirtualService."""
    *_, route = render.one("VirtualService")["spec"]["http"]
    return {each["destination"]["subset"]: each["weight"] for each in route["route"]}


def subsets(render: Render) -> dict[str, dict[str, str]]:
    """The labels of the DestinationRule's subsets."""
    return {each["name"]: each["labels"] for each in render.one("DestinationRule")["spec"]["subsets"]}


def test_flagger_finds_what_its_canary_names(helm4: Helm) -> None:
    render = helm4.template(file=FLAGGER)
    canary, deployment = render.one("Canary")["spec"], render.one("Deployment")
    assert canary["targetRef"]["name"] == canary["autoscalerRef"]["name"] == deployment["metadata"]["name"]
    assert render.one("HorizontalPodAutoscaler")["metadata"]["name"] == canary["autoscalerRef"]["name"]
    ports = {each["name"] for each in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert canary["service"]["targetPort"] in ports
    measured = {each["templateRef"]["name"]: each["thresholdRange"] for each in canary["analysis"]["metrics"]}
    assert measured.keys() == {each["metadata"]["name"] for each in render.all("MetricTemplate")}
    ranges = sorted(range for each in measured.values() for range in each.items())
    assert ranges == [("max", 0), ("max", 0), ("max", 250), ("min", 90), ("min", 99.9)]


def test_flagger_can_tell_the_pods_of_one_release_from_all_others(helm4: Helm) -> None:
    """It takes `app` for its selector where the Deployment has it, and appends -primary to the value for its copy."""
    mine, other = helm4.template(file=FLAGGER), helm4.template(file=FLAGGER, name="other")
    selector = mine.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert selector["app"] == pod_labels(mine)["app"] == "shop-model-manager"
    assert pod_labels(other)["app"] == "other-model-manager"


def test_nothing_that_flagger_moves_is_rendered(helm4: Helm) -> None:
    for case in ("flagger", "flagger-gateway-api"):
        render = helm4.template(file=CHART / "ci" / f"{case}-values.yaml")
        assert not render.kinds() & {"Service", "VirtualService", "DestinationRule", "HTTPRoute"}


def test_who_moves_weights_moves_those_of_grpc_too(helm4: Helm) -> None:
    assert "portDiscovery" not in helm4.template(file=FLAGGER).one("Canary")["spec"]["service"]
    served = helm4.template(file=FLAGGER, sets=GRPC)
    assert served.one("Canary")["spec"]["service"]["portDiscovery"] is True
    (container,) = served.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "grpc-api", "containerPort": 8082} in container["ports"]
    assert 8081 not in [each["containerPort"] for each in container["ports"]]  # Flagger would give it to callers
    assert container["readinessProbe"]["httpGet"]["port"] == 8081
    argo = helm4.template(file=CHART / "ci" / "argo-values.yaml", sets={"settings.grpcPort": "8082"})
    moved = argo.one("Rollout")["spec"]["strategy"]["canary"]["trafficRouting"]["istio"]["virtualService"]["routes"]
    routes = argo.one("VirtualService")["spec"]["http"]
    assert moved == [each["name"] for each in routes if len(each["route"]) > 1] == ["grpc-weighted", "weighted"]


def test_flagger_is_told_the_same_policies_as_the_charts_own_route_has(helm4: Helm) -> None:
    service = helm4.template(file=FLAGGER).one("Canary")["spec"]["service"]
    plain = helm4.template(sets={"routing": "istio"})
    *_, route = plain.one("VirtualService")["spec"]["http"]
    assert (service["timeout"], service["retries"]) == (route["timeout"], route["retries"])
    policy = plain.one("DestinationRule")["spec"]["trafficPolicy"]
    del policy["connectionPool"]["tcp"]  # a field that a Canary does not have
    assert service["trafficPolicy"] == policy
    assert service["gateways"] == ["mesh", "istio-ingress/shared"]


@pytest.mark.parametrize(
    ("version", "errors", "expected"),
    [
        ("1.44", 0, {"splitExternalLocalOriginErrors", "consecutiveLocalOriginFailures", "consecutiveGatewayErrors"}),
        ("1.50.2", 5, {"splitExternalLocalOriginErrors", "consecutiveLocalOriginFailures", "consecutiveGatewayErrors"}),
        ("1.43", 5, {"consecutiveGatewayErrors"}),
        ("1.35.1", 0, set()),  # nothing would be counted
    ],
)
def test_flagger_is_given_the_fields_that_its_version_has(
    helm: Helm, version: str, errors: int, expected: set[str]
) -> None:
    outliers = {"istio": {"outlierDetection": {"consecutiveGatewayErrors": errors}}}
    render = helm.template({"flagger": {"version": version}, **outliers}, file=FLAGGER)
    detection = render.one("Canary")["spec"]["service"]["trafficPolicy"].get("outlierDetection", {})
    assert {each for each in detection if "Errors" in each or "Failures" in each} - {"consecutive5xxErrors"} == expected
    own = helm.template({"flagger": {"version": version}, **outliers}, sets={"routing": "istio"}).one("DestinationRule")
    assert own["spec"]["trafficPolicy"]["outlierDetection"]["splitExternalLocalOriginErrors"] is True


def test_a_changed_models_yaml_is_flaggers_to_track(helm4: Helm) -> None:
    before, after = helm4.template(file=FLAGGER), helm4.template(file=FLAGGER, sets=IRIS_2)
    changed = [a for b, a in zip(before.documents, after.documents, strict=True) if a != b]
    assert [each["kind"] for each in changed] == ["ConfigMap"]
    assert "flagger.app/config-tracking" not in changed[0]["metadata"].get("annotations", {})


def test_keda_counts_each_of_flaggers_sides_for_itself(helm4: Helm) -> None:
    file = CHART / "ci" / "flagger-gateway-api-values.yaml"
    cases: list[tuple[dict[str, str], tuple[str, str]]] = [
        ({}, ("-stable-[", "-stable-primary-[")),
        ({"query": "rows{track='TRACK'}"}, ("'canary'", "'stable'")),
    ]
    for values, names in cases:
        render = helm4.template({"keda": values}, file=file)
        (trigger,) = render.one("ScaledObject")["spec"]["triggers"]
        reference = render.one("Canary")["spec"]["autoscalerRef"]
        assert reference["primaryScalerQueries"].keys() == {trigger["name"]}
        asked = (trigger["metadata"]["query"], reference["primaryScalerQueries"][trigger["name"]])
        for name, query in zip(names, asked, strict=True):
            assert name in query
    assert not re.fullmatch(_pods(asked_of(helm4, file)), "shop-model-manager-stable-primary-6d4cf56db6-x2x9z")


def asked_of(helm: Helm, file: Path) -> str:
    """The query of the ScaledObject."""
    (trigger,) = helm.template(file=file).one("ScaledObject")["spec"]["triggers"]
    query: str = trigger["metadata"]["query"]
    return query


def _pods(query: str) -> str:
    pods = re.search(r'pod=~"([^"]+)"', query)
    assert pods is not None
    return pods[1]


def test_argo_finds_what_its_rollout_names(helm4: Helm) -> None:
    render = helm4.template(file=ARGO)
    spec = render.one("Rollout")["spec"]
    assert spec["workloadRef"]["name"] == render.one("Deployment")["metadata"]["name"]
    istio = spec["strategy"]["canary"]["trafficRouting"]["istio"]
    service, rule = render.one("VirtualService"), render.one("DestinationRule")
    assert istio["virtualService"]["name"] == service["metadata"]["name"]
    assert istio["virtualService"]["routes"] == [service["spec"]["http"][-1]["name"]]
    assert istio["destinationRule"]["name"] == rule["metadata"]["name"]
    named = {istio["destinationRule"]["canarySubsetName"], istio["destinationRule"]["stableSubsetName"]}
    assert named == weighted(render).keys() == subsets(render).keys()
    assert all(labels.items() <= pod_labels(render).items() for labels in subsets(render).values())
    steps = spec["strategy"]["canary"]["steps"]
    assert [each["setWeight"] for each in steps[::3]] == [5, 25, 50]
    template = render.one("AnalysisTemplate")
    for each in steps[2::3]:
        assert each["analysis"]["templates"] == [{"templateName": template["metadata"]["name"]}]
        assert [arg["name"] for arg in each["analysis"]["args"]] == [arg["name"] for arg in template["spec"]["args"]]


def test_an_argo_step_is_passed_by_a_success_and_ended_by_the_last_failure(helm4: Helm) -> None:
    metrics = helm4.template(file=ARGO, sets={"analysis.failures": "4"}).one("AnalysisTemplate")["spec"]["metrics"]
    for each in metrics:
        assert (each["consecutiveSuccessLimit"], each["failureLimit"], each["consecutiveErrorLimit"]) == (1, 3, 3)
    said = {each["name"]: each["successCondition"].removeprefix("len(result) > 0 && result[0] ") for each in metrics}
    assert said == {"success-percent": ">= 99", "p99-ms": "<= 500", "failed-versions": "<= 0"}


@pytest.mark.parametrize(
    ("metric", "answers"),
    [
        ("success-percent", {99.0: "Successful", 100.0: "Successful", 98.9: "Failed"}),
        ("p99-ms", {500.0: "Successful", 12.0: "Successful", 500.1: "Failed", math.inf: "Failed"}),
        ("failed-versions", {0.0: "Successful", 1.0: "Failed"}),
    ],
)
def test_argo_takes_no_number_for_neither_a_success_nor_a_failure(
    helm4: Helm, metric: str, answers: dict[float, str]
) -> None:
    measured = {each["name"]: each for each in helm4.template(file=ARGO).one("AnalysisTemplate")["spec"]["metrics"]}
    cases = [([value], phase) for value, phase in answers.items()]
    for result, phase in [*cases, ([], "Inconclusive"), ([math.nan], "Inconclusive")]:
        assert argos_phase(measured[metric], result) == phase, result


def argos_phase(metric: dict[str, Any], result: list[float]) -> str:
    """What Argo Rollouts makes of an answer: a failure first, then a success, else it is inconclusive."""
    for condition, phase in (("failureCondition", "Failed"), ("successCondition", "Successful")):
        # the part of its language that is used here is Python's, but for `&&`
        if eval(metric[condition].replace("&&", "and"), {"__builtins__": {"len": len}}, {"result": result}):
            return phase
    return "Inconclusive"


@pytest.mark.parametrize("failures", [1, 2, 3, 7])
def test_an_argo_step_ends_before_it_has_measured_as_often_as_it_may(helm4: Helm, failures: int) -> None:
    render = helm4.template(file=ARGO, sets={"analysis.failures": str(failures)})
    for metric in render.one("AnalysisTemplate")["spec"]["metrics"]:
        # The controller demands a count of a step's metrics, and that no limit is beyond it.
        assert metric["count"] >= metric["failureLimit"] + metric["consecutiveSuccessLimit"]
        assert metric["count"] > metric["failureLimit"] + metric["inconclusiveLimit"]
        assert metric["inconclusiveLimit"] == failures - 1


def test_other_models_are_other_pods_to_argo_and_the_old_ones_keep_theirs(helm4: Helm) -> None:
    before, after = helm4.template(file=ARGO), helm4.template(file=ARGO, sets=IRIS_2)
    old, new = before.one("ConfigMap"), after.one("ConfigMap")
    assert old["metadata"]["name"] != new["metadata"]["name"]
    for render, models in ((before, old), (after, new)):
        assert models["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert models["immutable"] is True
        assert models["metadata"]["name"] in json.dumps(render.one("Deployment"))
    again = helm4.template(file=ARGO, sets={"tracks.stable.models.iris.versions.1.artifact": "iris-1.joblib"})
    assert again.documents == before.documents


def test_scalers_count_the_rollouts_pods(helm4: Helm) -> None:
    keda = helm4.template(file=CHART / "ci" / "argo-keda-values.yaml")
    cpu = helm4.template(file=ARGO, sets={"autoscaling.enabled": "true"})
    fewest = {"ScaledObject": "minReplicaCount", "HorizontalPodAutoscaler": "minReplicas"}
    for render, kind in ((keda, "ScaledObject"), (cpu, "HorizontalPodAutoscaler")):
        rollout = render.one("Rollout")
        target = render.one(kind)["spec"]["scaleTargetRef"]
        named = {"apiVersion": rollout["apiVersion"], "kind": "Rollout", "name": rollout["metadata"]["name"]}
        assert target == named
        assert rollout["spec"]["replicas"] == render.one(kind)["spec"][fewest[kind]]
    query = asked_of(helm4, CHART / "ci" / "argo-keda-values.yaml")
    assert re.fullmatch(_pods(query), "shop-model-manager-6d4cf56db6-x2x9z")


def test_a_rollout_begins_with_the_pods_of_the_deployment_and_keeps_its_own(helm: Helm, tmp_path: Path) -> None:
    deployment, rollout = (
        "apps/v1/deployments/shop-model-manager-stable",
        "argoproj.io/v1alpha1/rollouts/shop-model-manager",
    )
    cases: list[tuple[Cluster, int]] = [
        ({deployment: {"spec": {"replicas": 7}}}, 7),
        ({deployment: {"spec": {"replicas": 0}}}, 2),
        ({deployment: {"spec": {"replicas": 0}}, rollout: {"spec": {"replicas": 5}}}, 5),
    ]
    for live, expected in cases:
        with cluster(live, tmp_path) as kubeconfig:
            render = helm.template(file=ARGO, sets={"autoscaling.enabled": "true"}, cluster=kubeconfig)
        assert render.one("Rollout")["spec"]["replicas"] == expected


def test_metrics_say_which_side_they_come_from(helm4: Helm) -> None:
    flagger = helm4.template(file=FLAGGER).one("PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"]
    assert track(flagger, {"app": "shop-model-manager"}) == "canary"
    assert track(flagger, {"app": "shop-model-manager-primary"}) == "stable"
    argo = helm4.template(file=ARGO)
    relabelings = argo.one("ServiceMonitor")["spec"]["endpoints"][0]["relabelings"]
    strategy = argo.one("Rollout")["spec"]["strategy"]["canary"]
    for side in ("canary", "stable"):
        assert track(relabelings, strategy[f"{side}Metadata"]["labels"]) == side


def track(relabelings: list[dict[str, Any]], labels: dict[str, str]) -> str:
    """The label `track` that Prometheus gives the series of a pod with these labels."""
    found = ""
    for rule in relabelings:
        names = [name.removeprefix("__meta_kubernetes_pod_label_") for name in rule.get("sourceLabels", [])]
        value = ";".join(labels.get(name, "") for name in names)
        if re.fullmatch(rule.get("regex", "(.*)"), value):
            found = rule.get("replacement", value)
    return found


def test_an_upgrade_says_what_argo_rollouts_has_written(helm: Helm, tmp_path: Path) -> None:
    def destination(subset: str, **more: int) -> Document:
        return {"destination": {"host": "shop-model-manager", "subset": subset}, **more}

    live: Cluster = {
        "networking.istio.io/v1/virtualservices/shop-model-manager": {
            "spec": {
                "http": [
                    {"name": "pin-header-canary", "route": [destination("canary", weight=100)]},
                    {"name": "weighted", "route": [destination("canary", weight=25), destination("stable", weight=75)]},
                ]
            }
        },
        "networking.istio.io/v1/destinationrules/shop-model-manager": {
            "spec": {
                "subsets": [
                    {"name": "canary", "labels": {"app": "shop-model-manager", "rollouts-pod-template-hash": "77"}},
                    {"name": "stable", "labels": {"app": "shop-model-manager", "rollouts-pod-template-hash": "5bf9"}},
                ]
            }
        },
        "apps/v1/deployments/shop-model-manager-stable": {"spec": {"replicas": 4}},
    }
    for state, weights, hashes, replicas in (
        (live, {"canary": 25, "stable": 75}, {"canary": "77", "stable": "5bf9"}, 4),
        ({}, {"canary": 0, "stable": 100}, {}, 0),
    ):
        with cluster(state, tmp_path) as kubeconfig:
            render = helm.template(file=ARGO, cluster=kubeconfig)
        assert weighted(render) == weights
        written = {name: labels.get("rollouts-pod-template-hash") for name, labels in subsets(render).items()}
        assert {name: each for name, each in written.items() if each} == hashes
        assert render.one("Deployment")["spec"]["replicas"] == replicas
