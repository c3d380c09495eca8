"""What requests see, as tables: wanted and what is there on the left, what is shown on the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from model_manager.repository.lifecycle import State
from model_manager.repository.wanted import Batching, ServableId, WantedModel, WantedVersion, version_order
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.servable import Servable
from model_manager.serving.views import AS_A_WHOLE, ModelView, Standing, VersionStatus, next_view, standings

WANTED, LOADING, PROVING, READY = State.WANTED, State.LOADING, State.PROVING, State.READY
DRAINING, FAILED = State.DRAINING, State.FAILED


def version(name: str, content: str = "a") -> WantedVersion:
    return WantedVersion(ServableId("m", name), "/x", None, content, None, Batching(), None)


def model(versions: Mapping[str, str], default: str | None = None) -> WantedModel:
    """A wanted model from version → content; the default is the newest."""
    wanted = {name: version(name, content) for name, content in versions.items()}
    return WantedModel("m", default or max(wanted, key=version_order), wanted)


def servable(name: str) -> Servable:
    """Something to lease, of which views know the id only."""
    made = Servable.__new__(Servable)
    made.id = ServableId("m", name)
    return made


def there(
    name: str,
    state: State,
    content: str = "a",
    *,
    reason: str = "",
    leasable: Servable | None = None,
    quarantined: bool = False,
) -> ManagedVersion:
    return ManagedVersion(version(name, content), 1, state, reason, quarantined, servable=leasable)


ONE, OTHER_ONE, TWO = servable("1"), servable("1"), servable("2")


def shown(default: Servable | None, ready: Mapping[str, Servable], **statuses: tuple[State, str]) -> ModelView:
    """A view; versions are given as v<name>."""
    said = {name[1:]: VersionStatus(name[1:], *status) for name, status in statuses.items()}
    return ModelView(default, ready, said)


@dataclass(frozen=True)
class Case:
    wanted: WantedModel | None
    there: Sequence[ManagedVersion]
    previous: ModelView | None
    view: ModelView | None
    standing: Standing


SETTLED, BEHIND, IN_FORCE = Standing(True, False, True), Standing(False, False, False), Standing(True, True, True)
NONE_ANSWERS = Standing(settled=False, in_force=False, ended=True)

CASES = {
    "a model that is neither wanted nor there is not shown": Case(None, [], None, None, IN_FORCE),
    "one that was, and is gone, is not shown any more": Case(
        None, [], shown(ONE, {"1": ONE}, v1=(DRAINING, "")), None, IN_FORCE
    ),
    "a wanted one is shown before anything was done for it": Case(
        model({"1": "a"}), [], None, shown(None, {}, v1=(WANTED, "")), BEHIND
    ),
    "while it loads nothing can be leased": Case(
        model({"1": "a"}), [there("1", LOADING)], None, shown(None, {}, v1=(LOADING, "")), BEHIND
    ),
    "it can be leased a moment before it is said to be ready": Case(
        model({"1": "a"}),
        [there("1", PROVING, leasable=ONE)],
        None,
        shown(ONE, {"1": ONE}, v1=(PROVING, "")),
        BEHIND,
    ),
    "ready": Case(
        model({"1": "a"}),
        [there("1", READY, leasable=ONE)],
        None,
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        IN_FORCE,
    ),
    "a failed one is shown with its reason, and keeps waiting whoever asks for readiness": Case(
        model({"1": "a"}),
        [there("1", FAILED, reason="corrupt: cut short")],
        None,
        shown(None, {}, v1=(FAILED, "corrupt: cut short")),
        NONE_ANSWERS,
    ),
    "one that is quarantined keeps nobody waiting": Case(
        model({"1": "a"}),
        [there("1", FAILED, reason="quarantined: ended the server 3 times", quarantined=True)],
        None,
        ModelView(None, {}, {"1": VersionStatus("1", FAILED, "quarantined: ended the server 3 times", True)}),
        SETTLED,
    ),
    "a failed one beside one that answers is settled": Case(
        model({"1": "a", "2": "a"}),
        [there("1", READY, leasable=ONE), there("2", FAILED, reason="missing: no")],
        None,
        shown(ONE, {"1": ONE}, v1=(READY, ""), v2=(FAILED, "missing: no")),
        SETTLED,
    ),
    "the default is the one that was declared": Case(
        model({"1": "a", "2": "a"}, "1"),
        [there("2", READY, leasable=TWO), there("1", READY, leasable=ONE)],
        shown(TWO, {"2": TWO}, v2=(READY, "")),
        shown(ONE, {"1": ONE, "2": TWO}, v1=(READY, ""), v2=(READY, "")),
        IN_FORCE,
    ),
    "until that is ready the one that answered goes on": Case(
        model({"1": "a", "2": "a", "3": "a"}, "3"),
        [there("1", READY, leasable=ONE), there("2", READY, leasable=TWO), there("3", LOADING)],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(ONE, {"1": ONE, "2": TWO}, v1=(READY, ""), v2=(READY, ""), v3=(LOADING, "")),
        BEHIND,
    ),
    "the old bytes of a version answer while the new ones load, and the reason says so": Case(
        model({"1": "b"}),
        [there("1", READY, leasable=ONE), there("1", LOADING, "b")],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(ONE, {"1": ONE}, v1=(READY, "its replacement is loading: ")),
        SETTLED,
    ),
    "and after the new ones failed": Case(
        model({"1": "b"}),
        [there("1", READY, leasable=ONE), there("1", FAILED, "b", reason="corrupt: x")],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(ONE, {"1": ONE}, v1=(READY, "its replacement is failed: corrupt: x")),
        SETTLED,
    ),
    "once both are ready the new ones answer": Case(
        model({"1": "b"}),
        [there("1", READY, leasable=ONE), there("1", READY, "b", leasable=OTHER_ONE)],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(OTHER_ONE, {"1": OTHER_ONE}, v1=(READY, "")),
        SETTLED,
    ),
    "and the old ones can no longer be leased while they drain": Case(
        model({"1": "b"}),
        [there("1", DRAINING, leasable=ONE), there("1", READY, "b", leasable=OTHER_ONE)],
        shown(OTHER_ONE, {"1": OTHER_ONE}, v1=(READY, "")),
        shown(OTHER_ONE, {"1": OTHER_ONE}, v1=(READY, "")),
        SETTLED,
    ),
    "a version that drains is known, and refused": Case(
        model({"2": "a"}),
        [there("1", DRAINING, leasable=ONE), there("2", READY, leasable=TWO)],
        shown(TWO, {"1": ONE, "2": TWO}, v1=(READY, ""), v2=(READY, "")),
        shown(TWO, {"2": TWO}, v1=(DRAINING, ""), v2=(READY, "")),
        SETTLED,
    ),
    "an omitted version serves until another one does": Case(
        model({"2": "a"}),
        [there("1", READY, leasable=ONE), there("2", LOADING)],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(ONE, {"1": ONE}, v1=(READY, ""), v2=(LOADING, "")),
        BEHIND,
    ),
    "an omitted model is shown until it has drained": Case(
        None,
        [there("1", DRAINING, leasable=ONE)],
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        shown(None, {}, v1=(DRAINING, "")),
        SETTLED,
    ),
    "what is ready with other bytes than those that are wanted is not in force": Case(
        model({"1": "b"}),
        [there("1", READY, leasable=ONE)],
        None,
        shown(ONE, {"1": ONE}, v1=(READY, "")),
        SETTLED,
    ),
}


def by_version(incarnations: Sequence[ManagedVersion]) -> dict[str, list[ManagedVersion]]:
    found: dict[str, list[ManagedVersion]] = {}
    for one in incarnations:
        found.setdefault(one.wanted.id.version, []).append(one)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_next_view(case: Case) -> None:
    wanted, incarnations = case.wanted.versions if case.wanted is not None else {}, by_version(case.there)
    names = {*wanted, *incarnations, *(case.previous.statuses if case.previous is not None else ())}
    view = next_view(case.wanted, incarnations, case.previous, names)
    assert view == case.view
    each = standings(case.wanted, incarnations, view, names)
    assert each.keys() == {*names, AS_A_WHOLE}
    settled, in_force = all(one.settled for one in each.values()), all(one.in_force for one in each.values())
    assert Standing(settled, in_force, ended=all(one.ended for one in each.values())) == case.standing


def test_only_what_changed_is_looked_at() -> None:
    wanted = model({"1": "a", "2": "a"})
    before = shown(ONE, {"1": ONE}, v1=(READY, ""), v2=(LOADING, ""))
    there_now = by_version([there("1", DRAINING, leasable=ONE), there("2", READY, leasable=TWO)])
    view = next_view(wanted, there_now, before, ["2"])
    assert view == shown(TWO, {"1": ONE, "2": TWO}, v1=(READY, ""), v2=(READY, ""))
    assert before == shown(ONE, {"1": ONE}, v1=(READY, ""), v2=(LOADING, ""))
    assert next_view(wanted, there_now, view, ["1"]) == shown(TWO, {"2": TWO}, v1=(DRAINING, ""), v2=(READY, ""))
