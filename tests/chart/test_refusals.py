"""What the chart refuses, and that each refusal names the value and says what to do."""

import re
from pathlib import Path

import pytest
from model_manager.repository.remote_places import Places

from tests.chart.chart import CHART, Helm, Refused
from tests.chart.cluster import Cluster, cluster

SPLIT = {"tracks.stable.weight": "90", "tracks.canary.weight": "10", "routing": "istio"}
ARGO = {"progressive": "argo", "routing": "istio", "analysis.serverAddress": "http://prometheus:9090"}
FLAGGER = {**ARGO, "progressive": "flagger", "autoscaling.enabled": "true"}
PARENT = {"routing": "gatewayAPI", "gatewayAPI.parentRefs[0].name": "public"}
GRPC = {**PARENT, "settings.grpcPort": "8082", "gatewayAPI.grpcHosts[0]": "a.example.com"}


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({**SPLIT, "tracks.canary.weight": "20"}, "tracks: the weights add up to 110, not 100 (canary 20, stable 90)"),
        ({"tracks.stable.weight": "0"}, "tracks: the weights add up to 0, not 100"),
        ({**SPLIT, "routing": "none"}, "routing: none cannot split traffic (canary 10, stable 90)"),
        ({**SPLIT, "route.mirror.track": "shadow"}, 'route.mirror.track: "shadow" is no track (canary, stable)'),
        (
            {**SPLIT, "route.mirror.track": "canary"},
            "route.mirror.track: canary already gets traffic of its own (weight 10)",
        ),
        ({"route.mirror.track": "stable"}, "route.mirror.track has no effect with routing: none"),
        ({**SPLIT, "route.pin.tracks[0]": "shadow"}, 'route.pin.tracks: "shadow" is no track'),
        (
            {**SPLIT, "route.pin.tracks[0]": "canary", "route.pin.header": "", "route.pin.cookie": ""},
            "route.pin.tracks has no effect",
        ),
        (
            {"istio.sidecar": "true", "podAnnotations.proxy\\.istio\\.io/config": "holdApplicationUntilProxyStarts"},
            "podAnnotations: proxy.istio.io/config holds YAML, and this is none: ",
        ),
        ({"shutdown.gracePeriodS": "25"}, "shutdown.gracePeriodS: 25 s is not longer than preStopSleepS, "),
        (
            {"tracks.stable.settings.drainTimeoutS": "60"},
            "shutdown.gracePeriodS: 35 s is not longer than preStopSleepS, lameDuckS and drainTimeoutS together (70 s",
        ),
        ({"settings.drainTimeoutS": "3"}, "settings.drainTimeoutS: 3 s is shorter than timeoutMs (5000 ms"),
        ({**SPLIT, "route.timeout": "5s"}, "route.timeout: 5s is not longer than settings.timeoutMs (5000 ms"),
        (
            {**SPLIT, "istio.connectionPool.idleTimeout": "75s"},
            "idleTimeout: 75s is not shorter than settings.keepAlive",
        ),
        (
            {**SPLIT, "istio.connectionPool.idleTimeout": "2m"},
            "idleTimeout: 2m is not shorter than settings.keepAliveS",
        ),
        (
            {"tracks.stable.existingConfigMap": "a", "tracks.stable.repository": "b"},
            "tracks.stable: existingConfigMap and repository exclude each other",
        ),
        (
            {"tracks.stable.existingConfigMap": "a", "tracks.stable.models.iris.versions.1.artifact": "b"},
            "tracks.stable: models and existingConfigMap exclude each other",
        ),
        ({"tracks.stable.repository": "shared"}, '"shared" is no volume of artifacts.volumes (there is none)'),
        (
            {
                "tracks.stable.repository": "shared",
                "artifacts.volumes.shared.claimName": "models",
                "tracks.stable.artifacts.configMaps.iris": "true",
            },
            "tracks.stable.artifacts.configMaps.iris has no effect beside repository",
        ),
        ({"autoscaling.enabled": "true", "tracks.stable.replicas": "3"}, "tracks.stable.replicas has no effect"),
        ({"tracks.stable.autoscaling.maxReplicas": "3"}, "tracks.stable.autoscaling has no effect"),
        ({"autoscaling.enabled": "true", "autoscaling.minReplicas": "20"}, "minReplicas 20 is more than maxReplicas"),
        ({"tracks.stable.replicas": "0"}, "tracks.stable: no pod for a weight of 100"),
        ({"autoscaling.enabled": "true", "keda.enabled": "true"}, "autoscaling and keda would both count the pods"),
        ({"keda.enabled": "true"}, "keda.serverAddress: say where Prometheus is"),
        ({"rollout.maxSurge": "0"}, "rollout: with maxSurge and maxUnavailable both 0 no pod could ever be replaced"),
        ({"podDisruptionBudget.enabled": "true", "replicas": "1"}, "podDisruptionBudget has no effect"),
        (
            {"podDisruptionBudget.enabled": "true", "podDisruptionBudget.minAvailable": "1"},
            "podDisruptionBudget: set one of minAvailable and maxUnavailable",
        ),
        (
            {
                "podDisruptionBudget.enabled": "true",
                "podDisruptionBudget.minAvailable": "2",
                "podDisruptionBudget.maxUnavailable": "null",
            },
            "podDisruptionBudget.minAvailable: 2 of the 2 pods of track stable: no node could ever be drained",
        ),
        ({"route.hosts[0]": "a.example.com"}, "route.hosts has no effect with routing: none"),
        ({"routing": "gatewayAPI"}, "gatewayAPI.parentRefs: name the Gateway"),
        (
            {**GRPC, "route.hosts[0]": "a.example.com"},
            "gatewayAPI.grpcHosts: a.example.com is a host of the HTTPRoute too",
        ),
        (
            {**GRPC, "route.hosts[0]": "*.example.com"},
            "a.example.com is a host of the HTTPRoute too (route.hosts: *.example.com)",
        ),
        (GRPC, "gatewayAPI.grpcHosts: the HTTPRoute has every host without route.hosts"),
        (
            {**PARENT, "gatewayAPI.grpcHosts[0]": "a.example.com"},
            "gatewayAPI.grpcHosts has no effect without settings.grpcPort",
        ),
        ({**GRPC, "gatewayAPI.parentRefs[0].kind": "Service"}, "gatewayAPI.parentRefs names no Gateway"),
        (
            {"gatewayAPI.grpcHosts[0]": "a.example.com"},
            "grpcHosts has no effect with routing: none and progressive: none",
        ),
        ({**PARENT, "routing": "istio"}, "gatewayAPI.parentRefs has no effect with routing: istio"),
        ({"ingress.enabled": "true"}, "ingress.hosts: name at least one host"),
        ({**PARENT, "ingress.enabled": "true"}, "ingress would lead past the split of routing: gatewayAPI"),
        ({"istio.gateways[0]": "a/b"}, "istio.gateway and istio.gateways have no effect with routing: none"),
        ({**SPLIT, "istio.gateway.create": "true"}, "istio.gateway.create: name the hosts"),
        ({**SPLIT, "istio.gateway.credentialName": "tls"}, "istio.gateway.credentialName has no effect"),
        ({"istio.requestAuthentication.enabled": "true"}, "istio.requestAuthentication alone lets requests without a"),
        (
            {"istio.requestAuthentication.enabled": "true", "istio.authorization.enabled": "true"},
            "istio.requestAuthentication.issuers: name at least one issuer",
        ),
        (
            {
                "istio.authorization.enabled": "true",
                "istio.authorization.callers.web.requestPrincipals[0]": "https://a/*",
            },
            "istio.authorization.callers.web.requestPrincipals matches nobody",
        ),
        (
            {"istio.authorization.enabled": "true", "istio.authorization.callers.web.models[0]": "iris"},
            "istio.authorization.callers.web: name principals, namespaces or requestPrincipals, or anybody may call",
        ),
        (
            {"istio.authorization.callers.web.namespaces[0]": "web"},
            "istio.authorization.callers has no effect",
        ),
        (
            {
                "istio.authorization.enabled": "true",
                "istio.peerAuthentication.enabled": "true",
                "istio.peerAuthentication.adminMode": "PERMISSIVE",
            },
            "enable networkPolicy, which then guards the admin port",
        ),
        ({"analysis.serverAddress": "http://p:9090"}, "analysis.serverAddress has no effect with progressive: none"),
        ({**FLAGGER, "analysis.serverAddress": ""}, "analysis.serverAddress: say where Prometheus is"),
        (
            {**FLAGGER, "tracks.canary.weight": "0"},
            "progressive: flagger makes the other track itself, of what changes in the only one: keep one of canary,",
        ),
        ({**ARGO, "tracks.canary.weight": "0"}, "progressive: argo makes the other track itself"),
        (
            {**ARGO, "analysis.stepWeights[0]": "50", "analysis.stepWeights[1]": "5"},
            "analysis.stepWeights: 5 does not come after 50",
        ),
        (
            {**ARGO, "routing": "none"},
            "progressive: argo moves the weights of a VirtualService, and with routing",
        ),
        ({**PARENT, **ARGO, "routing": "gatewayAPI"}, "and with routing: gatewayAPI there is none"),
        (
            {**ARGO, "keda.enabled": "true", "keda.serverAddress": "http://p", "keda.query": "sum(a{track='TRACK'})"},
            "keda.query: TRACK is no single track with progressive: argo",
        ),
        (
            {**FLAGGER, "settings.grpcPort": "8082", "monitoring.podMonitor.enabled": "true"},
            "monitoring.podMonitor finds the admin port by its name, and with Flagger and settings.grpcPort",
        ),
        ({**FLAGGER, "routing": "none"}, "progressive: flagger moves the weights of a route"),
        (
            {**FLAGGER, "autoscaling.enabled": "false"},
            "progressive: flagger scales the Deployment to 0 between analyses",
        ),
        (
            {**FLAGGER, "service.type": "LoadBalancer"},
            "service.type: Flagger makes the Service, and always as",
        ),
        ({**FLAGGER, "route.pin.tracks[0]": "stable"}, "route.pin.tracks has no effect with progressive: flagger"),
        ({**ARGO, "route.pin.tracks[0]": "green"}, 'route.pin.tracks: "green" is no track (canary, stable)'),
        ({"tracing.enabled": "true"}, "tracing.endpoint: say where the collector is"),
        ({"tracing.endpoint": "http://a:4317"}, "tracing.endpoint has no effect: set tracing.enabled"),
        (
            {
                "tracing.enabled": "true",
                "tracing.endpoint": "http://a:4317",
                "networkPolicy.enabled": "true",
                "networkPolicy.egress.restrict": "true",
            },
            "tracing.endpoint cannot be reached past networkPolicy.egress.restrict",
        ),
        (
            {
                "tracks.stable.settings.records": "http://records:8080",
                "networkPolicy.enabled": "true",
                "networkPolicy.egress.restrict": "true",
            },
            "settings.records of track stable cannot be reached past networkPolicy.egress.restrict",
        ),
        ({**FLAGGER, "flagger.version": "1.34"}, "flagger.version: the Canary is written for Flagger 1.35 or newer"),
        (
            {"tracks.stable.models.iris.versions.1.artifact": "ftp://models/1.joblib"},
            "models.iris.versions.1.artifact: ftp://models/1.joblib cannot be fetched: this version reaches s3://",
        ),
        (
            {"tracks.stable.models.iris.versions.1.artifact": "http://models/1.joblib"},
            "is below none of settings.artifactStores (s3://,gs://,az://,https://)",
        ),
        (
            {
                "tracks.stable.models.iris.versions.1.artifact": "s3://models-2/1.joblib",
                "settings.artifactStores": "s3://models",
            },
            "s3://models-2/1.joblib is below none of settings.artifactStores (s3://models)",
        ),
        (
            {
                "tracks.stable.models.iris.versions.1.artifact": "s3://models/1.joblib",
                "tracks.stable.settings.artifactStores": "",
            },
            "is below none of settings.artifactStores (empty)",
        ),
        (
            {"extraEnv[0].name": "MODEL_MANAGER_LOG_LEVEL"},
            "extraEnv: MODEL_MANAGER_LOG_LEVEL is the server's own: set settings.logLevel",
        ),
        (
            {"extraEnv[0].name": "OTEL_SERVICE_NAME", "tracing.enabled": "true", "tracing.endpoint": "http://a:4317"},
            "extraEnv: OTEL_SERVICE_NAME is set by tracing.enabled",
        ),
        (
            {"service.loadBalancerIP": "203.0.113.1"},
            "service.loadBalancerIP has no effect with service.type: ClusterIP",
        ),
        (
            {"service.externalTrafficPolicy": "Local"},
            "service.externalTrafficPolicy has no effect with service.type: ClusterIP",
        ),
        (
            {
                "ingress.enabled": "true",
                "ingress.hosts[0]": "a.example.com",
                "ingress.tlsSecretName": "a",
                "ingress.tls[0].secretName": "b",
                "ingress.tls[0].hosts[0]": "a.example.com",
            },
            "ingress: tls and tlsSecretName both name certificates",
        ),
        (
            {
                "ingress.enabled": "true",
                "ingress.hosts[0]": "a.example.com",
                "ingress.tls[0].secretName": "b",
                "ingress.tls[0].hosts[0]": "b.example.com",
            },
            "ingress.tls: b.example.com is none of ingress.hosts (a.example.com)",
        ),
        (
            {"monitoring.podMonitor.enabled": "true", "monitoring.podMonitor.scrapeTimeout": "1m"},
            "monitoring.podMonitor.scrapeTimeout: 1m is longer than interval (15s)",
        ),
        (
            {"autoscaling.enabled": "true", "autoscaling.targetCPUPercent": "0"},
            "autoscaling.targetCPUPercent: with 0 and no autoscaling.metrics nothing would count the pods",
        ),
        ({"podLabels.app": "iris"}, "podLabels: app is a label by which pods are selected"),
        ({"settings.port": "8081"}, "settings.adminPort: 8081 is the API's port too"),
        ({"settings.grpcPort": "8081"}, "settings.grpcPort: 8081 is the port of another protocol too"),
        (
            {"monitoring.podMonitor.enabled": "true", "monitoring.serviceMonitor.enabled": "true"},
            "monitoring: podMonitor and serviceMonitor would scrape every pod twice",
        ),
        (
            {"monitoring.rules.enabled": "true", "monitoring.rules.builtin": "false"},
            "monitoring.rules: nothing to alert on",
        ),
        (
            {"istio.peerAuthentication.enabled": "true", "monitoring.podMonitor.enabled": "true"},
            "monitoring.podMonitor cannot present Istio's certificates",
        ),
        (
            {"monitoring.serviceMonitor.enabled": "true", "monitoring.serviceMonitor.istioCertificates": "true"},
            "monitoring.serviceMonitor.istioCertificates has no effect",
        ),
        (
            {"serviceAccount.create": "false", "serviceAccount.annotations.a": "b"},
            "serviceAccount.annotations has no effect",
        ),
        ({"test.model": "iris"}, "test.instances: give a row to predict"),
        ({"test.model": "iris", "test.instances[0]": "1"}, "test: 1 instances and 0 predictions"),
        ({"test.instances[0]": "1"}, "test has no effect: name test.model"),
    ],
    ids=lambda value: ",".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, dict) else None,
)
def test_what_contradicts_itself_or_has_no_effect_is_refused(helm4: Helm, sets: dict[str, str], said: str) -> None:
    assert said in helm4.refuses(sets)


