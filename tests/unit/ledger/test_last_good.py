"""The good states: which they are, and that the next process knows them."""

from pathlib import Path

from model_manager.ledger.last_good import GoodState, LastGood, read_last_good, write_last_good

from tests.live import wait_until
from tests.unit.ledger.staging import at, ledger


def state(generation: str, seconds: float = 0) -> GoodState:
    return GoodState(generation, at(seconds), f"models: {{}} # {generation}")


def test_the_newest_is_first_and_three_are_kept() -> None:
    good = LastGood()
    assert [good.is_good(state(name)) for name in "aabcd"] == [True, False, True, True, True]
    assert [one.generation for one in good.states] == ["d", "c", "b"]
    assert good.is_good(state("b"))
    assert [one.generation for one in good.states] == ["b", "d", "c"]


def test_a_state_in_which_a_version_failed_is_no_longer_good() -> None:
    good = LastGood([state("b"), state("a")])
    assert good.is_not_good("b")
    assert not good.is_not_good("b")
    assert [one.generation for one in good.states] == ["a"]


def test_the_next_process_reads_what_the_last_one_kept(tmp_path: Path) -> None:
    assert read_last_good(tmp_path).states == []
    write_last_good(tmp_path, [state("a")])
    write_last_good(tmp_path, [state("b"), state("a")])
    assert read_last_good(tmp_path).states == [state("b"), state("a")]
    assert [path.name for path in tmp_path.iterdir()] == ["last-good.json"]
    (tmp_path / "last-good.json").write_text('[{"generation":')
    assert read_last_good(tmp_path).states == []


def test_a_ledger_keeps_them_even_where_nothing_else_was_written_yet(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ledger"
    with ledger(folder) as one:
        one.keep([state("a")])
        wait_until(lambda: read_last_good(folder).states, "the file")
    assert one.last_good().states == [state("a")]
