"""What is done next, as tables: wanted on the left, what is there in the middle, the one action on the right."""

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.repository.lifecycle import (
    ALLOWED,
    INDEX_STATE,
    NEVER,
    Incarnation,
    Load,
    State,
    Unload,
    backoff_s,
    check_move,
    choose_default,
    load_order,
    next_action,
    why_omitted_may_go,
)
from model_manager.repository.wanted import Batching, ServableId, WantedModel, WantedVersion, version_order

IN_PROGRESS = [State.WANTED, State.FETCHING, State.LOADING, State.PROVING]
NOT_SERVING = [*IN_PROGRESS, State.FAILED]
NOW = 100.0


def version(name: str, content: str = "a") -> WantedVersion:
    return WantedVersion(ServableId("iris", name), "/x", None, content, None, Batching(), None)


def model(versions: Mapping[str, str], default: str | None = None) -> WantedModel:
    """A wanted model from version → content; the default is the newest."""
    wanted = {name: version(name, content) for name, content in versions.items()}
    return WantedModel("iris", default or max(wanted, key=version_order), wanted)


def there(name: str, state: State, content: str = "a", *, retry_at: float = 0.0) -> Incarnation:
    one = version(name, content)
    return Incarnation(one.id, one.fingerprint, state, attempts=1, retry_at=retry_at)


def load(name: str, content: str = "a") -> Load:
    return Load(version(name, content))


def unload(name: str, content: str = "a") -> Unload:
    one = version(name, content)
    return Unload(one.id, one.fingerprint)


READY, FAILED, DRAINING, GONE, LOADING = State.READY, State.FAILED, State.DRAINING, State.GONE, State.LOADING


def first_action(wanted: WantedModel | None, incarnations: Sequence[Incarnation], now: float) -> Load | Unload | None:
    """The first thing to do for a model: what the manager does is to ask for version after version."""
    versions = wanted.versions if wanted is not None else {}
    ready = [each.id.version for each in incarnations if each.state is READY]
    may_go = why_omitted_may_go(wanted, ready)
    for name in load_order(wanted, {*versions, *(each.id.version for each in incarnations)}):
        of_it = [each for each in incarnations if each.id.version == name]
        action = next_action(versions.get(name), of_it, may_go, now)
        if action is not None:
            return action
    return None


