"""The helm commands of README and of docs/canary.md, run word by word while requests never stop."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.conftest import NewNamespace
from tests.cluster.staging import ROW, Answers, Namespace, Traffic, measured, question
from tools.patience import wait_until
from tools.processes import ROOT

SERVICE = "models-model-manager"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "canary.md").read_text(encoding="utf-8")


def commands(page: str, *headings: str) -> list[str]:
    """The shell blocks below some headings, in order."""
    found: list[str] = []
    for heading in headings:
        (section,) = re.findall(
            rf"^#+ (?:\d\. )?{re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE
        )
        found += re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return found


class Reader:
    """Somebody who does what a page says, in a shell and in a pod of the mesh."""

    def __init__(self, namespace: Namespace, major: int) -> None:
        self._namespace = namespace
        self._major = major
        self.answers: list[Answers] = []
        """To the page's own requests, in order."""

    def do(self, block: str) -> None:
        """Run one block."""
        words = shlex.split(block.replace("\\\n", " "))
        if words[0] == "curl":
            self.answers += self._namespace.ask(self._as_question(words))
        elif words[0] in ("helm", "kubectl"):
            self._namespace.run("bash", "-ec", block, helm=self._major)
        else:  # Prometheus is asked: other tests do
            assert words[0] == "model-manager", block

    @staticmethod
    def _as_question(words: list[str]) -> dict[str, object]:
        given = {flag: [value for name, value in pairwise(words) if name == flag] for flag in ("-H", "-d")}
        host, _, path = next(word for word in words if "/v1/" in word).partition("/")
        headers = dict(each.split(": ", 1) for each in given["-H"])
        assert given["-d"] == [ROW]
        return question(host, f"/{path}", headers=headers)


@pytest.fixture(params=[4, 3], ids=["helm4", "helm3"])
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def models(new_namespace: NewNamespace, samples: Path) -> Iterator[Namespace]:
    """A namespace with what both pages start from: the ConfigMaps `models` and `models-next`."""
    namespace = new_namespace("pages")
    namespace.apply_models("models", samples, default="1")
    namespace.apply_models("models-next", samples, default="2")
    yield namespace
    namespace.helm("uninstall", "models")


def weight_of_canary(namespace: Namespace) -> int:
    """As the VirtualService says it."""
    *_, weighted = namespace.get("virtualservice", SERVICE)["spec"]["http"]
    weights = {each["destination"]["subset"]: each.get("weight", 0) for each in weighted["route"]}
    return int(weights.get("canary", 0))


def test_a_canary_step_by_step_fails_no_request(models: Namespace, major: int) -> None:
    reader = Reader(models, major)
    (install,) = commands(PAGE, "A canary, step by step")
    reader.do(install)
    models.wait_for_rollout()
    with models.traffic(question(SERVICE, requests=None, connections=8, pause_s=0.02)) as traffic:
        way = commands(PAGE, "Add a track at weight 0", "Give it a share", "Promote")
        follow(reader, way, models, traffic)
        assert models.pods("canary") == []
        assert traffic.take(100).of(version="2") >= 100  # stable has the new version
        follow(reader, commands(PAGE, "Add a track at weight 0")[:1], models, traffic)
        models.wait_for_rollout("canary")
        follow(reader, commands(PAGE, "Give it a share")[:1], models, traffic)
        follow(reader, commands(PAGE, "Roll back", "Name a track, whatever its weight"), models, traffic)
        follow(reader, commands(PAGE, "Copy traffic to it first"), models, traffic)
        everything = traffic.so_far()
    assert everything.failed == 0, (everything.counts, everything.bodies)
    assert [each.status for each in reader.answers] == [200] * 2
    assert reader.answers[0].of(version="2") == 1  # the header named the canary, which had no share
    measured.append(f"docs/canary.md: {everything.all} requests, {everything.failed} failed")


def test_istio_that_comes_after_what_the_readme_installed_fails_no_request(models: Namespace, major: int) -> None:
    reader = Reader(models, major)
    (install,) = [each for each in commands(README, "Roll out") if each.startswith("helm ")]
    reader.do(install)
    steps = commands(PAGE, "When Istio comes later")
    models.wait_for_rollout()
    with models.traffic(question(SERVICE, requests=None, connections=8, pause_s=0.02)) as traffic:
        follow(reader, steps, models, traffic)
        assert weight_of_canary(models) == 10
        wait_until(lambda: traffic.take(200).of(version="2"), "the canary's share")
        everything = traffic.so_far()
    assert everything.failed == 0, (everything.counts, everything.bodies)
    measured.append(f"README: {everything.all} requests, {everything.failed} failed")


def follow(reader: Reader, blocks: list[str], namespace: Namespace, traffic: Traffic) -> None:
    """Do what a page says, and let requests pass after each step."""
    for block in blocks:
        if "canary.weight" in block and "canary.weight=0" not in block:
            namespace.wait_for_rollout("canary")  # as the page says: a track gets traffic once it is ready
        reader.do(block)
        after = traffic.take(100)
        assert after.failed == 0, (block, json.dumps([str(each) for each in after.bodies.items()]))