@pytest.mark.parametrize(
    ("artifact", "stores"),
    [
        ("s3://models/iris/1.joblib", "gs://,s3://"),
        ("s3://models/iris/1.joblib", "s3://models/"),
        ("S3://Models/iris/1.joblib", "s3://other, s3://models/iris"),
        ("https://user@files.example.com/1.joblib", "https://files.example.com"),
        ("http://files.example.com/1.joblib", "http://"),
        ("file:///artifacts/shared/1.joblib", ""),
        ("/artifacts/shared/1.joblib", ""),
        ("iris-1.joblib", ""),
    ],
)
def test_an_artifact_that_the_server_would_look_for_is_let_through(helm4: Helm, artifact: str, stores: str) -> None:
    models = {"iris": {"versions": {"1": {"artifact": artifact}}}}
    values = {"tracks": {"stable": {"models": models}}, "settings": {"artifactStores": stores}}
    scheme = artifact.partition("://")[0].lower()
    if stores:
        assert Places.parse(stores).allow(artifact) or scheme == "file"
    assert artifact in helm4.template(values).text


def test_every_rule_has_a_case_here() -> None:
    texts = [path.read_text() for path in (CHART / "templates").glob("_validate*.tpl")]
    rules = re.findall(r"\{\{- fail \(?(?:printf )?\"([^%\"]*)", "".join(texts))
    assert len(rules) > 50
    cases = Path(__file__).read_text()
    untested = [rule for rule in rules if rule[:24].rstrip() not in cases]
    assert not untested