@pytest.mark.parametrize(
    ("wanted", "incarnations", "expected"),
    [
        pytest.param(None, [], None, id="nothing wanted, nothing there"),
        pytest.param(model({"1": "a"}), [], load("1"), id="a wanted version is loaded"),
        pytest.param(model({"9": "a", "10": "a"}), [], load("10"), id="the newest first"),
        pytest.param(model({"1": "a", "2": "a"}, "1"), [], load("1"), id="the default before the newest"),
        pytest.param(model({"1": "a", "2": "a"}), [there("2", LOADING)], load("1"), id="others beside the first"),
        pytest.param(model({"1": "a"}), [there("1", READY)], None, id="a ready version is left alone"),
        pytest.param(model({"1": "a"}), [there("1", DRAINING)], load("1"), id="one that drains does not count"),
        pytest.param(model({"1": "a"}), [there("1", GONE)], load("1"), id="one that is gone does not count"),
        pytest.param(None, [there("1", DRAINING), there("2", GONE)], None, id="what leaves is left alone"),
        pytest.param(
            model({"1": "a"}), [there("1", FAILED, retry_at=NOW)], load("1"), id="a failed one is loaded again in time"
        ),
        pytest.param(model({"1": "a"}), [there("1", FAILED, retry_at=NOW + 0.1)], None, id="and not before"),
        pytest.param(model({"1": "a"}), [there("1", FAILED, retry_at=NEVER)], None, id="or never"),
        pytest.param(
            model({"1": "b"}), [there("1", FAILED, retry_at=NEVER)], unload("1"), id="unless it is wanted otherwise"
        ),
        pytest.param(
            model({"1": "a", "2": "a"}),
            [there("2", FAILED, retry_at=NOW + 9)],
            load("1"),
            id="a failed version delays no other",
        ),
        pytest.param(None, [there("1", READY)], unload("1"), id="an omitted model is unloaded"),
        pytest.param(
            model({"2": "a"}), [there("1", READY)], load("2"), id="a replacement is loaded before the old one goes"
        ),
        pytest.param(
            model({"2": "a"}),
            [there("1", READY), there("2", LOADING)],
            None,
            id="the old one serves while the new one loads",
        ),
        pytest.param(
            model({"2": "a"}),
            [there("1", READY), there("2", FAILED, retry_at=NOW + 9)],
            None,
            id="and after the new one failed",
        ),
        pytest.param(
            model({"2": "a"}),
            [there("1", READY), there("2", READY)],
            unload("1"),
            id="an omitted version goes once a wanted one is ready",
        ),
        pytest.param(
            model({"1": "b"}), [there("1", READY)], load("1", "b"), id="other bytes are loaded beside the version"
        ),
        pytest.param(
            model({"1": "b"}),
            [there("1", READY), there("1", FAILED, "b", retry_at=NOW + 9)],
            None,
            id="the last good bytes serve while the new ones fail",
        ),
        pytest.param(
            model({"1": "b", "2": "a"}),
            [there("1", READY), there("1", LOADING, "b"), there("2", READY)],
            None,
            id="another version that is ready replaces no changed one",
        ),
        pytest.param(
            model({"1": "b"}),
            [there("1", READY), there("1", READY, "b")],
            unload("1"),
            id="the old bytes go once the new ones are ready",
        ),
        pytest.param(
            model({"2": "b"}),
            [there("1", READY), there("2", READY), there("2", LOADING, "b")],
            unload("1"),
            id="a wanted version that serves its last good bytes is enough for an omitted one to go",
        ),
        pytest.param(
            model({"1": "a"}),
            [there("1", READY), there("1", FAILED, "b")],
            unload("1", "b"),
            id="a change taken back is forgotten, and what served all along stays",
        ),
        pytest.param(
            model({"1": "c"}),
            [there("1", LOADING, "b")],
            unload("1", "b"),
            id="what was superseded while loading is cancelled before its successor is loaded",
        ),
    ],
)
def test_the_next_action(wanted: WantedModel | None, incarnations: list[Incarnation], expected: object) -> None:
    assert first_action(wanted, incarnations, NOW) == expected


@pytest.mark.parametrize("state", IN_PROGRESS)
def test_a_wanted_version_in_progress_is_left_alone(state: State) -> None:
    assert first_action(model({"1": "a"}), [there("1", state)], NOW) is None


@pytest.mark.parametrize("state", NOT_SERVING)
@pytest.mark.parametrize("wanted", [None, model({"2": "a"}), model({"1": "b"})], ids=["model", "version", "bytes"])
def test_what_is_no_longer_wanted_and_serves_nobody_goes_at_once(wanted: WantedModel | None, state: State) -> None:
    assert first_action(wanted, [there("1", state, retry_at=NOW + 9)], NOW) == unload("1")


class Simulation:
    """A manager without a server: every action is carried out at once, every load ends when the test says so."""

    def __init__(self) -> None:
        self.incarnations: list[Incarnation] = []
        self.now = 0.0

    def converge(self, wanted: WantedModel | None) -> None:
        for _ in range(100):
            action = first_action(wanted, self.incarnations, self.now)
            if action is None:
                return
            if isinstance(action, Load):
                self._load(action.version)
            else:
                self._unload(action, wanted)
        raise AssertionError("does not converge")

    def end_loads(self, *, broken: set[str]) -> None:
        self.incarnations = [
            each
            if each.state is not State.LOADING
            else Incarnation(each.id, each.fingerprint, FAILED, each.attempts, self.now + backoff_s(each.attempts))
            if each.fingerprint in broken
            else Incarnation(each.id, each.fingerprint, READY)
            for each in self.incarnations
        ]

    def _load(self, version: WantedVersion) -> None:
        same = [each for each in self.incarnations if (each.id, each.fingerprint) == (version.id, version.fingerprint)]
        assert all(each.state is FAILED for each in same), "loaded twice"
        self.incarnations = [each for each in self.incarnations if each not in same]
        attempts = max((each.attempts for each in same), default=0) + 1
        self.incarnations.append(Incarnation(version.id, version.fingerprint, LOADING, attempts))

    def _unload(self, action: Unload, wanted: WantedModel | None) -> None:
        (gone,) = (each for each in self.incarnations if (each.id, each.fingerprint) == (action.id, action.fingerprint))
        self.incarnations.remove(gone)
        if gone.state is READY and wanted is not None:
            serving = {each.id.version for each in self.incarnations if each.state is READY}
            assert serving & set(wanted.versions), "the last ready version of a wanted model was unloaded"
            if gone.id.version in wanted.versions:
                assert gone.id.version in serving, "a wanted version was unloaded and nothing serves in its place"


