"""Verdicts: who is guilty of the deaths that are remembered, and who merely was there."""

from collections.abc import Sequence

import pytest
from model_manager.serving.journal import Doing, Suspect
from model_manager.serving.suspicion import (
    COMPILED_S,
    FORGET_S,
    Death,
    guilty,
    not_to_be_compiled,
    on_probation,
    remembered,
)

NOW = 1_000_000.0


def deaths(*named: str, apart_s: float = 60.0, doing: Doing = "predicting") -> list[Death]:
    """The last deaths up to now, each named by one letter a suspect."""
    return [
        Death(NOW - apart_s * ago, "SIGKILL", tuple(Suspect(name, "m", name, doing) for name in names))
        for ago, names in zip(range(len(named) - 1, -1, -1), named, strict=True)
    ]


@pytest.mark.parametrize(
    ("named", "who"),
    [
        ([], ""),
        (["a"], ""),
        (["a", "a"], ""),
        (["a", "a", "a"], "a"),
        (["a", "b", "a", "b", "a"], "a"),
        (["ab", "a", "a"], "a"),
        (["ab", "ac", "a"], "a"),
        (["ab", "ab", "a"], "a"),
        (["ab", "ac", "bc"], ""),
        (["ab", "ab", "ab"], ""),
        (["ab", "ab", "ab", "a"], "a"),
        (["ab", "ab", "ab", "ab", "ab", "ab"], "ab"),
        (["a", "b", "a", "b", "a", "b"], "ab"),
    ],
)
def test_who_is_in_three_deaths_alone_is_guilty(named: Sequence[str], who: str) -> None:
    assert set(guilty(deaths(*named), NOW)) == set(who)


def test_deaths_are_forgotten_after_an_hour_without_another() -> None:
    old = deaths("a", "a", "a", apart_s=FORGET_S + 1)
    assert guilty(old, NOW) == {}
    assert remembered(old, NOW) == old[-1:]
    seldom = deaths("a", "a", "a", apart_s=FORGET_S - 1)
    assert list(guilty(seldom, NOW)) == ["a"]
    assert guilty(seldom, NOW + FORGET_S + 1) == {}
    assert remembered(seldom, NOW + FORGET_S + 1) == []


def test_who_shared_a_death_is_on_probation_for_an_hour_after_the_last() -> None:
    assert on_probation(deaths("a", "a"), NOW) == {}
    shared = deaths("ab", "a")
    assert on_probation(shared, NOW) == {"a": NOW + FORGET_S, "b": NOW - 60 + FORGET_S}
    assert on_probation(shared, NOW + FORGET_S + 1) == {}


def test_who_died_while_it_was_compiled_is_not_compiled_for_a_week() -> None:
    died = deaths("a", doing="compiling")
    assert not_to_be_compiled(deaths("a"), NOW) == set()
    assert not_to_be_compiled(deaths("ab", doing="compiling"), NOW) == set(), "the other may have done it"
    later = NOW + COMPILED_S - 1
    assert not_to_be_compiled(remembered(died, later), later) == {"a"}
    assert not_to_be_compiled(remembered(died, later + 2), later + 2) == set()
