"""Which version answered then: asked of ledgers that are written by hand, and of random ones against a plain replay."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_manager.errors import LedgerUnreadable
from model_manager.ledger.entries import Default, Ended, Entry, Good, Moved, WantedVersions, now
from model_manager.ledger.history import history_of
from model_manager.ledger.moment import moment_of
from model_manager.ledger.picture import Picture
from model_manager.ledger.times import read_time

from tests.unit.ledger.staging import DIGESTS, at, began, default, lineage, minute, moved, put, wanted


def one_server(folder: Path, process: str = "pod-0", *, late: float = 0.0) -> None:
    """Version 1 serves from second 10 on; version 2 answers by default from second 100 on, and 3 fails."""
    put(
        folder,
        process,
        began(process, late),
        wanted("1", 1 + late, first=True),
        lineage("1", 10 + late),
        moved("1", "ready", 10 + late),
        default("1", 10 + late),
        Good(at=at(11 + late), generation="a" * 64),
        minute(0, 60, v1=30),
        wanted("2", 90 + late, by="ana@example.com", changed_at="2026-11-02T12:01:29Z", commit="abc123"),
        lineage("2", 100 + late, signed_by="/keys/team.pem"),
        moved("2", "ready", 100 + late),
        default("2", 100 + late, was="1"),
        moved("3", "failed", 105 + late, reason="corrupt: it does not unpickle"),
        minute(60, 120, v1=20, v2=5),
        moved("1", "draining", 121 + late, was="ready"),
        moved("1", "gone", 122 + late, was="draining"),
        minute(120, 180, v2=60),
    )


def test_the_version_that_answered_then_and_where_it_came_from(tmp_path: Path) -> None:
    one_server(tmp_path)
    moment = moment_of(tmp_path, at(70), model="iris")
    (version,) = moment.versions
    assert (version.version, version.default, version.default_since, version.state) == ("1", 1, at(10), "ready")
    assert version.answered == {"200": 20}
    assert version.said is not None
    assert version.said["data"]["uri"] == "iris-1.csv"
    assert [one.by for one in moment.wanted] == [None]
    later = {one.version: one for one in moment_of(tmp_path, at(110)).versions}
    assert {name: one.default for name, one in later.items()} == {"1": 0, "2": 1, "3": 0}
    assert (later["2"].signed_by, later["2"].sha256) == ("/keys/team.pem", DIGESTS["2"])
    assert (later["3"].state, later["3"].reason) == ("failed", "corrupt: it does not unpickle")
    (wanted_then,) = moment_of(tmp_path, at(110)).wanted
    assert (wanted_then.by, wanted_then.commit, wanted_then.since) == ("ana@example.com", "abc123", at(90))
    assert {one.version for one in moment_of(tmp_path, at(150)).versions} == {"2", "3"}


@pytest.mark.parametrize(("seconds", "counts"), [(59.9, {"1": 30}), (60, {"1": 20}), (119, {"1": 20, "2": 5})])
def test_a_minute_begins_with_its_first_moment(tmp_path: Path, seconds: float, counts: dict[str, int]) -> None:
    one_server(tmp_path)
    versions = moment_of(tmp_path, at(seconds)).versions
    assert {one.version: one.answered["200"] for one in versions if one.answered} == counts


def test_what_the_ledger_cannot_know_it_says(tmp_path: Path) -> None:
    one_server(tmp_path)
    before = moment_of(tmp_path, at(-1))
    assert (before.known, before.problem) == (False, "the ledger knows from 2026-11-02 12:00:00 UTC on")
    to_come = moment_of(tmp_path, now() + timedelta(days=1))
    assert (to_come.known, to_come.versions) == (False, [])
    assert to_come.problem.endswith("is yet to come")
    with pytest.raises(LedgerUnreadable, match="No such file"):
        moment_of(tmp_path / "absent", at(0))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LedgerUnreadable, match="holds no ledger"):
        history_of(tmp_path / "empty")


def test_a_server_that_stopped_or_fell_silent_did_not_serve(tmp_path: Path) -> None:
    one_server(tmp_path / "silent")
    assert moment_of(tmp_path / "silent", at(180 + 149)).processes == 1
    silent = moment_of(tmp_path / "silent", at(180 + 151))
    assert (silent.known, silent.processes) == (True, 0)
    assert silent.problem == "no server that keeps this ledger was running then"
    stopped = put(tmp_path / "stopped", "pod-0", began("pod-0"), moved("1", "ready", 1), Ended(at=at(20)))
    assert moment_of(stopped.parent, at(19)).processes == 1
    assert moment_of(stopped.parent, at(21)).processes == 0


def test_a_server_whose_disk_was_full_for_long_served_meanwhile(tmp_path: Path) -> None:
    put(tmp_path, "pod-0", began("pod-0"), moved("1", "ready", 1))
    put(tmp_path, "pod-0", began("pod-0", 9000), moved("1", "ready", 1, restated=True), number=2)
    assert moment_of(tmp_path, at(5000)).processes == 1


def test_processes_are_merged_and_told_apart_where_they_differ(tmp_path: Path) -> None:
    one_server(tmp_path)
    one_server(tmp_path, "pod-1", late=5.0)
    moment = moment_of(tmp_path, at(102))
    assert moment.processes == 2
    assert [(one.generation[0], one.processes) for one in moment.wanted] == [("b", 2)]
    defaults = {one.version: (one.default, one.processes) for one in moment.versions}
    assert defaults == {"1": (1, 2), "2": (1, 1)}, "the second process follows five seconds later"
    assert moment_of(tmp_path, at(70)).versions[0].answered == {"200": 40}
    assert [one.generation[0] for one in moment_of(tmp_path, at(92)).wanted] == ["a", "b"]


def test_no_version_of_a_model_is_an_answer(tmp_path: Path) -> None:
    one_server(tmp_path)
    moment = moment_of(tmp_path, at(70), model="churn")
    assert (moment.known, moment.versions, moment.problem) == (True, [], "no version of churn was there then")


def test_a_history_has_changes_in_order_once_and_counts_by_version(tmp_path: Path) -> None:
    one_server(tmp_path)
    one_server(tmp_path, "pod-1", late=1.0)
    history = history_of(tmp_path, model="iris")
    told = [(one.what, one.version, one.to or one.by, one.processes) for one in history.events]
    assert told == [
        ("began", None, None, 2),
        ("wanted", None, None, 1),
        ("state", "1", "ready", 2),
        ("default", None, "1", 2),
        ("in force", None, None, 2),
        ("wanted", None, "ana@example.com", 2),
        ("state", "2", "ready", 2),
        ("default", None, "2", 2),
        ("state", "3", "failed", 2),
        ("state", "1", "draining", 2),
        ("state", "1", "gone", 2),
    ]
    assert {one.version: one.codes for one in history.answered} == {"1": {"200": 100}, "2": {"200": 130}}
    assert [(one.version, one.signed_by) for one in history.versions] == [("1", None), ("2", "/keys/team.pem")]


def test_a_history_of_one_version_and_of_one_time(tmp_path: Path) -> None:
    one_server(tmp_path)
    third = history_of(tmp_path, model="iris", version="3")
    assert [one.version for one in third.events if one.what == "state"] == ["3"]
    assert not third.answered
    part = history_of(tmp_path, since=at(95), until=at(103))
    assert [(one.what, one.version or one.to) for one in part.events] == [("state", "2"), ("default", "2")]
    assert {one.what for one in history_of(tmp_path, model="churn", since=at(5)).events} == {"in force"}


def test_a_restart_is_no_change_of_what_is_wanted(tmp_path: Path) -> None:
    one_server(tmp_path)
    put(tmp_path, "pod-9", began("pod-9", 400), wanted("2", 401, first=True), minute(400, 460))
    put(tmp_path, "pod-a", began("pod-a", 500), wanted("1", 501, first=True), minute(500, 560))
    told = [(one.at, one.generation) for one in history_of(tmp_path).events if one.what == "wanted"]
    assert [(time, (generation or "")[0]) for time, generation in told] == [(at(1), "a"), (at(90), "b"), (at(501), "a")]


_STATES = ("wanted", "loading", "proving", "ready", "draining", "gone", "failed")
_CHANGES = st.one_of(
    st.builds(
        lambda version, state, load: moved(version, state, 0, load=load, was=None if state == "wanted" else "wanted"),
        st.sampled_from("1234"), st.sampled_from(_STATES), st.integers(1, 3),
    ),
    st.builds(lambda version: default(version, 0), st.sampled_from(["1", "2", None])),
    st.builds(lambda version: wanted(version, 0), st.sampled_from("123")),
    st.builds(lambda: wanted("1", 0, models={"iris": None, "churn": WantedVersions("1", {"1": None})})),
    st.builds(lambda version: lineage(version, 0), st.sampled_from("12")),
)  # fmt: skip


@settings(max_examples=60)
@example([wanted("1", 0), default("1", 0)], {0, 1}, 0)  # the minute ends two files later
@given(st.lists(_CHANGES, max_size=25), st.sets(st.integers(0, 25)), st.integers(0, 25))
def test_wherever_files_begin_they_say_the_same(changes: list[Entry], cuts: set[int], asked: int) -> None:
    for number, entry in enumerate(changes):
        entry.at = at(number + 1)
    picture, number = Picture(), 1
    with TemporaryDirectory() as name:
        whole, cut, pending = Path(name) / "whole", Path(name) / "cut", list[Entry]([began("pod-0")])
        put(whole, "pod-0", began("pod-0"), *changes, minute(0, 60))
        for position, entry in enumerate(changes):
            if position in cuts:
                put(cut, "pod-0", *pending, number=number)
                number += 1
                pending = [began("pod-0", position + 1), *picture.restated()]
            pending.append(entry)
            picture.apply(entry)
        put(cut, "pod-0", *pending, minute(0, 60), number=number)
        expected, found = (moment_of(folder, at(asked + 0.5)) for folder in (whole, cut))
    assert found == expected


def test_times_are_read_as_people_write_them() -> None:
    assert read_time("2026-11-02T12:00") == read_time("2026-11-02T13:00+01:00") == read_time("1793620800") == at(0)
    for text in ("yesterday", "", "nan", "1e300", "2026-13-01"):
        with pytest.raises(ValueError, match="is not a time such as 2026-11-02T15:00Z"):
            read_time(text)


def test_what_happened_to_one_load_does_not_hide_another_that_serves() -> None:
    picture = Picture()
    for entry in (
        moved("1", "ready", 0, load=1),
        moved("1", "wanted", 1, load=2, was=None),
        moved("1", "failed", 2, load=2, reason="corrupt"),
    ):
        picture.apply(entry)
    assert [one.state for one in picture.versions()] == ["ready"]
    picture.apply(moved("1", "gone", 3, load=1))
    (last,) = picture.versions()
    assert isinstance(last, Moved)
    assert last.state == "failed"
    picture.apply(Default(at=at(4), model="iris", version=None, was="1"))
    assert [type(one).__name__ for one in picture.restated()] == ["Moved"]
