"""Every rendered manifest is one that a cluster takes: no unknown field, right types, in old and new Kubernetes.

Kubernetes' own kinds are held against its OpenAPI, those of Istio, KEDA and Prometheus' operator against models made of
their definitions, the rest against definitions.py. CRD_CHECK can name a program that knows all definitions, such as
kubeconform with its options: it is given a file of manifests and must find no fault.
"""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.chart import MATRIX, Document, Helm
from tests.chart.definitions import DEFINITIONS
from tools import parts

OLDEST, NEWEST = "1.30", "1.37"
MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "networking.istio.io/v1": "cloudcoil.models.istio.networking.v1",
    "security.istio.io/v1": "cloudcoil.models.istio.security.v1",
    "telemetry.istio.io/v1": "cloudcoil.models.istio.telemetry.v1",
}
EVERY_FILE = pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)


def check(document: Document) -> bool:
    """Hold a custom resource against its definition; False when it is a kind of Kubernetes' own."""
    if (module := MODELS.get(document["apiVersion"])) is not None:
        kind: Any = getattr(parts.module(module), document["kind"])
        kind.model_validate(document, strict=True, extra="forbid")
    elif document["kind"] in DEFINITIONS:
        parts.module("jsonschema").validate(document, DEFINITIONS[document["kind"]])
    else:
        return False
    return True


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@EVERY_FILE
def test_kubernetes_takes_every_manifest_of_its_own_kinds(helm4: Helm, file: Path, version: str) -> None:
    if "image:" in file.read_text() and "image-volume" in file.name and version == OLDEST:
        return  # test_refusals.py: the chart refuses it
    kubernetes_validate = parts.module("kubernetes_validate")
    checked = 0
    for document in helm4.template(file=file, kubernetes=version).documents:
        if document["apiVersion"] not in MODELS and document["kind"] not in DEFINITIONS:
            kubernetes_validate.validate(document, version, strict=True)
            checked += 1
    assert checked >= 2


@EVERY_FILE
def test_custom_resources_hold_no_field_that_their_definitions_do_not_know(helm4: Helm, file: Path) -> None:
    for document in helm4.template(file=file).documents:
        assert check(document) or document["apiVersion"].partition("/")[0] in {
            "v1",
            "apps",
            "autoscaling",
            "policy",
            "networking.k8s.io",
        }


@EVERY_FILE
def test_a_program_that_knows_all_definitions_finds_no_fault(helm4: Helm, file: Path, tmp_path: Path) -> None:
    if "CRD_CHECK" not in os.environ:
        pytest.skip("CRD_CHECK names no program that knows the definitions of custom resources")
    rendered = tmp_path / file.name
    rendered.write_text(helm4.template(file=file).text)
    command = [*shlex.split(os.environ["CRD_CHECK"]), str(rendered)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("case", "kind", "place"),
    [
        ("canary", "VirtualService", ["http", 0]),
        ("keda", "ScaledObject", ["triggers", 0]),
        ("autoscaling", "PodMonitor", ["podMetricsEndpoints", 0]),
        ("canary", "AuthorizationPolicy", []),
        ("canary", "Telemetry", []),
        ("gateway-api", "HTTPRoute", ["rules", 0, "matches", 0, "headers", 0]),
        ("gateway-api", "GRPCRoute", ["rules", 0, "backendRefs", 0]),
        ("flagger", "Canary", ["service", "trafficPolicy", "connectionPool"]),
        ("flagger", "MetricTemplate", ["provider"]),
        ("argo", "Rollout", ["strategy", "canary", "steps", 0]),
        ("argo", "AnalysisTemplate", ["metrics", 0, "provider", "prometheus"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_checks_custom_resources_would_find_a_typo(
    helm4: Helm, case: str, kind: str, place: list[str | int]
) -> None:
    (file,) = (each for each in MATRIX if each.name == f"{case}-values.yaml")
    document = helm4.template(file=file).all(kind)[0]
    assert check(document)
    node = document["spec"]
    for part in place:
        node = node[part]
    node["timeuot"] = "1s"
    with pytest.raises(Exception, match="timeuot"):
        check(document)