def test_helm_3_applies_the_same_rules(helm: Helm) -> None:
    assert "add up to 110, not 100" in helm.refuses({**SPLIT, "tracks.canary.weight": "20"})
    assert "is not longer than preStopSleepS" in helm.refuses({"shutdown.gracePeriodS": "25"})


def test_an_image_volume_needs_a_cluster_that_knows_it(helm4: Helm) -> None:
    values = {
        "tracks": {"stable": {"repository": "catalogue"}},
        "artifacts": {"volumes": {"catalogue": {"image": {"reference": "models:1"}}}},
    }
    said = helm4.refuses({}, values, kubernetes="1.30")
    assert "artifacts.volumes.catalogue.image: Kubernetes v1.30 knows no image volumes" in said
    assert helm4.template(values, kubernetes="1.31").one("Deployment")


def test_a_cluster_too_old_for_the_pause_before_the_stop_is_refused(helm: Helm) -> None:
    assert "chart requires kubeVersion" in helm.refuses({}, kubernetes="1.29")


def test_flagger_must_not_copy_what_it_would_copy_without_the_models(helm: Helm, tmp_path: Path) -> None:
    file = CHART / "ci" / "flagger-values.yaml"
    artifacts: Cluster = {"v1/configmaps/iris-artifacts": {"binaryData": {"iris-1.joblib": "gASV"}}}
    with cluster(artifacts, tmp_path) as kubeconfig, pytest.raises(Refused) as refused:
        helm.template(file=file, cluster=kubeconfig)
    assert "ConfigMap iris-artifacts: Flagger's copy of it would be without binaryData" in str(refused.value)
    assert "annotate configmap iris-artifacts flagger.app/config-tracking=disabled" in str(refused.value)
    artifacts["v1/configmaps/iris-artifacts"]["metadata"] = {
        "name": "iris-artifacts",
        "annotations": {"flagger.app/config-tracking": "disabled"},
    }
    with cluster(artifacts, tmp_path) as kubeconfig:
        assert helm.template(file=file, cluster=kubeconfig).one("Canary")


def test_null_takes_a_track_away(helm: Helm) -> None:
    render = helm.template({"tracks": {"stable": None, "green": {"weight": 100}}})
    assert render.one("Deployment")["metadata"]["labels"]["version"] == "green"
    canary = CHART / "ci" / "canary-values.yaml"
    gone = helm.template(file=canary, sets={"tracks.shadow": "null", "route.mirror.track": ""})
    assert [each["metadata"]["labels"]["version"] for each in gone.all("Deployment")] == ["canary", "stable"]
    assert "shadow" not in gone.text
    assert "tracks" in helm.refuses({"tracks.stable": "null"})
