"""Pods that stop while the mesh still sends them requests, as when a node is drained faster than endpoints spread."""

import signal
from collections.abc import Sequence

import pytest

from tests.mesh.deployment import Release, weights
from tests.mesh.traffic import Asked, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


def failures(asked: Sequence[Asked]) -> set[str]:
    """What was wrong with answers."""
    return {each.failure for each in asked} - {""}


def restart_all_without_warning(deployed: Release, track: str) -> None:
    """Each pod is told to stop before the mesh knows of it, with another one beside it."""
    for pod in list(deployed.pods[track]):
        deployed.scale(track, len(deployed.pods[track]) + 1)
        pod.popen.send_signal(signal.SIGTERM)
        pod.wait_for(lambda pod=pod: not pod.is_ready(), "to say that it goes")  # type: ignore[misc]
        deployed.stop(track, pod)


@pytest.mark.parametrize("workers", ["4", "1"])
def test_a_pod_that_gets_no_warning_answers_until_the_mesh_knows(deployed: Release, workers: str) -> None:
    deployed.upgrade({**weights(0), "settings.workers": workers})
    deployed.restart("stable")
    with traffic(deployed.proxy.api, deployed.question) as load:
        load.take(500)
        restart_all_without_warning(deployed, "stable")
        load.take(500)
    assert len(load.asked) > 2000
    assert not failures(load.asked)
