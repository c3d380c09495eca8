"""The values of the wanted state: names, order, identity."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.repository.wanted import (
    NAME_PATTERN,
    Batching,
    ServableId,
    WantedModel,
    WantedState,
    WantedVersion,
    changed_models,
    version_order,
)

VERSION = WantedVersion(
    id=ServableId("iris", "1"),
    location="/models/iris/1/model.joblib",
    sha256=None,
    digest="d" * 64,
    metadata=b"{}",
    batching=Batching(),
    timeout_ms=None,
)


@pytest.mark.parametrize("name", ["iris", "1", "2026-11-02.1", "_x", "-", "A.b", "x" * 128])
def test_names_are_what_is_safe_in_urls_files_and_labels(name: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["", ".", "..", ".tmp-7", "a b", "a/b", "é", "x" * 129, "a\n"])
def test_other_names_are_not(name: str) -> None:
    assert not re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize(
    "ordered",
    [
        ["1", "2", "9", "10", "100"],
        ["2026-11-02.1", "2026-11-02.2", "2026-11-02.10", "2026-11-03"],
        ["1", "1.0", "1.0.1", "1.1"],
        ["alpha", "beta", "1"],
        ["v1", "v2", "v10"],
        ["2", "2-rc1", "3"],
        ["01", "1", "02", "2"],
    ],
)
def test_versions_sort_as_people_count(ordered: list[str]) -> None:
    shuffled = ordered[::-1]
    assert sorted(shuffled, key=version_order) == ordered


@given(st.text(), st.text())
def test_only_equal_versions_tie(one: str, other: str) -> None:
    assert (version_order(one) == version_order(other)) == (one == other)


def test_a_digit_that_is_no_number_is_text() -> None:
    assert version_order("²") < version_order("1")


def test_a_servable_reads_as_model_and_version() -> None:
    assert str(ServableId("iris", "2")) == "iris/2"


def test_moved_bytes_are_the_same_version() -> None:
    moved = dataclasses.replace(VERSION, location="/elsewhere/model.joblib")
    assert moved == VERSION
    assert moved.fingerprint == VERSION.fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(VERSION, sha256="d" * 64),
        dataclasses.replace(VERSION, digest="e" * 64),
        dataclasses.replace(VERSION, digest=None),
        dataclasses.replace(VERSION, metadata=None),
        dataclasses.replace(VERSION, batching=Batching(max_rows=1)),
        dataclasses.replace(VERSION, timeout_ms=1.0),
        dataclasses.replace(VERSION, isolated=True),
    ],
    ids=["sha256", "digest", "no digest", "metadata", "batching", "timeout", "isolation"],
)
def test_whatever_else_changes_makes_another_incarnation(changed: WantedVersion) -> None:
    assert changed != VERSION
    assert changed.fingerprint != VERSION.fingerprint


def test_models_that_changed_are_those_that_are_new_other_or_omitted() -> None:
    def state(**digests: str) -> WantedState:
        return WantedState(
            {
                name: WantedModel(
                    name,
                    "1",
                    {"1": WantedVersion(ServableId(name, "1"), digest, None, digest, None, Batching(), None)},
                )
                for name, digest in digests.items()
            }
        )

    before = state(same="a", other="a", omitted="a")
    assert sorted(changed_models(before, state(same="a", other="b", new="a"))) == ["new", "omitted", "other"]
    assert changed_models(before, before) == []
    assert sorted(changed_models(None, before)) == ["omitted", "other", "same"]


def test_a_model_whose_bytes_only_moved_has_not_changed() -> None:
    def state(location: str) -> WantedState:
        version = WantedVersion(ServableId("m", "1"), location, None, "a", None, Batching(), None)
        return WantedState({"m": WantedModel("m", "1", {"1": version})})

    assert changed_models(state("/a"), state("/b")) == []
