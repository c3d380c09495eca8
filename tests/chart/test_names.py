"""Names that YAML takes for something else, such as `on` and `1e3`, are strings wherever the chart writes them."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, MATRIX, Helm, Render

NAMES = ["y", "n", "on", "off", "no", "yes", "true", "1", "007", "1e3", "2026"]
"""Names that Kubernetes allows and that are not strings to a reader of YAML 1.1, which Helm's is."""


class Reader(yaml.CSafeLoader):
    """Takes for a boolean or a number whatever any reader of YAML would."""


Reader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
Reader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
Reader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: node.value.lower() in ("y", "yes", "on", "true"))


def types(node: Any, path: str = "") -> Iterator[tuple[str, type]]:
    """What each value is, in order; a key that a release has named counts by its place alone."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield path, type(key)
            yield from types(value, f"{path}.*" if path == ".data" else f"{path}.{key}")
    elif isinstance(node, list):
        for value in node:
            yield from types(value, f"{path}[]")
    else:
        yield path, type(node)


def read(render: Render) -> list[Any]:
    """The documents as the strictest reader has them."""
    return [each for each in yaml.load_all(render.text, Loader=Reader) if each]


def same(render: Render, ordinary: Render) -> None:
    """Each value is of the type that it has with ordinary names."""
    for document, expected in zip(read(render), read(ordinary), strict=True):
        assert list(types(document)) == list(types(expected)), document["kind"]


def test_the_reader_takes_each_of_the_names_for_no_string() -> None:
    assert not [name for name in NAMES if isinstance(yaml.load(name, Loader=Reader), str)]


@pytest.mark.parametrize(
    ("file", "name"),
    list(zip(MATRIX, itertools.cycle(NAMES), strict=False)),
    ids=lambda value: value if isinstance(value, str) else value.stem,
)
def test_a_release_and_an_application_may_have_any_name(helm4: Helm, file: Path, name: str) -> None:
    quoted = {"nameOverride": name, "fullnameOverride": name}
    render = helm4.template(quoted, file=file, name=name, namespace=name)
    same(render, helm4.template(file=file))
    for document in read(render):
        labels = document["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/instance", name) == name
        assert all(isinstance(each, str) for each in labels.values())


@pytest.mark.parametrize("name", NAMES)
def test_each_of_the_names_arrives_in_labels_and_selectors(helm4: Helm, name: str) -> None:
    documents = read(helm4.template(name=name))
    deployment, service = (
        next(each for each in documents if each["kind"] == kind) for kind in ("Deployment", "Service")
    )
    for labels in (
        deployment["metadata"]["labels"],
        deployment["spec"]["selector"]["matchLabels"],
        deployment["spec"]["template"]["metadata"]["labels"],
        service["spec"]["selector"],
    ):
        assert labels["app.kubernetes.io/instance"] == name


@pytest.mark.parametrize("routing", ["none", "istio", "gatewayAPI"])
def test_a_track_may_have_any_name(helm4: Helm, routing: str) -> None:
    values = {
        "routing": routing,
        "gatewayAPI": {"parentRefs": [{"name": "public"}] if routing == "gatewayAPI" else []},
        "route": {"pin": {"header": "n"}},
        "keda": {"enabled": True, "serverAddress": "http://p:9090"},
        "podDisruptionBudget": {"enabled": True},
        "topologySpread": {"kubernetes.io/hostname": "DoNotSchedule"},
        "tracing": {"enabled": True, "endpoint": "http://collector:4317"},
    }
    renders = [
        helm4.template(
            {**values, "tracks": {"stable": None} | {name: {"weight": 100 * (name in ("on", "d"))} for name in names}}
        )
        for names in (("n", "no", "off", "on", "y"), ("a", "b", "c", "d", "e"))
    ]
    same(*renders)
    versions = {each["metadata"]["labels"]["version"] for each in read(renders[0]) if each["kind"] == "Deployment"}
    assert versions == {"n", "no", "off", "on", "y"}


@pytest.mark.parametrize("progressive", ["flagger", "argo"])
def test_the_only_track_of_a_controller_may_have_any_name(helm4: Helm, progressive: str) -> None:
    file = CHART / "ci" / f"{progressive}-values.yaml"
    same(*(helm4.template({"tracks": {"stable": None, name: {"weight": 100}}}, file=file) for name in ("on", "blue")))


def test_what_is_named_in_values_may_have_any_name(helm4: Helm) -> None:
    def values(*names: str) -> dict[str, Any]:
        a, b, c, d = names
        return {
            "tracks": {"stable": {"weight": 100, "existingConfigMap": a}, "canary": {"weight": 0, "repository": b}},
            "artifacts": {"configMaps": {c: True}, "volumes": {b: {"claimName": d}}},
            "secrets": {a: {"env": True}, b: {"mount": True}},
            "ledger": {"claimName": a},
            "image": {"pullSecrets": [b, c]},
            "serviceAccount": {"name": d},
            "priorityClassName": a,
            "podLabels": {"team": b},
            "podAnnotations": {"team": c},
            "nodeSelector": {"pool": d},
            "ingress": {"enabled": True, "className": a, "hosts": ["a.example.com"], "tlsSecretName": b},
            "networkPolicy": {"enabled": True, "clients": {"namespaces": [c], "podLabels": {"app": d}}},
            "istio": {"sidecar": True, "rootNamespace": a, "telemetry": {"enabled": True, "tracing": {"provider": b}}},
            "monitoring": {
                "serviceMonitor": {"enabled": True, "labels": {"release": c}, "tokenSecret": {"name": d, "key": a}},
                "rules": {"enabled": True, "groups": {b: [{"record": "a:b:c", "expr": "up"}]}},
            },
            "test": {"model": "iris", "instances": [[1]], "predictions": [1]},
        }

    for names in (("on", "no", "y", "1"), ("1e3", "007", "2026", "off")):
        same(helm4.template(values(*names)), helm4.template(values("a1", "b1", "c1", "d1")))
