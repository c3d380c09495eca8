"""Dealing requests to versions: shares as large as their weights, users that stay, and the only moves there may be."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import VersionNotFound
from model_manager.repository.lifecycle import State
from model_manager.repository.wanted import ServableId, WantedModel
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.serving.traffic import Shares, split_of
from model_manager.serving.views import ModelView, VersionStatus
from scipy.stats import binom

REQUESTS = 10_000
USERS = [b"user-%d" % number for number in range(REQUESTS)]
SETTLED = ["2", "2", "10", "1", "1", "2", "2", "2", "10", "1", "2", "10"]
VERSIONS = ["1", "2", "9", "10", "2026-11-02.1"]

weights = st.dictionaries(st.sampled_from(VERSIONS), st.integers(0, 100), min_size=1).filter(lambda w: sum(w.values()))


def servable(version: str) -> Servable:
    """Something to lease, of which a split knows the id only."""
    made = Servable.__new__(Servable)
    made.id, made.leases = ServableId("m", version), 0
    return made


READY = {version: servable(version) for version in VERSIONS}


def version_of(dealt: dict[str, int], user: bytes, model: str = "m") -> str:
    shares = Shares(model, dealt)
    return shares.versions[shares.of(user)]


def within_bounds(count: int, percent: int) -> bool:
    """Whether chance allows so many of REQUESTS in all but one of a thousand runs."""
    low, high = binom.interval(0.999, REQUESTS, percent / 100)
    return bool(low <= count <= high)


@pytest.mark.parametrize("dealt", [{"1": 90, "2": 10}, {"1": 50, "2": 49, "3": 1}, {"1": 0, "2": 100}])
def test_shares_are_those_of_the_weights_by_users_and_by_chance(dealt: dict[str, int]) -> None:
    random.seed(20261102)
    shares = Shares("m", dealt)
    for places in ([shares.of(user) for user in USERS], [shares.at_random() for _ in USERS]):
        for version, percent in dealt.items():
            count = sum(shares.versions[place] == version for place in places)
            assert within_bounds(count, percent), (version, count)


def test_who_is_dealt_where_is_settled_for_good() -> None:
    """What another process, another machine and the next release have to answer, too."""
    dealt = {"1": 60, "2": 30, "10": 10}
    assert [version_of(dealt, b"user-%d" % number, "iris") for number in range(12)] == SETTLED
    assert version_of(dict(reversed(dealt.items())), b"user-1", "iris") == SETTLED[1]


def test_users_of_two_models_are_dealt_apart() -> None:
    dealt = {"1": 50, "2": 50}
    same = sum(version_of(dealt, user, "iris") == version_of(dealt, user, "wine") for user in USERS[:2000])
    assert 850 < same < 1150


def test_from_10_to_25_moves_only_users_towards_the_new_version() -> None:
    moved = 0
    for user in USERS:
        before, after = version_of({"1": 90, "2": 10}, user), version_of({"1": 75, "2": 25}, user)
        assert (before, after) != ("2", "1")
        moved += before != after
    assert within_bounds(moved, 15)


@given(before=weights, after=weights, user=st.binary(min_size=1))
def test_a_user_moves_only_to_a_version_that_grew_in_relation_to_the_one_left(
    before: dict[str, int], after: dict[str, int], user: bytes
) -> None:
    one, other = version_of(before, user), version_of(after, user)
    if one != other:  # the other's share of both grew
        assert after[other] * before[one] > before.get(other, 0) * after.get(one, 0)


@given(before=weights, version=st.sampled_from(VERSIONS), more=st.integers(1, 100), user=st.binary(min_size=1))
def test_a_version_that_grows_alone_takes_users_and_gives_none(
    before: dict[str, int], version: str, more: int, user: bytes
) -> None:
    one, other = version_of(before, user), version_of({**before, version: before.get(version, 0) + more}, user)
    assert other in (one, version)


@given(dealt=weights, user=st.binary(min_size=1))
def test_versions_without_weight_get_nobody_and_move_nobody(dealt: dict[str, int], user: bytes) -> None:
    chosen = version_of(dealt, user)
    assert dealt[chosen] > 0
    assert chosen == version_of({**dict.fromkeys(VERSIONS, 0), **dealt}, user)


def test_a_header_decides_where_it_says_who_asks_and_chance_where_it_does_not() -> None:
    wanted = WantedModel("m", "1", {}, traffic={"1": 50, "2": 50}, sticky="x-user-id")
    split = split_of(wanted, READY, READY["1"])
    assert split is not None
    user = {split.choose([(b"accept", b"*/*"), (b"x-user-id", b"ada")]).id.version for _ in range(50)}
    assert len(user) == 1
    for headers in ([], [(b"x-user-id", b"")], [(b"x-user", b"ada")]):
        assert {split.choose(headers).id.version for _ in range(100)} == {"1", "2"}


def test_the_default_answers_for_a_version_that_is_not_ready_and_nobody_else_moves() -> None:
    wanted = WantedModel("m", "1", {}, traffic={"1": 40, "2": 40, "9": 20}, sticky="x-user-id")
    whole, without = (
        split_of(wanted, READY, READY["1"]),
        split_of(wanted, {"1": READY["1"], "9": READY["9"]}, READY["1"]),
    )
    assert whole is not None
    assert without is not None
    assert (whole.standing_in, without.standing_in) == ((), ("2",))
    for user in USERS[:500]:
        meant = whole.choose([(b"x-user-id", user)]).id.version
        assert without.choose([(b"x-user-id", user)]).id.version == ("1" if meant == "2" else meant)


def test_a_lease_that_names_no_version_is_dealt_and_one_that_does_is_not() -> None:
    random.seed(20261102)
    wanted = WantedModel("m", "1", {}, traffic={"1": 90, "2": 10})
    ready = {"1": servable("1"), "2": servable("2")}
    registry = Registry()
    statuses = {version: VersionStatus(version, State.READY) for version in ready}
    registry.show("m", ModelView(ready["1"], ready, statuses, split_of(wanted, ready, ready["1"])))
    for _ in range(REQUESTS):
        registry.lease("m", None)
    assert within_bounds(ready["2"].leases, 10)
    assert ready["1"].leases + ready["2"].leases == REQUESTS
    assert registry.lease("m", "2") is ready["2"]
    assert registry.servable("m", None) is ready["1"]
    with pytest.raises(VersionNotFound):
        registry.lease("m", "3")
