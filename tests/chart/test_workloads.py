"""Pods and what points at them: selectors, ports, probes, volumes and times fit each other and the server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_manager.metrics.catalogue import CATALOGUE
from model_manager.settings import Settings
from opentelemetry.sdk.trace import TracerProvider

from tests.chart.chart import CHART, MATRIX, Document, Helm, environment
from tests.chart.chart import container as server
from tests.chart.cluster import Cluster, cluster
from tests.conftest import ROOT
from tools.metrics_page import exposed_name

EVERY_FILE = pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)


def pod(deployment: Document) -> dict[str, Any]:
    """The pod's specification."""
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def selectors(documents: list[Document]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every selector that should match pods of this release, with what holds it."""
    for document in documents:
        spec = document.get("spec", {})
        where = f"{document['kind']}/{document['metadata']['name']}"
        match document["kind"]:
            case "Service":
                yield where, spec["selector"]
            case "NetworkPolicy":
                yield where, spec["podSelector"]["matchLabels"]
            case "Sidecar":
                yield where, spec["workloadSelector"]["labels"]
            case "PodMonitor" | "PodDisruptionBudget" | "PeerAuthentication" | "Telemetry":
                yield where, spec["selector"]["matchLabels"]
            case "AuthorizationPolicy" | "RequestAuthentication":
                yield where, spec["selector"]["matchLabels"]


@EVERY_FILE
def test_every_selector_matches_pods_and_never_the_test(helm4: Helm, file: Path) -> None:
    render = helm4.template(file=file)
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in render.all("Deployment")]
    tests = [each["metadata"]["labels"] for each in render.all("Pod")]
    found = list(selectors(render.documents))
    assert found or not render.all("Service")
    for where, selector in found:
        assert any(selector.items() <= labels.items() for labels in pods), where
        assert not any(selector.items() <= labels.items() for labels in tests), where
        assert selector.keys() <= {"app.kubernetes.io/name", "app.kubernetes.io/instance", "version"}, where
    for deployment in render.all("Deployment"):
        assert deployment["spec"]["selector"]["matchLabels"].items() <= next(
            labels.items() for labels in pods if labels["version"] == deployment["metadata"]["labels"]["version"]
        )


@EVERY_FILE
def test_every_subset_and_backend_is_a_track(helm4: Helm, file: Path) -> None:
    render = helm4.template(file=file)
    tracks = {each["metadata"]["labels"]["version"] for each in render.all("Deployment")}
    for rule in render.all("DestinationRule"):
        subsets = {each["name"]: each["labels"] for each in rule["spec"]["subsets"]}
        if render.all("Rollout"):  # test_progressive.py
            continue
        assert subsets == {track: {"version": track} for track in tracks}
    for route in render.all("HTTPRoute"):
        services = {each["metadata"]["name"] for each in render.all("Service")}
        assert {f"shop-model-manager-{track}" for track in tracks} <= services
        assert len(route["spec"]["rules"][-1]["backendRefs"]) == len(tracks)


GRPC = "MODEL_MANAGER_GRPC_PORT"


@EVERY_FILE
def test_ports_and_probes_are_those_of_the_server(helm4: Helm, file: Path) -> None:
    render = helm4.template(file=file)
    for deployment in render.all("Deployment"):
        variables, container = environment(deployment), server(deployment)
        ports = {each["name"]: str(each["containerPort"]) for each in container["ports"]}
        assert ports == {
            "http": variables["MODEL_MANAGER_PORT"],
            "http-admin": variables["MODEL_MANAGER_ADMIN_PORT"],
            **({"grpc-api": variables[GRPC]} if GRPC in variables else {}),
        }
        routes = (ROOT / "server" / "model_manager" / "app.py").read_text()
        for probe, path in (("startupProbe", "live"), ("readinessProbe", "ready"), ("livenessProbe", "live")):
            asked = container[probe]["httpGet"]
            scheme = {"scheme": "HTTPS"} if "MODEL_MANAGER_TLS_CERT" in variables else {}
            assert asked == {"path": f"/v2/health/{path}", "port": "http-admin", **scheme}
            assert f'Route("{asked["path"]}"' in routes
    for service in render.all("Service"):
        port, *grpc = service["spec"]["ports"]
        admin = service["metadata"]["name"].endswith(("-admin", "-peers"))
        assert port["targetPort"] == ("http-admin" if admin else "http")
        asked = {environment(one).get(GRPC) for one in render.all("Deployment")} - {None}
        assert [(one["name"], one["appProtocol"], str(one["port"])) for one in grpc] == [
            ("grpc-api", "grpc", one) for one in asked if not admin
        ]


def test_default_ports_are_the_servers_defaults(helm4: Helm) -> None:
    ports = [each["containerPort"] for each in server(helm4.template().one("Deployment"))["ports"]]
    assert ports == [Settings.model_fields["port"].default, Settings.model_fields["admin_port"].default]


@EVERY_FILE
def test_a_pod_has_no_more_rights_than_it_needs(helm4: Helm, file: Path) -> None:
    render = helm4.template(file=file)
    for spec in [*map(pod, render.all("Deployment")), *(each["spec"] for each in render.all("Pod"))]:
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]
    for account in render.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@EVERY_FILE
def test_a_pod_has_time_to_stop_and_its_proxy_stays_as_long(helm4: Helm, file: Path) -> None:
    for deployment in helm4.template(file=file).all("Deployment"):
        pause = server(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        variables = environment(deployment)
        drain = float(variables["MODEL_MANAGER_LAME_DUCK_S"]) + float(variables["MODEL_MANAGER_DRAIN_TIMEOUT_S"])
        grace = pod(deployment)["terminationGracePeriodSeconds"]
        assert pause + drain < grace
        proxy = deployment["spec"]["template"]["metadata"]["annotations"].get("proxy.istio.io/config")
        if proxy is not None:
            stays = re.search(r"terminationDrainDuration: (\d+)s", proxy)
            assert stays is not None
            assert pause + drain <= float(stays[1]) < grace
            assert "holdApplicationUntilProxyStarts: true" in proxy


def test_what_an_annotation_says_of_the_proxy_joins_what_the_chart_needs_of_it(helm4: Helm) -> None:
    said = {"tracing": {"sampling": 100}, "terminationDrainDuration": "90s"}
    values = {"podAnnotations": {"proxy.istio.io/config": json.dumps(said)}, "istio": {"sidecar": True}}
    deployment = helm4.template(values).one("Deployment")
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert yaml.safe_load(annotations.pop("proxy.istio.io/config")) == {"holdApplicationUntilProxyStarts": True, **said}
    assert annotations == {"kubectl.kubernetes.io/default-container": "server"}


def test_models_come_whole_and_in_one_volume(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml")
    volumes = {each["name"]: each for each in pod(render.one("Deployment", "green"))["volumes"]}
    named = [each["configMap"]["name"] for each in volumes["models"]["projected"]["sources"]]
    assert named == ["iris-green", "iris-artifacts"]
    assert all("items" not in each["configMap"] for each in volumes["models"]["projected"]["sources"])
    mounts = server(render.one("Deployment", "green"))["volumeMounts"]
    assert [each["mountPath"] for each in mounts] == [
        "/tmp",
        "/state",
        "/cache",
        "/models",
        "/artifacts/shared",
        "/secrets/signing-keys",
    ]
    assert not any("subPath" in each for each in mounts)
    assert [each.get("readOnly") for each in mounts] == [None, None, None, True, True, True]
    (models,) = [each for each in pod(render.one("Deployment", "stable"))["volumes"] if each["name"] == "models"]
    stable = models["projected"]["sources"]
    assert [each["configMap"]["name"] for each in stable] == ["iris-models", "shared-artifacts"]
    assert {each["metadata"]["name"] for each in render.all("ConfigMap")} == {"iris-green", "iris-dashboard"}


def test_the_ledger_lies_in_a_claim_where_one_is_named_and_else_goes_with_the_pod(helm4: Helm) -> None:
    kept = helm4.template(file=CHART / "ci" / "guarded-values.yaml").one("Deployment", "stable")
    assert environment(kept)["MODEL_MANAGER_LEDGER"] == "/ledger"
    (mount,) = [each for each in server(kept)["volumeMounts"] if each["mountPath"] == "/ledger"]
    (volume,) = [each for each in pod(kept)["volumes"] if each["name"] == mount["name"]]
    assert volume["persistentVolumeClaim"] == {"claimName": "model-ledger"}
    assert not mount.get("readOnly")
    gone = helm4.template(file=CHART / "ci" / "default-values.yaml").one("Deployment", "stable")
    assert "MODEL_MANAGER_LEDGER" not in environment(gone)
    assert "/ledger" not in {each["mountPath"] for each in server(gone)["volumeMounts"]}


def test_secrets_arrive_as_variables_or_as_files_and_never_both_unasked(helm4: Helm) -> None:
    deployment = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml").one("Deployment", "green")
    assert server(deployment)["envFrom"] == [{"secretRef": {"name": "artifact-store"}}]
    volumes = {each["name"]: each for each in pod(deployment)["volumes"] if "secret" in each}
    assert volumes == {
        "secret-signing-keys": {
            "name": "secret-signing-keys",
            "secret": {"secretName": "signing-keys", "defaultMode": 0o440},
        }
    }
    assert "envFrom" not in server(helm4.template().one("Deployment"))


def test_tracing_is_told_in_opentelemetrys_own_variables(helm4: Helm) -> None:
    container = server(helm4.template(file=CHART / "ci" / "bluegreen-values.yaml").one("Deployment", "green"))
    told = {each["name"]: each.get("value") for each in container["env"] if each["name"].startswith("OTEL_")}
    assert told == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector.observability:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.125",
        "OTEL_SERVICE_NAME": "iris",
        "OTEL_RESOURCE_ATTRIBUTES": (
            "k8s.namespace.name=models,k8s.pod.name=$(POD_NAME),service.version=0.2.0,track=green"
        ),
    }
    names = [each["name"] for each in container["env"]]
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")  # or it is not replaced
    assert not any("OTEL" in each["name"] for each in server(helm4.template().one("Deployment"))["env"])


def test_the_sdk_reads_the_variables_as_the_chart_means_them(helm4: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    container = server(helm4.template(file=CHART / "ci" / "bluegreen-values.yaml").one("Deployment", "green"))
    for each in container["env"]:
        if each["name"].startswith("OTEL_"):
            monkeypatch.setenv(each["name"], each["value"])
    provider = TracerProvider()
    assert provider.sampler.get_description().startswith("ParentBased{root:TraceIdRatioBased{0.125},")
    told = provider.resource.attributes
    assert (told["service.name"], told["service.version"], told["track"]) == ("iris", "0.2.0", "green")
    assert told["k8s.namespace.name"] == "models"


def test_the_dashboard_is_the_file_of_the_chart_where_the_sidecar_looks(helm4: Helm) -> None:
    found = helm4.template(sets={"monitoring.dashboard.enabled": "true"}).one("ConfigMap", "dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    ((name, text),) = found["data"].items()
    assert name == "models-shop-model-manager.json"
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())


def test_whoever_counts_the_pods_does_it_alone(helm4: Helm) -> None:
    for case, kind in (("autoscaling", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")):
        render = helm4.template(file=CHART / "ci" / f"{case}-values.yaml")
        deployments = render.all("Deployment")
        targets = {each["spec"]["scaleTargetRef"]["name"] for each in render.all(kind)}
        assert targets == {each["metadata"]["name"] for each in deployments}
    waiting = helm4.template(sets={"tracks.canary.weight": "0", "tracks.canary.replicas": "0"})
    assert waiting.one("Deployment", "canary")["spec"]["replicas"] == 0


@pytest.mark.parametrize("scaler", ["autoscaling", "keda"])
def test_turning_a_scaler_on_or_upgrading_changes_no_number_of_pods(helm: Helm, tmp_path: Path, scaler: str) -> None:
    """Without the field Kubernetes starts one pod, and Helm, in either way of applying, would leave one."""
    sets = {f"{scaler}.enabled": "true", f"{scaler}.minReplicas": "3", "keda.serverAddress": "http://p:9090"}
    sets |= {"tracks.canary.weight": "0", "tracks.canary.autoscaling.minReplicas": "2"}
    live: Cluster = {"apps/v1/deployments/shop-model-manager-stable": {"spec": {"replicas": 7}}}
    for state, stable in ((live, 7), ({}, 3)):  # the other track is new
        with cluster(state, tmp_path) as kubeconfig:
            render = helm.template(sets=sets, cluster=kubeconfig)
        assert render.one("Deployment", "stable")["spec"]["replicas"] == stable
        assert render.one("Deployment", "canary")["spec"]["replicas"] == 2
    assert helm.template(sets=sets).one("Deployment", "stable")["spec"]["replicas"] == 3


def test_the_values_say_how_many_pods_there_are_where_nobody_counts_them(helm: Helm, tmp_path: Path) -> None:
    live: Cluster = {"apps/v1/deployments/shop-model-manager-stable": {"spec": {"replicas": 7}}}
    with cluster(live, tmp_path) as kubeconfig:
        assert helm.template(cluster=kubeconfig).one("Deployment")["spec"]["replicas"] == 2


def test_a_budget_only_where_more_than_one_pod_is(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "ci" / "autoscaling-values.yaml")
    assert [each["metadata"]["labels"]["version"] for each in render.all("PodDisruptionBudget")] == ["stable"]


def test_the_example_of_a_production_outlives_a_zone_and_lets_in_only_who_is_known(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "examples" / "production.yaml")
    (zones, nodes) = pod(render.one("Deployment"))["topologySpreadConstraints"][::-1]
    assert (zones["topologyKey"], nodes["topologyKey"]) == ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    assert zones["whenUnsatisfiable"] == "ScheduleAnyway"  # or a lost zone's pods could not come back elsewhere
    fewest = render.one("HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert fewest - render.one("PodDisruptionBudget")["spec"]["maxUnavailable"] >= 2
    assert render.one("PeerAuthentication")["spec"]["mtls"] == {"mode": "STRICT"}
    issuers = {rule["issuer"] for rule in render.one("RequestAuthentication")["spec"]["jwtRules"]}
    rules = [rule for rule in render.one("AuthorizationPolicy")["spec"]["rules"] if "from" in rule]
    (named,) = [
        source["source"] for rule in rules for source in rule["from"] if "requestPrincipals" in source["source"]
    ]
    assert {principal.removesuffix("/*") for principal in named["requestPrincipals"]} == issuers
    assert render.one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all("from" in rule for rule in render.one("NetworkPolicy")["spec"]["ingress"])


def test_queries_name_metrics_that_the_server_has(helm4: Helm) -> None:
    known = {exposed_name(one) for section in CATALOGUE.values() for one in section}
    known |= set(re.findall(r"record: (\w+:\w+:\w+)", (CHART / "files" / "alerts.yaml").read_text()))
    asked = 0
    for file in MATRIX:
        render = helm4.template(file=file)
        queries = [each["spec"]["triggers"][0]["metadata"]["query"] for each in render.all("ScaledObject")]
        rules = [group["rules"] for each in render.all("PrometheusRule") for group in each["spec"]["groups"]]
        queries += [rule["expr"] for group in rules for rule in group]
        queries += [each["spec"]["query"] for each in render.all("MetricTemplate")]
        metrics = [metric for each in render.all("AnalysisTemplate") for metric in each["spec"]["metrics"]]
        queries += [metric["provider"]["prometheus"]["query"] for metric in metrics]
        for metric in re.findall(r"model_manager_\w+", " ".join(queries)):
            assert re.sub(r"_(bucket|count|sum)$", "", metric) in known
            asked += 1
    assert asked >= 30


def test_a_query_for_one_track_never_counts_the_pods_of_another(helm4: Helm) -> None:
    scaled = helm4.template(
        sets={"keda.enabled": "true", "keda.serverAddress": "http://p:9090", "tracks.stable-2.weight": "0"}
    ).one("ScaledObject", "stable")
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert 'namespace="models"' in query
    pods = re.search(r'pod=~"([^"]+)"', query)
    assert pods is not None
    assert re.fullmatch(pods[1], "shop-model-manager-stable-6d4cf56db6-x2x9z")
    assert not re.fullmatch(pods[1], "shop-model-manager-stable-2-6d4cf56db6-x2x9z")
