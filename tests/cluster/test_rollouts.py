"""Who moves the weights by itself: a good version is promoted, one that fails and one that is slow are rolled back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster import rollouts
from tests.cluster.conftest import NewNamespace
from tests.cluster.controllers import NAME, Argo, Flagger, weight_of_new
from tests.cluster.rollouts import Release, released
from tests.cluster.staging import Traffic, measured, question, wait_until

GOOD, FAILING, SLOW = "2", "3", "4"
UNASKED: Final = {"flagger": ("rolled back", 0), "argo": ("paused", 1)}
MOST_BAD: Final = 0.01
"""Of all requests while a bad version is looked at: the share of the first step, and then some have gone before."""


@pytest.fixture(scope="module", params=[Flagger(), Argo()], ids=["flagger", "argo"])
def release(request: pytest.FixtureRequest, new_namespace: NewNamespace, samples: Path) -> Iterator[Release]:
    """Version 1 of iris has all the traffic, which does not stop."""
    with released(request.param, new_namespace(request.param.progressive), samples) as made:
        yield made
    rollouts.keep()


@pytest.fixture(scope="module")
def traffic(release: Release) -> Iterator[Traffic]:
    """Requests by the name of the Service."""
    with release.namespace.traffic(question(NAME, requests=None, connections=16, pause_s=0.05)) as running:
        yield running


def test_a_version_that_nobody_asks_is_not_promoted(release: Release) -> None:
    controller, namespace = release.controller, release.namespace
    release.answer_with(SLOW)
    wait_until(lambda: not controller.verdict(namespace), "the change to be taken up")
    ended = wait_until(lambda: controller.verdict(namespace), "an end of it", limit_s=240)
    assert (ended, weight_of_new(namespace)) == UNASKED[controller.progressive]


def test_a_good_version_is_promoted(release: Release, traffic: Traffic) -> None:
    walk, answers = rollouts.watch(release, traffic, GOOD, "a good version")
    assert walk.verdict == "promoted"
    assert answers.failed == 0, answers.bodies
    assert {each.weight for each in walk.moments} >= {1, 25, 50}
    wait_until(lambda: traffic.take(200).of(version="1") == 0, "the new version to answer everything")


@pytest.mark.parametrize(("version", "name"), [(FAILING, "one that fails"), (SLOW, "one that is slow")])
def test_a_bad_version_is_rolled_back(release: Release, traffic: Traffic, version: str, name: str) -> None:
    ((_, serving),) = traffic.take(50).counts
    walk, answers = rollouts.watch(release, traffic, version, name)
    assert walk.verdict == "rolled back"
    assert weight_of_new(release.namespace) == 0
    bad = rollouts.met(answers, version)
    share = f"{bad} of {answers.all} requests ({bad / answers.all:.2%})"
    measured.append(f"{release.controller.progressive}: {share} met {name}")
    assert 0 < bad < MOST_BAD * answers.all, (answers.counts, answers.bodies)
    wait_until(lambda: set(traffic.take(200).counts) == {(200, serving)}, "the version before it to answer alone")
