"""Every step of docs/canary.md, rendered by a real Helm: it does what the page says, and restarts no pod unsaid."""

import json
import re
import shlex
from itertools import pairwise

import pytest

from tests.chart.chart import CHART, Helm, Refused, Render
from tests.conftest import ROOT
from tests.mesh.split import WALK
from tests.mesh.virtual_service import read_routing

PAGE = (ROOT / "docs" / "canary.md").read_text()
RUN = json.loads((ROOT / "docs" / "split.json").read_text())
ROLLOUTS = json.loads((ROOT / "docs" / "rollouts.json").read_text())
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
INSTALL = ["helm", "install", "models", "charts/model-manager"]
UPGRADE = ["helm", "upgrade", "models", "charts/model-manager", "--reset-then-reuse-values"]


def values(command: str) -> list[str]:
    """What a helm command of the page sets."""
    words = shlex.split(command.replace("\\\n", " "))
    start = INSTALL if words[1] == "install" else UPGRADE
    assert words[: len(start)] == start
    return words[len(start) :]


def steps(*texts: str) -> list[list[str]]:
    """The commands between headings of these texts, in order, each with what the ones before it set."""
    commands: list[str] = []
    for text in texts:
        (section,) = re.findall(rf"^#+ (?:\d\. )?{re.escape(text)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        commands += [each for each in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if each.startswith("helm ")]
    return [values(each) for each in commands]


def rendered(helm: Helm, steps: list[list[str]]) -> list[Render]:
    """The rendering after each step: Helm keeps what was set before, so a rendering is told all of it again."""
    told: list[str] = []
    renders = []
    for step in steps:
        told += step
        renders.append(Render(helm.run("template", "models", CHART, *told)))
    return renders


def is_shift(step: list[str]) -> bool:
    """Whether a step sets the weights of both tracks, and nothing else."""
    return [word.partition("=")[0] for word in step[1::2]] == ["tracks.canary.weight", "tracks.stable.weight"]


def weights(render: Render) -> dict[str, int]:
    return read_routing(render.documents).http[-1].weights


def pods(render: Render) -> dict[str, object]:
    """What pods are made of: a Deployment that does not change restarts none."""
    return {each["metadata"]["labels"]["version"]: each["spec"] for each in render.all("Deployment")}


@pytest.fixture
def way(helm4: Helm) -> list[Render]:
    """The whole way: installed, added, 5, 25, 50, promoted, stable renewed, stable again, retired."""
    return rendered(helm4, steps("A canary, step by step", "Add a track at weight 0", "Give it a share", "Promote"))


def test_the_way_is_the_one_that_the_page_says(way: list[Render]) -> None:
    assert [weights(each) for each in way] == [
        {"stable": 100},
        *({"canary": canary, "stable": 100 - canary} for canary in (0, 5, 25, 50, 100, 100, 0)),
        {"stable": 100},
    ]


@pytest.mark.parametrize(
    ("routing", "route"),
    [([], "VirtualService"), (["--set=routing=gatewayAPI,gatewayAPI.parentRefs[0].name=public"], "HTTPRoute")],
)
def test_a_step_that_changes_weights_changes_nothing_but_the_route(helm4: Helm, routing: list[str], route: str) -> None:
    install, *upgrades = steps("A canary, step by step", "Add a track at weight 0", "Give it a share", "Promote")
    way = rendered(helm4, [install + routing, *upgrades])
    shifts = [pair for pair, step in zip(pairwise(way), upgrades, strict=True) if is_shift(step)]
    assert len(shifts) == 5
    for before, after in shifts:
        documents = zip(before.documents, after.documents, strict=True)
        assert [old["kind"] for old, new in documents if old != new] == [route]


def test_pods_change_only_where_the_page_says_so(way: list[Render]) -> None:
    installed, added, *shifts, renewed, _, retired = map(pods, way)
    assert added["stable"] == installed["stable"]
    assert all(each == added for each in shifts)
    assert renewed["canary"] == added["canary"]
    assert renewed["stable"] != added["stable"]
    assert "models-next" in json.dumps(renewed["stable"])
    assert retired == {"stable": renewed["stable"]}


@pytest.mark.parametrize("taken", range(2, 7))
def test_a_roll_back_from_any_step_is_the_state_before_the_first_share(helm4: Helm, taken: int) -> None:
    way = steps("A canary, step by step", "Add a track at weight 0", "Give it a share", "Promote")[:taken]
    *_, before, after = rendered(helm4, [*way, *steps("Roll back")])
    assert weights(after) == {"canary": 0, "stable": 100}
    assert pods(after) == pods(before)


def test_a_mirror_begins_and_ends_without_a_pod_noticing(helm4: Helm) -> None:
    begin = steps("A canary, step by step", "Add a track at weight 0")
    _, added, mirrored, ended = rendered(helm4, [*begin, *steps("Copy traffic to it first")])
    route = read_routing(mirrored.documents).http[-1]
    assert route.mirror is not None
    assert (route.mirror.subset, route.mirror_percentage.value) == ("canary", 20)
    assert pods(added) == pods(mirrored)
    assert ended.documents == added.documents
    with pytest.raises(Refused, match="already gets traffic of its own"):
        rendered(helm4, [*begin, steps("Copy traffic to it first")[0], *steps("Give it a share")])


def test_a_later_istio_has_what_the_route_leads_to_before_the_route_and_restarts_pods_once(helm4: Helm) -> None:
    install = ["--set", "tracks.stable.existingConfigMap=models"]
    installed, meshed, routed, shifted = rendered(helm4, [install, *steps("When Istio comes later")])
    assert pods(installed)["stable"] != pods(meshed)["stable"] == pods(routed)["stable"]
    assert pods(routed) == pods(shifted)
    assert [each["name"] for each in meshed.one("DestinationRule")["spec"]["subsets"]] == ["stable"]
    assert not meshed.all("VirtualService")
    assert [weights(each) for each in (routed, shifted)] == [{"canary": 0, "stable": 100}, {"canary": 10, "stable": 90}]


def test_what_controllers_made_of_bad_versions_is_what_was_seen() -> None:
    seen = {(each["controller"], each["change"]): each for each in ROLLOUTS}
    for words, change in (("fails every request", "one that fails"), ("takes 0.8 s", "one that is slow")):
        (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| one that {words}, met by |"))
        for controller in ("flagger", "argo"):
            walk = seen[controller, change]
            met, requests = walk["moments"][-1]["new"], walk["moments"][-1]["requests"]
            assert f"| {met} of {requests:,} ({met / requests:.2%}) |" in row
            assert walk["verdict"] == "rolled back"
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| a good version, "))
    good = [seen[controller, "a good version"]["moments"][-1] for controller in ("flagger", "argo")]
    assert row.endswith(" | ".join(["", *(f"{each['failed']} of {each['requests']:,}" for each in good)]) + " |")


def test_every_command_of_the_page_is_known(helm4: Helm) -> None:
    (installed,) = rendered(helm4, steps("A canary, step by step"))
    host = read_routing(installed.documents).hosts[0].partition(".")[0]
    for block in BLOCKS:
        if block.startswith("curl "):
            assert f" {host}/v1/models/iris:predict " in block
        elif block.startswith("kubectl "):
            assert re.fullmatch(rf"kubectl rollout status deployment/{host}-(stable|canary)\n", block)
        else:
            assert block.startswith(("helm ", "model-manager canary "))


def test_the_figures_are_those_of_the_run_and_the_run_took_the_steps_of_the_page() -> None:
    assert [(step["name"], step["weight"]) for step in RUN["steps"]] == list(WALK)
    for step in RUN["steps"]:
        low, high = step["least"] / step["requests"], step["most"] / step["requests"]
        row = (
            f"| {step['name']} | {step['weight']}% | {step['share']:.2%} | {low:.2%} to {high:.2%} | {step['failed']} |"
        )
        assert row in PAGE
        assert step["held"]
        assert f"of {step['requests']:,} requests" in PAGE
    assert f"{RUN['connections']} connections" in PAGE
