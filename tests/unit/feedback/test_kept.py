"""Answers kept for labels: joined or not and why, counted once when their time is over, bounded in number and bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.feedback import Kept, Label
from model_manager.feedback.kept import is_sampled

from tests.unit.feedback.staging import BINARY, NUMBERS, WINDOW_S, answer, call, kept, signature

AFTER = WINDOW_S + 1


def figures(of: Kept, at: float = AFTER) -> dict[str, float]:
    of.fold(at)
    return of.tally(at).hour.figures


def test_a_label_is_joined_with_the_answer_of_its_id_and_counts_when_its_time_is_over() -> None:
    version = kept()
    answer(version, "a", "yes")
    answer(version, "b", "no")
    assert version.join(Label("a", "yes"), 40.0) == "joined"
    assert version.join(Label("b", "yes"), 60.0) == "joined"
    early = version.tally(70.0)
    assert (early.total.mature, early.waiting, early.waiting_labelled) == (0, 2, 2)
    assert figures(version) == {"accuracy": 0.5}
    late = version.tally(AFTER)
    assert (late.total.mature, late.total.labelled, late.waiting, late.total.lag) == (2, 2, 0, 100.0)


def test_answers_without_a_label_count_for_coverage_alone() -> None:
    version = kept()
    for id in "abcd":
        answer(version, id, "yes")
    version.join(Label("a", "yes"), 1.0)
    version.fold(AFTER)
    assert version.tally(AFTER).total.coverage == 0.25
    assert figures(version) == {"accuracy": 1.0}


def test_each_label_is_told_what_became_of_it() -> None:
    version = kept()
    answer(version, "old", "yes")
    answer(version, "new", "yes", at=90.0)
    answer(version, "twice", "yes", at=90.0)
    answer(version, "twice", "no", at=91.0)
    version.fold(AFTER)
    assert version.join(Label("old", "yes"), AFTER) == "too_late"
    assert version.join(Label("never", "yes"), AFTER) == "unknown"
    assert version.join(Label("twice", "yes"), AFTER) == "ambiguous"
    assert version.join(Label("new", "yes", row=1), AFTER) == "unusable"
    assert version.join(Label("new", "yes"), AFTER) == "joined"


def test_the_ids_of_answers_that_were_counted_go_after_as_long_again() -> None:
    version = kept()
    answer(version, "a", "yes")
    version.fold(AFTER)
    assert version.join(Label("a", "yes"), AFTER) == "too_late"
    version.fold(AFTER + WINDOW_S)
    assert version.join(Label("a", "yes"), AFTER) == "unknown"


def test_an_id_of_several_requests_counts_for_nothing() -> None:
    version = kept()
    answer(version, "twice", "yes")
    answer(version, "twice", "no")
    version.fold(AFTER)
    assert version.tally(AFTER).total.mature == 0


def test_of_two_labels_of_a_row_the_later_one_counts() -> None:
    version = kept()
    answer(version, "a", "yes")
    version.join(Label("a", "no"), 1.0)
    version.join(Label("a", "yes"), 2.0)
    assert figures(version) == {"accuracy": 1.0}


def test_rows_of_one_request_have_labels_of_their_own() -> None:
    version = kept()
    answer(version, "a", "yes", "no", "no")
    for row, label in enumerate(("yes", "no", "yes")):
        assert version.join(Label("a", label, row=row), 1.0) == "joined"
    assert figures(version)["accuracy"] == pytest.approx(2 / 3)


def test_probabilities_are_held_against_labels_and_stand_for_an_answer_that_nobody_asked_for() -> None:
    version = kept()
    results = {"predict_proba": np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])}
    version.keep(call(0.0, "a"), None, results, [])
    version.fold(0.0)
    for row, label in enumerate(("no", "no", "yes")):
        version.join(Label("a", label, row=row), 1.0)
    found = figures(version)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8]).mean())
    assert found["roc_auc"] == 1.0


def test_numbers_are_scored_by_how_far_they_are_off_and_take_no_other_label() -> None:
    version = kept(NUMBERS)
    answer(version, "a", 10.0, 20.0)
    assert version.join(Label("a", "13"), 1.0) == "joined"
    assert version.join(Label("a", 16.0, row=1), 1.0) == "joined"
    for label in ("dear", True, "nan"):
        assert version.join(Label("a", label), 1.0) == "unusable"
    assert figures(version) == {"mae": 3.5, "rmse": pytest.approx(np.sqrt(12.5))}


@pytest.mark.parametrize(
    ("answered", "label", "right"),
    [("01234", "01234", 1), ("01234", "1234", 0), (1, "1", 1), (1, 1.0, 1), (True, "true", 1), (False, 1, 0)],
    ids=["zip code", "no zip code", "integer as text", "integer as number", "boolean", "no boolean"],
)
def test_labels_are_compared_as_what_was_answered(answered: Any, label: Any, right: int) -> None:
    version = kept(signature())
    answer(version, "a", answered)
    version.join(Label("a", label), 1.0)
    assert figures(version) == {"accuracy": right}


class Hostile:
    """An answer of a model's own making."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_answer_that_cannot_be_compared_is_left_out_and_ends_nothing() -> None:
    version = kept(signature())
    answer(version, "a", Hostile())
    answer(version, "b", "yes")
    version.join(Label("a", "yes"), 1.0)
    version.join(Label("b", "yes"), 1.0)
    assert figures(version) == {"accuracy": 1.0}


