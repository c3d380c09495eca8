"""Where a request goes, and who may send one: by the VirtualService, the HTTPRoute and the policies."""

import re
from typing import Any

import pytest
import yaml
from model_manager.settings import Settings

from tests.chart.chart import CHART, Document, Helm
from tools.surface import surface

HOST = "shop-model-manager.models.svc.cluster.local"
CANARY = CHART / "ci" / "canary-values.yaml"


def to(track: str, **more: Any) -> dict[str, Any]:
    """A destination of the VirtualService."""
    return {"destination": {"host": HOST, "subset": track}, **more}


@pytest.fixture
def routes(helm4: Helm) -> list[Document]:
    """The routes of the VirtualService, in order."""
    listed: list[Document] = helm4.template(file=CANARY).one("VirtualService")["spec"]["http"]
    return listed


def test_pins_come_first_and_the_header_before_the_cookie(routes: list[Document]) -> None:
    assert [each["name"] for each in routes] == [
        "pin-header-canary",
        "pin-header-stable",
        "pin-cookie-canary",
        "pin-cookie-stable",
        "weighted",
    ]
    assert routes[0]["match"] == [{"headers": {"x-track": {"exact": "canary"}}}]
    assert [each["route"] for each in routes[:2]] == [[to("canary")], [to("stable")]]
    assert [each["route"] for each in routes[2:4]] == [[to("canary")], [to("stable")]]


def test_the_weighted_route_lists_every_track(routes: list[Document]) -> None:
    weighted = routes[-1]
    assert "match" not in weighted
    assert weighted["route"] == [to("canary", weight=10), to("shadow", weight=0), to("stable", weight=90)]
    assert weighted["mirror"] == to("shadow")["destination"]
    assert weighted["mirrorPercentage"] == {"value": 25}


def test_grpc_is_split_and_pinned_as_http_is_each_to_its_own_port(helm4: Helm, routes: list[Document]) -> None:
    render = helm4.template(file=CANARY, sets={"settings.grpcPort": "8082"})
    listed = render.one("VirtualService")["spec"]["http"]
    grpc, http = listed[: len(routes)], listed[len(routes) :]
    assert [each["name"] for each in listed] == [each + one["name"] for each in ("grpc-", "") for one in routes]
    for own, port, uris in ((grpc, 8082, ["/inference.GRPCInferenceService/", "/grpc."]), (http, 80, [None])):
        for route, alone in zip(own, routes, strict=True):
            matches = route.get("match", [{}])
            assert [match.get("uri", {}).get("prefix") for match in matches] == uris
            assert {yaml.dump(match.get("headers")) for match in matches} == {
                yaml.dump(alone.get("match", [{}])[0].get("headers"))
            }
            for destination, unported in zip(route["route"], alone["route"], strict=True):
                assert destination["destination"].pop("port") == {"number": port}
                assert destination == unported
            assert route.get("mirror", {}).pop("port", {"number": port}) == {"number": port}
            kept = ("timeout", "retries", "mirror", "mirrorPercentage")
            assert [route.get(key) for key in kept] == [alone.get(key) for key in kept]
    rules = render.one("AuthorizationPolicy")["spec"]["rules"]
    for path in ("/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService/ServerReady"):
        assert allowed(rules, 8082, path)
    assert not allowed(rules, 8082, "/inference.GRPCInferenceService/ModelInfer")
    assert not allowed(rules, 8080, "/grpc.health.v1.Health/Check")


def test_every_route_has_the_same_limits(routes: list[Document]) -> None:
    for each in routes:
        assert each["timeout"] == "10s"
        assert each["retries"] == {
            "attempts": 3,
            "retryOn": "connect-failure,refused-stream,reset-before-request",
            "perTryTimeout": "2s",
        }


def test_retries_are_only_for_requests_that_nobody_accepted(helm4: Helm) -> None:
    (*_, weighted) = helm4.template(sets={"routing": "istio"}).one("VirtualService")["spec"]["http"]
    assert weighted["retries"] == {"attempts": 2, "retryOn": "connect-failure,refused-stream,reset-before-request"}
    plain = helm4.template(file=CHART / "ci" / "istio-plain-values.yaml").one("VirtualService")["spec"]["http"]
    assert [each["name"] for each in plain] == ["weighted"]
    assert plain[0]["retries"] == {"attempts": 0}


@pytest.mark.parametrize(
    ("cookies", "matches"),
    [
        ("track=canary", True),
        ("a=1; track=canary", True),
        ("a=1;track=canary; b=2", True),
        ("track=canary-2", False),
        ("other-track=canary", False),
        ("a=track=canary", False),
        ("track=stable", False),
    ],
)
def test_the_cookie_is_found_wherever_it_stands_and_only_there(
    routes: list[Document], cookies: str, matches: bool
) -> None:
    pattern = routes[2]["match"][0]["headers"]["cookie"]["regex"]
    assert bool(re.fullmatch(pattern, cookies)) is matches


def test_the_proxy_drops_idle_connections_first(helm4: Helm) -> None:
    policy = helm4.template(sets={"routing": "istio"}).one("DestinationRule")["spec"]["trafficPolicy"]
    assert policy["connectionPool"]["http"]["idleTimeout"] == "60s"
    assert Settings.model_fields["keep_alive_s"].default > 60


