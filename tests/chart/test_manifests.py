"""Every rendered manifest is one that a cluster takes: no unknown field, right types, in old and new Kubernetes."""

from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.chart.chart import MATRIX, Document, Helm

OLDEST, NEWEST = "1.30", "1.37"
MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "networking.istio.io/v1": "cloudcoil.models.istio.networking.v1",
    "security.istio.io/v1": "cloudcoil.models.istio.security.v1",
    "telemetry.istio.io/v1": "cloudcoil.models.istio.telemetry.v1",
}
GATEWAY_API = "gateway.networking.k8s.io/v1"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)
def test_kubernetes_takes_every_manifest_of_its_own_kinds(helm4: Helm, file: Path, version: str) -> None:
    if "image:" in file.read_text() and "image-volume" in file.name and version == OLDEST:
        return  # test_refusals.py: the chart refuses it
    kubernetes_validate = parts.module("kubernetes_validate")
    checked = 0
    for document in helm4.template(file=file, kubernetes=version).documents:
        if document["apiVersion"] not in MODELS and document["apiVersion"] != GATEWAY_API:
            kubernetes_validate.validate(document, version, strict=True)
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)
def test_custom_resources_hold_no_field_that_their_definitions_do_not_know(helm4: Helm, file: Path) -> None:
    for document in helm4.template(file=file).documents:
        if (module := MODELS.get(document["apiVersion"])) is not None:
            kind: Any = getattr(parts.module(module), document["kind"])
            kind.model_validate(document, strict=True, extra="forbid")


def test_what_checks_custom_resources_would_find_a_typo(helm4: Helm) -> None:
    service: Document = helm4.template(sets={"routing": "istio"}).one("VirtualService")
    service["spec"]["http"][0]["timeuot"] = "1s"
    kind: Any = parts.module(MODELS[service["apiVersion"]]).VirtualService
    with pytest.raises(ValueError, match="timeuot"):
        kind.model_validate(service, strict=True, extra="forbid")
