"""From a controller that moves the weights back to people: by the commands of the chart's README."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.conftest import NewNamespace
from tests.cluster.controllers import NAME, TITLES, Argo, Controller, Flagger
from tests.cluster.rollouts import Release, released
from tests.cluster.staging import CHART, question, wait_until

PAGE: Final = (CHART / "README.md").read_text(encoding="utf-8")


@pytest.fixture(params=[4, 3], ids=["helm4", "helm3"])
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(params=[Flagger(), Argo()], ids=["flagger", "argo"])
def release(
    request: pytest.FixtureRequest, new_namespace: NewNamespace, samples: Path, major: int
) -> Iterator[Release]:
    """A release that a controller took up."""
    controller: Controller = request.param
    with released(controller, new_namespace(f"back-from-{controller.progressive}"), samples, major) as made:
        yield made
    made.namespace.helm("uninstall", "models", major=major)


def commands(release: Release) -> Iterator[str]:
    """Those of the page that are for this controller and this Helm, with this release's names."""
    (block,) = re.findall(r"^\*\*Back\*\* from either.*?```sh\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.replace("\\\n", " ").strip().splitlines():
        command, _, remark = line.partition("  # ")
        if remark.strip() in TITLES.values() and remark.strip() != TITLES[release.controller.progressive]:
            continue
        wins = " --force-conflicts" if "--force-conflicts" in remark and release.major == 4 else ""
        forced = wins if release.controller.progressive == "argo" else ""
        yield command.replace("--namespace models ", "").replace("shop", "models").strip() + forced


def test_people_move_the_weights_again(release: Release) -> None:
    namespace = release.namespace
    for command in commands(release):
        namespace.run("bash", "-ec", command, helm=release.major)
    namespace.wait_for_rollout()
    assert namespace.list("rollouts,canaries") == []
    asked = question(NAME, requests=50)
    wait_until(lambda: set(namespace.ask(asked)[0].counts) == {(200, "1")}, "every request to be answered")
    assert [each["metadata"]["name"] for each in namespace.list("virtualservices")] == [NAME]
