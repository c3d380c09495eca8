"""Every values file of the chart's matrix, installed, upgraded and taken away by both Helms: nothing is left."""

import json
from pathlib import Path

import pytest
import yaml

from tests.chart.chart import MATRIX, Helm
from tests.cluster.conftest import NewNamespace
from tests.cluster.staging import CHART, OWN_KINDS, Namespace, wait_until
from tools import parts


def left(namespace: Namespace) -> set[str]:
    """What there is in a namespace that Kubernetes and Istio did not put there."""
    names = {f"{each['kind']}/{each['metadata']['name']}" for each in namespace.list(OWN_KINDS)}
    return names - {
        "ServiceAccount/default",
        "ConfigMap/kube-root-ca.crt",
        "ConfigMap/istio-ca-root-cert",
        "ConfigMap/istio-ca-crl",
    }


def prepare(namespace: Namespace) -> None:
    """Artifacts that Flagger does not copy, which its values need; and no pods: those are for other tests."""
    annotations = {"flagger.app/config-tracking": "disabled"}
    namespace.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}},
        *(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations}}
            for name in ("iris-artifacts", "iris-models", "shared-artifacts")
        ),
    )


@pytest.mark.parametrize("major", [4, 3], ids=["helm4", "helm3"])
@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.stem.removesuffix("-values"))
def test_a_values_file_is_installed_upgraded_and_taken_away(
    new_namespace: NewNamespace, file: Path, major: int
) -> None:
    rendered = Helm(parts.helm(major)).template(file=file)
    namespace = new_namespace(file.stem.removesuffix("-values"))
    needed = {(each["apiVersion"].rpartition("/")[0], each["kind"]) for each in rendered.documents}
    known = namespace.kubectl("api-resources", "--no-headers").split("\n")
    kinds = {(line.split()[-3].rpartition("/")[0], line.split()[-1]) for line in known if line}
    if missing := {kind for group, kind in needed if (group, kind) not in kinds}:
        pytest.skip(f"the cluster does not know {', '.join(sorted(missing))}")
    prepare(namespace)
    before = left(namespace)
    values = ("--values", file)

    namespace.helm("install", "shop", CHART, *values, major=major)
    manifest = namespace.helm("get", "manifest", "shop", major=major)
    there = json.loads(namespace.kubectl("get", "-f", "-", "-o", "json", stdin=manifest))["items"]
    documents = [each for each in yaml.load_all(manifest, Loader=yaml.CSafeLoader) if each]
    assert {(each["kind"], each["metadata"]["name"]) for each in there} == {
        (each["kind"], each["metadata"]["name"]) for each in documents
    }
    namespace.helm("upgrade", "shop", CHART, *values, major=major)

    namespace.helm("uninstall", "shop", "--wait", major=major)
    kept = {
        f"{each['kind']}/{each['metadata']['name']}"
        for each in documents
        if "helm.sh/resource-policy" in each["metadata"].get("annotations", {})
    }
    wait_until(lambda: left(namespace) == before | kept, f"{before | kept} alone to be left")
