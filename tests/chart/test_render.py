"""What the chart renders: it lints, packages, and gives for each file of its matrix the kinds that were asked for."""

import hashlib
import re
import tarfile
from pathlib import Path

import msgspec
import pytest
from model_manager.repository.changed_by import CHANGED_BY, ChangedBy
from model_manager.repository.manifest import parse_manifest

from tests.chart.chart import CHART, MATRIX, Helm, environment

CORE = {"Deployment", "Service", "ServiceAccount", "ConfigMap"}
ISTIO = {"VirtualService", "DestinationRule"}
FLAGGER = {"Canary", "MetricTemplate"}
ADDED = {
    "argo": ISTIO | {"Rollout", "AnalysisTemplate", "PodDisruptionBudget", "ServiceMonitor"},
    "argo-keda": ISTIO | {"Rollout", "AnalysisTemplate", "ScaledObject"},
    "autoscaling": {"HorizontalPodAutoscaler", "PodDisruptionBudget", "PodMonitor", "PrometheusRule"},
    "bluegreen": {"Ingress", "NetworkPolicy", "ServiceMonitor", "Pod"},
    "canary": ISTIO
    | {"Gateway", "PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy", "Telemetry", "Sidecar"}
    | {"NetworkPolicy", "ServiceMonitor", "Pod"},
    "default": set(),
    "extras": {"HorizontalPodAutoscaler", "Ingress", "ServiceMonitor"},
    "flagger": FLAGGER | {"HorizontalPodAutoscaler", "PodDisruptionBudget", "PodMonitor"},
    "flagger-gateway-api": FLAGGER | {"ScaledObject"},
    "flagger-older": FLAGGER | {"HorizontalPodAutoscaler"},
    "gateway-api": {"GRPCRoute", "HTTPRoute"},
    "guarded": {"ServiceMonitor"},
    "image-volume": set(),
    "istio-plain": ISTIO | {"PeerAuthentication", "AuthorizationPolicy", "Telemetry", "NetworkPolicy"},
    "keda": {"ScaledObject", "PodDisruptionBudget", "PrometheusRule"},
    "keda-query": {"ScaledObject"},
    "production": ISTIO
    | {"Gateway", "PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy", "NetworkPolicy"}
    | {"HorizontalPodAutoscaler", "PodDisruptionBudget", "PodMonitor", "PrometheusRule"},
}
LEFT_OUT = {
    "flagger": {"Service"},
    "flagger-gateway-api": {"Service", "ConfigMap"},
    "flagger-older": {"Service"},
    "image-volume": {"ConfigMap", "ServiceAccount"},
}


@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)
def test_each_file_of_the_matrix_lints_and_renders_the_kinds_it_asks_for(helm: Helm, file: Path) -> None:
    case = file.stem.removesuffix("-values")
    helm.run("lint", "--strict", CHART, "--values", file)
    assert helm.template(file=file).kinds() == (CORE - LEFT_OUT.get(case, set())) | ADDED[case]


def test_both_majors_render_the_same(helm3: Helm, helm4: Helm) -> None:
    for file in MATRIX:
        assert helm3.template(file=file).documents == helm4.template(file=file).documents


def test_the_matrix_renders_every_template(helm4: Helm) -> None:
    rendered = {
        source
        for file in MATRIX
        for source in re.findall(r"^# Source: model-manager/(\S+)", helm4.template(file=file).text, re.MULTILINE)
    }
    templates = {str(path.relative_to(CHART)) for path in (CHART / "templates").rglob("*.yaml")}
    assert rendered == templates


def test_the_package_is_the_chart_without_its_matrix(helm: Helm, tmp_path: Path) -> None:
    helm.run("package", CHART, "--destination", tmp_path)
    (package,) = tmp_path.glob("model-manager-*.tgz")
    with tarfile.open(package) as archive:
        packed = {name.removeprefix("model-manager/") for name in archive.getnames()}
    assert {"README.md", "values.schema.json", "files/alerts.yaml", "files/dashboard.json", "files/predict.py"} < packed
    assert "examples/production.yaml" in packed
    assert not [name for name in packed if name.startswith("ci/")]
    assert helm.template(chart=package).documents == helm.template().documents
    assert package.stat().st_size < 80_000


def test_one_kind_in_each_template(helm4: Helm) -> None:
    for file in MATRIX:
        kinds: dict[str, set[str]] = {}
        for source, kind in re.findall(
            r"^# Source: (\S+)\n(?:.*\n)*?kind: (\w+)$", helm4.template(file=file).text, re.MULTILINE
        ):
            kinds.setdefault(source, set()).add(kind)
        assert all(len(found) == 1 for found in kinds.values()), kinds