wanted_models = st.none() | st.dictionaries(st.sampled_from("123"), st.sampled_from("abc"), min_size=1).map(model)
steps = st.lists(
    st.tuples(wanted_models, st.booleans(), st.sets(st.tuples(st.sampled_from("123"), st.sampled_from("abc"))))
)


@given(history=steps, last=wanted_models)
@settings(max_examples=300, deadline=None)
def test_any_history_converges_and_never_unloads_the_last_one_that_serves(
    history: list[tuple[WantedModel | None, bool, set[tuple[str, str]]]], last: WantedModel | None
) -> None:
    simulation = Simulation()
    for wanted, loads_end, broken in history:
        simulation.converge(wanted)
        if loads_end:
            simulation.end_loads(broken={version(*each).fingerprint for each in broken})
            simulation.converge(wanted)
        simulation.now += 0.7
    for _ in range(3):  # in the end nothing is broken any more: what failed is retried, and all of it arrives
        simulation.now += 60
        simulation.converge(last)
        simulation.end_loads(broken=set())
    simulation.converge(last)
    expected = {(each.id, each.fingerprint, READY) for each in last.versions.values()} if last is not None else set()
    assert {(each.id, each.fingerprint, each.state) for each in simulation.incarnations} == expected


@pytest.mark.parametrize(
    ("wanted", "ready", "current", "expected"),
    [
        pytest.param(model({"1": "a", "2": "a"}), ["1", "2"], "1", "2", id="the wanted default once it is ready"),
        pytest.param(model({"1": "a", "2": "a"}, "1"), ["1", "2"], "2", "1", id="even when it is the older one"),
        pytest.param(model({"1": "a", "3": "a"}), ["1", "2"], "1", "1", id="else the one that answers now"),
        pytest.param(model({"1": "a", "3": "a"}), ["1", "2"], "0", "2", id="else the newest that is ready"),
        pytest.param(model({"1": "a"}), ["9", "10"], None, "10", id="in the order of versions, not of text"),
        pytest.param(model({"1": "a"}), [], "1", None, id="nothing while nothing is ready"),
        pytest.param(None, ["1"], "1", "1", id="an omitted model answers until it is drained"),
        pytest.param(None, [], None, None, id="and then no more"),
    ],
)
def test_the_default(wanted: WantedModel | None, ready: list[str], current: str | None, expected: str | None) -> None:
    assert choose_default(wanted, ready, current) == expected


def test_backoff_doubles_up_to_a_minute_and_stays_there() -> None:
    assert [backoff_s(attempts) for attempts in (1, 2, 3, 4, 5, 6, 7, 8, 10_000)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_every_state_has_its_moves_and_its_word_in_the_index() -> None:
    assert set(ALLOWED) == set(INDEX_STATE) == set(State)
    assert {INDEX_STATE[state] for state in IN_PROGRESS} == {"LOADING"}
    assert (INDEX_STATE[READY], INDEX_STATE[DRAINING], INDEX_STATE[FAILED]) == ("READY", "UNLOADING", "UNAVAILABLE")


def test_a_version_walks_from_wanted_to_gone() -> None:
    walk = [*IN_PROGRESS, READY, DRAINING, GONE]
    for before, after in itertools.pairwise(walk):
        check_move(before, after)


@pytest.mark.parametrize("state", IN_PROGRESS)
def test_what_is_not_ready_yet_can_fail_or_be_cancelled(state: State) -> None:
    check_move(state, FAILED)
    check_move(state, GONE)


def test_what_is_ready_can_fail_but_not_be_cancelled() -> None:
    check_move(READY, FAILED)
    assert GONE not in ALLOWED[READY]


@pytest.mark.parametrize(
    ("before", "after"), [(DRAINING, FAILED), (READY, GONE), (DRAINING, READY), (GONE, State.WANTED), (FAILED, READY)]
)
def test_any_other_move_is_a_bug(before: State, after: State) -> None:
    with pytest.raises(AssertionError, match=f"from {before} to {after}"):
        check_move(before, after)
