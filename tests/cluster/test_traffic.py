"""Where requests go in a mesh: by weights, by name, by cookie, and as copies."""

import re
from pathlib import Path

import pytest

from tests.cluster.staging import Namespace, measured, question, wait_until
from tests.mesh.traffic import bounds

SERVICE = "models-model-manager"
REQUESTS = 4000


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path) -> Namespace:
    """A release of two tracks, the canary without a share."""
    namespace.apply_models("models", samples, default="1")
    namespace.apply_models("models-next", samples, default="2")
    namespace.install(
        {
            "routing": "istio",
            "tracks.stable.existingConfigMap": "models",
            "tracks.canary.existingConfigMap": "models-next",
            "tracks.canary.weight": 0,
        }
    )
    return namespace


def shift(models: Namespace, canary: int) -> None:
    """Give the canary a weight, and wait until a proxy goes by it."""
    models.upgrade({"tracks.canary.weight": canary, "tracks.stable.weight": 100 - canary})
    if canary:
        probe = question(SERVICE, requests=400, connections=8)
        wait_until(lambda: models.ask(probe)[0].of(version="2"), f"a share of {canary}%")


@pytest.mark.parametrize("weight", [5, 25, 50])
def test_a_canary_gets_its_weight(models: Namespace, weight: int) -> None:
    shift(models, weight)
    (answers,) = models.ask(question(SERVICE, requests=REQUESTS, connections=16))
    assert answers.failed == 0, answers.bodies
    fewest, most = bounds(REQUESTS, weight / 100)
    measured.append(f"weight {weight}%: {answers.of(version='2')} of {REQUESTS}")
    assert fewest <= answers.of(version="2") <= most


def test_a_header_and_a_cookie_name_a_track_and_the_header_wins(models: Namespace) -> None:
    shift(models, 5)
    asked = [
        question(SERVICE, requests=200, connections=4, headers=headers)
        for headers in (
            {"x-model-track": "canary"},
            {"x-model-track": "stable"},
            {"cookie": "a=1; model-track=canary; b=2"},
            {"cookie": "model-track=canary", "x-model-track": "stable"},
        )
    ]
    versions = [{version for _, version in each.counts} for each in models.ask(*asked)]
    assert versions == [{"2"}, {"1"}, {"2"}, {"1"}]


def test_copies_reach_a_track_and_nobody_gets_its_answers(models: Namespace) -> None:
    shift(models, 0)
    before = counted(models)
    models.upgrade({"route.mirror.track": "canary", "route.mirror.percent": 20})

    def copied() -> float:
        models.ask(question(SERVICE, requests=50))
        return counted(models) - before

    wait_until(copied, "the first copies")
    before = counted(models)
    (answers,) = models.ask(question(SERVICE, requests=REQUESTS, connections=16))
    assert answers.counts == {(200, "1"): REQUESTS}, answers.bodies
    fewest, most = bounds(REQUESTS, 0.2)
    wait_until(lambda: fewest <= counted(models) - before <= most, f"{fewest} to {most} copies")
    models.upgrade({"route.mirror.track": ""})


def counted(models: Namespace) -> float:
    """How many requests the canary's pods have answered, by their own metrics."""
    hosts = [f"{pod['status']['podIP']}:8081" for pod in models.pods("canary")]
    scrapes = models.ask(*(question(host, "/metrics", method="GET") for host in hosts), sidecar=False)
    lines = [line for each in scrapes for body in each.bodies.values() for line in body.splitlines()]
    return sum(float(line.split()[-1]) for line in lines if re.match(r"model_manager_requests_total\{", line))