def test_the_notes_name_the_next_command(helm4: Helm) -> None:
    canary = CHART / "ci" / "canary-values.yaml"
    said = helm4.run("install", "shop", CHART, "--namespace", "models", "--dry-run=client", "--values", canary)
    notes = said.partition("NOTES:")[2]
    assert "canary: 10% of the traffic, models iris" in notes
    assert "rollout status deployment/shop-model-manager-canary" in notes
    assert "--set tracks.canary.weight=N --set tracks.shadow.weight=N --set tracks.stable.weight=N" in notes
    assert "helm --namespace models test shop" in notes


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("flagger", "wait canary/shop-model-manager --for=condition=promoted"),
        ("flagger", "get canary shop-model-manager --watch"),
        ("flagger", "annotate configmap iris-artifacts flagger.app/config-tracking=disabled"),
        ("argo", "wait rollout/shop-model-manager --for=condition=Healthy"),
        ("argo", "kubectl argo rollouts --namespace models get rollout shop-model-manager --watch"),
        ("argo", "-H 'x-model-track: canary'"),
    ],
)
def test_the_notes_name_the_next_command_of_whoever_moves_the_weights(helm4: Helm, case: str, said: str) -> None:
    file = CHART / "ci" / f"{case}-values.yaml"
    notes = helm4.run("install", "shop", CHART, "--namespace", "models", "--dry-run=client", "--values", file)
    assert said in notes.partition("NOTES:")[2]
    assert "--set tracks" not in notes.partition("NOTES:")[2]


def test_the_server_accepts_every_manifest_of_the_matrix(helm4: Helm) -> None:
    read = told = 0
    for file in MATRIX:
        for document in helm4.template(file=file).all("ConfigMap"):
            if document["metadata"]["name"].endswith(("-dashboard", "-proxy")):
                continue
            manifest = document["data"].pop("models.yaml").encode()
            parse_manifest(manifest)
            for name, text in document["data"].items():
                assert name == CHANGED_BY
                said = msgspec.json.decode(text, type=ChangedBy)
                assert said.by == "helm, release shop in models, revision 1"
                assert said.manifest == hashlib.sha256(manifest).hexdigest()
                told += 1
            read += 1
    assert read > told > 5  # whoever moves the weights is nobody who changed the models
    green = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml").one("ConfigMap", "green")
    iris = parse_manifest(green["data"]["models.yaml"].encode()).models["iris"]
    assert iris.batching is not None
    assert iris.batching.max_queue_rows == 4194304
    assert iris.compile == "off"


def test_a_step_of_weights_changes_routes_alone(helm4: Helm) -> None:
    for case, weighted in (("canary", {"VirtualService"}), ("gateway-api", {"HTTPRoute", "GRPCRoute"})):
        file = CHART / "ci" / f"{case}-values.yaml"
        before = helm4.template(file=file)
        for canary in (0, 5, 50, 100):
            weights = {"tracks.stable.weight": str(100 - canary), "tracks.canary.weight": str(canary)}
            after = helm4.template(file=file, sets=weights)
            changed = {a["kind"] for b, a in zip(before.documents, after.documents, strict=True) if a != b}
            assert changed == weighted


def test_turning_blue_to_green_changes_the_service_alone(helm4: Helm) -> None:
    tracks = {"stable": {"weight": 100}, "green": {"weight": 0}}
    before = helm4.template({"tracks": tracks})
    after = helm4.template({"tracks": tracks}, sets={"tracks.stable.weight": "0", "tracks.green.weight": "100"})
    changed = [a for b, a in zip(before.documents, after.documents, strict=True) if a != b]
    assert [each["kind"] for each in changed] == ["Service"]
    assert changed[0]["spec"]["selector"]["version"] == "green"


def test_a_changed_model_restarts_no_pod(helm4: Helm) -> None:
    def served(version: str) -> dict[str, object]:
        return {"tracks": {"stable": {"models": {"iris": {"versions": {version: {"artifact": "iris.joblib"}}}}}}}

    before, after = helm4.template(served("1")), helm4.template(served("2"))
    assert before.all("ConfigMap") != after.all("ConfigMap")
    assert before.all("Deployment") == after.all("Deployment")


def test_a_release_name_that_fills_a_label_still_gives_valid_names(helm4: Helm) -> None:
    render = helm4.template(
        {"tracks": {"stable": None, "a2345678901234567890": {"weight": 100}}}, name="a-release-" + "x" * 43
    )
    assert all(len(document["metadata"]["name"]) <= 63 for document in render.documents)
    assert len(environment(render.one("Deployment"))) > 10