def test_a_pod_is_left_out_briefly_when_its_server_is_gone_and_never_for_a_model_s_failures(helm4: Helm) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    outliers = helm4.template(sets={"routing": "istio"}).one("DestinationRule")["spec"]["trafficPolicy"][
        "outlierDetection"
    ]
    assert outliers == {
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 5,
        "consecutiveGatewayErrors": 10,  # a full queue seldom says so many in a row
        "consecutive5xxErrors": 0,
        "interval": "1s",
        "baseEjectionTime": "10s",
        "maxEjectionPercent": 50,
    }
    readiness = values["probes"]["readiness"]
    unready_s = readiness["periodS"] * readiness["failureThreshold"] + readiness["timeoutS"]
    assert (
        unready_s < 10
    )  # by then a dead server is no endpoint: a proxy that let it in again would ask it for a second


def test_subsets_are_known_before_a_route_leads_to_them(helm4: Helm) -> None:
    before = helm4.template(sets={"istio.sidecar": "true"})
    after = helm4.template(sets={"istio.sidecar": "true", "routing": "istio"})
    assert "VirtualService" not in before.kinds()
    assert before.one("DestinationRule") == after.one("DestinationRule")
    assert before.all("Deployment") == after.all("Deployment")  # the second upgrade restarts no pod
    assert "DestinationRule" not in helm4.template().kinds()
    gateway = {"istio.sidecar": "true", "routing": "gatewayAPI", "gatewayAPI.parentRefs[0].name": "public"}
    assert "DestinationRule" not in helm4.template(sets=gateway).kinds()


def test_the_gateway_answers_by_tls_and_redirects_the_rest(helm4: Helm) -> None:
    plain, tls = helm4.template(file=CANARY).one("Gateway")["spec"]["servers"]
    assert plain["tls"] == {"httpsRedirect": True}
    assert tls["tls"] == {"mode": "SIMPLE", "credentialName": "models-tls"}
    assert plain["hosts"] == tls["hosts"] == ["models.example.com", "*.models.example.com"]
    gateways = helm4.template(file=CANARY).one("VirtualService")["spec"]["gateways"]
    assert gateways == ["mesh", "shop-model-manager", "istio-ingress/shared"]


def test_the_http_route_says_the_same_and_nothing_else(helm4: Helm) -> None:
    def backend(track: str, **more: int) -> dict[str, Any]:
        return {"name": f"shop-model-manager-{track}", "port": 80, **more}

    def pinned(track: str, matches: dict[str, str]) -> dict[str, Any]:
        return {
            "matches": [{"headers": [matches]}],
            "backendRefs": [backend(track)],
            "timeouts": {"request": "6s"},
        }

    def cookie(track: str) -> dict[str, str]:
        pattern = rf"^(.*;\s*)?model-track={track}(;.*)?$"
        return {"type": "RegularExpression", "name": "cookie", "value": pattern}

    tracks = ("canary", "shadow", "stable")
    headers = [pinned(track, {"type": "Exact", "name": "x-model-track", "value": track}) for track in tracks]
    weighted = {
        "backendRefs": [backend("canary", weight=25), backend("shadow", weight=0), backend("stable", weight=75)],
        "timeouts": {"request": "6s"},
        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": backend("shadow"), "percent": 10}}],
    }
    spec = helm4.template(file=CHART / "ci" / "gateway-api-values.yaml").one("HTTPRoute")["spec"]
    assert spec == {
        "parentRefs": [
            {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443},
            {"name": "models", "kind": "Service", "group": ""},
        ],
        "hostnames": ["models.example.com"],
        "rules": [*headers, *(pinned(track, cookie(track)) for track in tracks), weighted],
    }