def test_a_request_without_an_id_gets_one_and_its_caller_is_told() -> None:
    version = kept()
    results = {"predict": np.array(["yes"], dtype=object)}
    assert version.keep(call(0.0, "theirs"), None, results, []) == []
    assert version.keep(call(0.0), "of the body", results, []) == []
    ((name, value),) = version.keep(call(0.0), None, results, [])
    version.fold(0.0)
    assert name == b"x-request-id"
    for id in ("theirs", "of the body", value.decode()):
        assert version.join(Label(id, "yes"), 1.0) == "joined"


def test_what_is_kept_is_bounded_in_number_and_in_bytes_and_the_oldest_goes() -> None:
    few = kept(entries=3)
    small = kept(bytes=4000)
    for version in (few, small):
        for number in range(20):
            answer(version, str(number), "yes")
        waiting = version.tally(0.0).waiting
        assert waiting == 3 if version is few else 0 < waiting < 20
        assert version.tally(0.0).evicted == 20 - waiting
        assert version.join(Label("0", "yes"), 1.0) == "unknown"
        assert version.join(Label("19", "yes"), 1.0) == "joined"


def test_a_thread_that_is_late_costs_no_memory() -> None:
    version = kept()
    results = {"predict": np.zeros(1 << 20)}
    for number in range(10):
        version.keep(call(0.0, str(number)), None, results, [])
    version.fold(0.0)
    assert version.tally(0.0).evicted > 5


def test_one_row_of_a_batch_does_not_keep_the_batch() -> None:
    version = kept(NUMBERS)
    batch = np.arange(1000.0)
    version.keep(call(0.0, "a"), None, {"predict": batch[5:6]}, [])
    version.fold(0.0)
    entry = version._entries["a"]
    assert entry.answers is not None
    assert entry.answers.base is None


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.floats(0, 1))
def test_a_share_is_the_same_everywhere_and_its_labels_are_told(ids: list[str], share: float) -> None:
    version = kept(share=share)
    for id in ids:
        version.keep(call(0.0), id, {"predict": np.array(["yes"], dtype=object)}, [])
    version.fold(0.0)
    for id in ids:
        assert version.join(Label(id, "yes"), 1.0) == (
            "joined" if is_sampled(id, share) or share == 1 else "not_sampled"
        )


def test_half_of_the_ids_are_half_of_the_requests() -> None:
    assert sum(is_sampled(f"id-{number}", 0.5) for number in range(10_000)) == pytest.approx(5000, abs=300)


def test_figures_are_those_of_the_last_hour_and_counts_those_of_all_time() -> None:
    version = kept()
    answer(version, "a", "yes")
    version.join(Label("a", "yes"), 1.0)
    version.fold(AFTER)
    later = version.tally(AFTER + 3700.0)
    assert (later.total.figures, later.hour.figures, later.total.mature) == ({"accuracy": 1.0}, {}, 1)


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), max_size=40))
def test_every_answer_counts_once_whatever_the_order(steps: list[tuple[int, bool, bool]]) -> None:
    version = kept(BINARY)
    right = labelled = 0
    for number, (at, is_right, has_label) in enumerate(sorted(steps)):
        answer(version, str(number), "yes", at=float(at))
        if has_label:
            assert version.join(Label(str(number), "yes" if is_right else "no"), float(at)) == "joined"
            labelled += 1
            right += is_right
    version.fold(1000.0)
    total = version.tally(1000.0).total
    assert (total.mature, total.labelled, total.right) == (len(steps), labelled, right)
