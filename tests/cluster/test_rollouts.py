"""Who moves the weights by itself: a good version is promoted, one that fails and one that is slow are rolled back."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from model_manager.version import __version__

from tests.cluster import controllers, prometheus, rollouts
from tests.cluster.conftest import NewNamespace
from tests.cluster.controllers import NAME, Argo, Controller, Flagger, weight_of_new
from tests.cluster.models import artifacts
from tests.cluster.staging import CHART, IMAGE, Namespace, Traffic, measured, question
from tools.patience import wait_until

GOOD, FAILING, SLOW = "2", "3", "4"
MOST_BAD: Final = 0.01
"""Of all requests while a bad version is looked at: the share of the first step, and then some have gone before."""


@dataclass(frozen=True)
class Release:
    """A release whose weights a controller moves, under traffic that does not stop."""

    namespace: Namespace
    controller: Controller
    traffic: Traffic
    answer_with: Callable[[str], None]
    """Have another version of iris."""


@pytest.fixture(scope="module", params=[Flagger(), Argo()], ids=["flagger", "argo"])
def release(
    request: pytest.FixtureRequest,
    new_namespace: NewNamespace,
    samples: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """Version 1 of iris has all the traffic."""
    controller: Controller = request.param
    namespace = new_namespace(controller.progressive)
    data = {name: base64.b64encode(each).decode() for name, each in artifacts(samples).items()}
    metadata = {"name": "artifacts", "annotations": {"flagger.app/config-tracking": "disabled"}}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": data})
    seen = prometheus.start(namespace)
    file = tmp_path_factory.mktemp("values") / "values.json"

    def answer_with(version: str) -> None:
        file.write_text(json.dumps(values(controller, seen.url, version)), encoding="utf-8")
        namespace.helm("upgrade", "--install", "models", CHART, "--values", file)

    with controllers.running(controller, namespace, seen):
        answer_with("1")
        controllers.wait_until_settled(controller, namespace)
        with namespace.traffic(question(NAME, requests=None, connections=16, pause_s=0.05)) as traffic:
            yield Release(namespace, controller, traffic, answer_with)
    rollouts.keep()


def values(controller: Controller, address: str, version: str) -> dict[str, Any]:
    """One percent first: that is the most of the requests that a bad version is given."""
    artifact = {"artifact": f"iris-{version}.joblib"}
    return {
        **controller.values,
        "image": {"repository": IMAGE, "tag": __version__},
        "routing": "istio",
        "progressive": controller.progressive,
        "analysis": {
            "serverAddress": address,
            "interval": "10s",
            "stepWeights": [1, 25, 50],
            "maxP99Ms": 1500,
        },
        "tracks": {"stable": {"weight": 100, "models": {"iris": {"versions": {version: artifact}}}}},
        "artifacts": {"configMaps": {"artifacts": True}},
    }


def test_a_good_version_is_promoted(release: Release) -> None:
    walk, answers = follow(release, GOOD, "a good version")
    assert walk.verdict == "promoted"
    assert answers.failed == 0, answers.bodies
    assert {each.weight for each in walk.moments} >= {1, 25, 50}
    wait_until(lambda: release.traffic.take(200).of(version="1") == 0, "the new version to answer everything")


@pytest.mark.parametrize(("version", "name"), [(FAILING, "one that fails"), (SLOW, "one that is slow")])
def test_a_bad_version_is_rolled_back(release: Release, version: str, name: str) -> None:
    walk, answers = follow(release, version, name)
    assert walk.verdict == "rolled back"
    assert weight_of_new(release.namespace) == 0
    bad = rollouts.met(answers, version)
    share = f"{bad} of {answers.all} requests ({bad / answers.all:.2%})"
    measured.append(f"{release.controller.progressive}: {share} met {name}")
    assert 0 < bad < MOST_BAD * answers.all, (answers.counts, answers.bodies)
    wait_until(lambda: set(release.traffic.take(200).counts) == {(200, GOOD)}, "the version before it to answer alone")


def follow(release: Release, version: str, name: str) -> tuple[rollouts.Walk, Any]:
    """Change to a version, and see what the controller makes of it."""
    return rollouts.watch(
        release.controller,
        release.namespace,
        release.traffic,
        lambda: release.answer_with(version),
        name=name,
        version=version,
    )