def test_the_grpc_route_splits_and_pins_by_hosts_of_its_own(helm4: Helm) -> None:
    def backend(track: str, **more: int) -> dict[str, Any]:
        return {"name": f"shop-model-manager-{track}", "port": 8082, **more}

    render = helm4.template(file=CHART / "ci" / "gateway-api-values.yaml")
    spec = render.one("GRPCRoute")["spec"]
    assert spec["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}]
    assert spec["hostnames"] == ["grpc.models.example.com"]
    *pins, weighted = spec["rules"]
    for track, rule in zip(("canary", "shadow", "stable"), pins, strict=True):
        header = {"type": "Exact", "name": "x-model-track", "value": track}
        assert rule == {"matches": [{"headers": [header]}], "backendRefs": [backend(track)]}
    assert weighted == {
        "backendRefs": [backend("canary", weight=25), backend("shadow", weight=0), backend("stable", weight=75)],
        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": backend("shadow"), "percent": 10}}],
    }
    ports = {one["metadata"]["name"]: one["spec"]["ports"] for one in render.all("Service")}
    for track in ("canary", "shadow", "stable"):
        assert 8082 in [port["port"] for port in ports[f"shop-model-manager-{track}"]]


def allowed(rules: list[Document], port: int, path: str, **source: str) -> bool:
    """Whether an AuthorizationPolicy of Istio's kind lets a request pass: exact values, and `*` at either end."""

    def fits(pattern: str, value: str) -> bool:
        if pattern.endswith("*"):
            return value.startswith(pattern[:-1])
        return value == pattern

    def passes(rule: Document) -> bool:
        operation = rule["to"][0]["operation"]
        wanted = rule["from"][0]["source"] if "from" in rule else {}
        return (
            str(port) in operation["ports"]
            and any(fits(each, path) for each in operation.get("paths", ["*"]))
            and all(any(fits(each, source.get(key, "")) for each in values) for key, values in wanted.items())
        )

    return any(passes(rule) for rule in rules)


def test_labels_reach_every_pod_where_they_are_taken(helm4: Helm) -> None:
    taken = helm4.template(file=CANARY, sets={"settings.feedbackWindowS": "600"})
    own = {"principals": "example.internal/ns/models/sa/shop-model-manager"}
    rules = taken.one("AuthorizationPolicy")["spec"]["rules"]
    assert allowed(rules, 8081, "/v2/models/iris/feedback", **own)
    assert not allowed(rules, 8081, "/v2/models/iris/feedback", principals="cluster.local/ns/web/sa/shop")
    (peers,) = [one for one in taken.all("Service") if one["metadata"]["name"].endswith("-peers")]
    assert (peers["spec"]["clusterIP"], "version" in peers["spec"]["selector"]) == ("None", False)
    admin = taken.one("NetworkPolicy")["spec"]["ingress"][1]["from"]
    assert {"podSelector": {"matchLabels": peers["spec"]["selector"]}} in admin
    untaken = helm4.template(file=CANARY)
    assert not any(one["metadata"]["name"].endswith("-peers") for one in untaken.all("Service"))
    assert not allowed(untaken.one("AuthorizationPolicy")["spec"]["rules"], 8081, "/v2/models/iris/feedback", **own)


def test_a_caller_reaches_its_models_and_no_other(helm4: Helm) -> None:
    rules = helm4.template(file=CANARY).one("AuthorizationPolicy")["spec"]["rules"]
    shop, person = "cluster.local/ns/web/sa/shop", "https://login.example.com/anna"
    routes = surface()["HTTP, API port"]
    paths = {route.partition(" ")[2] for route in routes if "{model}" in route}
    own = [re.sub(r"\{(version|label)\}", "2", each.replace("{model}", "iris")) for each in paths]
    assert len(own) >= 10
    for path in own:
        assert allowed(rules, 8080, path, principals=shop), path
        assert not allowed(rules, 8080, path.replace("iris", "iris-secret"), principals=shop)
        assert not allowed(rules, 8080, path, principals="cluster.local/ns/web/sa/other")
        assert allowed(rules, 8080, path, namespaces="istio-ingress", requestPrincipals=person)
        assert not allowed(rules, 8080, path, namespaces="web", requestPrincipals=person)
    assert not allowed(rules, 8080, "/v2/repository/index", principals=shop)
    assert allowed(rules, 8080, "/v2/health/ready")


def test_metrics_are_for_monitoring_alone(helm4: Helm) -> None:
    render = helm4.template(file=CANARY)
    rules = render.one("AuthorizationPolicy")["spec"]["rules"]
    assert allowed(rules, 8081, "/metrics", namespaces="monitoring")
    assert not allowed(rules, 8081, "/metrics", namespaces="web")
    assert not allowed(rules, 8081, "/v2/repository/index", namespaces="monitoring")
    assert render.one("PeerAuthentication")["spec"]["mtls"] == {"mode": "STRICT"}
    assert "portLevelMtls" not in render.one("PeerAuthentication")["spec"]


def test_a_monitoring_without_an_identity_is_told_by_the_network_policy(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "ci" / "istio-plain-values.yaml")
    assert render.one("PeerAuthentication")["spec"]["portLevelMtls"] == {"8081": {"mode": "PERMISSIVE"}}
    assert allowed(render.one("AuthorizationPolicy")["spec"]["rules"], 8081, "/metrics")
    api, admin = render.one("NetworkPolicy")["spec"]["ingress"]
    assert api == {"ports": [{"port": 8080}]}
    assert [each["port"] for each in admin["ports"]] == [8081, 15020]
    (monitoring,) = admin["from"]
    assert monitoring["namespaceSelector"]["matchExpressions"][0]["values"] == ["monitoring"]


def test_the_network_policy_names_clients_and_lets_the_test_in(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml")
    spec = render.one("NetworkPolicy")["spec"]
    sources = spec["ingress"][0]["from"]
    assert [next(iter(each)) for each in sources] == ["namespaceSelector", "podSelector", "ipBlock", "podSelector"]
    assert sources[-1]["podSelector"]["matchLabels"].items() <= render.one("Pod")["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"][-1] == {"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}


def test_an_ingress_leads_to_the_service(helm4: Helm) -> None:
    render = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml")
    (rule,) = render.one("Ingress")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = render.one("Service", backend["name"])
    assert backend["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}
    assert service["spec"]["selector"]["version"] == "green"
