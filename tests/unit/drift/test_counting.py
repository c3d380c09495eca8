"""A version's counts: bounded, sliding, and made of the first rows where the package says nothing."""

import tracemalloc

import numpy as np
import pytest
from model_manager.drift import NOT_COUNTED, Counting, Drift, Tally, add_up, baseline_of, families_of, report
from model_manager.drift.counting import LEARNED_ROWS
from model_manager.repository.metadata import Baseline, Histogram
from model_manager.signature import Column, Layout, Rows, Signature

from tests.scrape import value
from tests.unit.drift.staging import DATA_SETS, WINDOW_S, counted, counting_of, drawn, signature_of
from tools.patience import until

WINE = DATA_SETS["wine"]


def sums(tally: Tally) -> set[int]:
    return {sum(column.window) for column in tally.columns}


def test_rows_leave_the_window_with_their_pane() -> None:
    counting, rng = counting_of(WINE), np.random.default_rng(0)
    counted(counting, drawn(WINE, 300, rng), 0.0)
    tally = counted(counting, drawn(WINE, 100, rng), WINDOW_S - 1)
    assert (tally.rows, sums(tally)) == (400, {400})
    tally = counting.tally(WINDOW_S)
    assert (tally.rows, sums(tally)) == (100, {100})
    tally = counting.tally(9 * WINDOW_S)
    assert (tally.rows, sums(tally)) == (0, {0})


def test_of_a_large_request_rows_from_all_over_it_are_taken() -> None:
    matrix = np.arange(10_000.0)[:, None]
    counting = counting_of(matrix)
    counting.take([(Rows((matrix,)), {})])
    counting.fold(0.0)
    (column,) = counting.tally(0.0).columns
    assert 190 <= sum(column.window) <= 200
    assert min(column.window[1:-2]) >= 15  # in each decile


def test_what_waits_is_bounded_while_nobody_counts() -> None:
    counting = counting_of(WINE)
    for _ in range(1000):
        counting.take([(Rows((WINE[:100],)), {})] * 3)
    counting.fold(0.0)
    assert 2000 <= counting.tally(0.0).rows <= 2200


def test_single_rows_are_counted_as_if_they_had_come_together() -> None:
    labels, scores = np.arange(150) % 3, np.linspace(0, 1, 300).reshape(150, 2)
    signature = signature_of(WINE)
    baseline = baseline_of(signature, Rows((WINE,)), {"predict": np.arange(len(WINE)) % 3, "scores": scores})
    one_by_one, together = (Counting(signature, baseline, rows_per_s=200, version=("m", "1")) for _ in range(2))
    rows = WINE[:150]
    answers = [{"predict": labels[at : at + 1]} if at % 2 else {"scores": scores[at : at + 1]} for at in range(150)]
    one_by_one.take((Rows((rows[at : at + 1],)), each) for at, each in enumerate(answers))
    odd = np.arange(150) % 2 == 1
    together.take([(Rows((rows[odd],)), {"predict": labels[odd]}), (Rows((rows[~odd],)), {"scores": scores[~odd]})])
    for counting in (one_by_one, together):
        counting.fold(0.0)
    assert one_by_one.tally(0.0) == together.tally(0.0)
    assert [sum(column.window) for column in one_by_one.tally(0.0).columns] == [150] * WINE.shape[1] + [75] * 3


def test_rows_of_an_unknown_width_are_counted_by_their_answers() -> None:
    signature = Signature(Layout.ARRAY, None, False, ())
    baseline = baseline_of(signature, Rows((WINE,)), {"predict": np.arange(len(WINE)) % 3})
    counting = Counting(signature, baseline, rows_per_s=200, version=("m", "1"))
    counting.take((Rows((np.zeros((1, width)),)), {"predict": np.array([width % 3])}) for width in (1, 2, 2, 4, 5))
    counting.fold(0.0)
    (column,) = counting.tally(0.0).columns
    assert dict(zip(column.bins, column.window, strict=True)) == {"0": 0, "1": 2, "2": 3, "unseen": 0, "missing": 0}


def test_the_next_row_is_due_when_the_pace_allows_it() -> None:
    counting = counting_of(WINE)
    before = counting.due
    counting.take([(Rows((WINE[:1],)), {})])
    first = counting.due
    counting.take([(Rows((WINE[:100],)), {})])
    assert before < first < counting.due - 0.4
    assert NOT_COUNTED.due == float("inf")


def test_a_column_takes_two_kilobytes_at_most() -> None:
    cities = np.array([f"city {number % 20}" for number in range(1000)], dtype=object)
    numbers = np.random.default_rng(0).normal(size=1000)
    signature = Signature(
        Layout.FRAME,
        tuple(Column(f"c{number}", "BYTES" if number % 2 else "FP64") for number in range(200)),
        True,
        (),
    )
    baseline = baseline_of(signature, Rows(tuple(cities if at % 2 else numbers for at in range(200))), {})
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    counting = Counting(signature, baseline, rows_per_s=100, version=("m", "1"))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(counting.tally(0.0).columns) == 200
    assert taken / 200 <= 2048


def test_without_a_baseline_the_first_rows_become_one_and_it_says_so() -> None:
    rng = np.random.default_rng(0)
    counting = Counting(signature_of(WINE), None, rows_per_s=200, version=("m", "1"))
    tally = counted(counting, drawn(WINE, LEARNED_ROWS - 200, rng), 0.0)
    assert (tally.origin, tally.learned_rows, tally.columns) == ("learning", LEARNED_ROWS - 200, [])
    scores = np.zeros((200, 2))
    tally = counted(counting, drawn(WINE, 200, rng), 0.0, {"predict_proba": scores})
    assert (tally.origin, tally.rows) == ("learned", 0)
    assert [column.name for column in tally.columns[-2:]] == ["predict_proba[0]", "predict_proba[1]"]
    assert report(counted(counting, drawn(WINE, 400, rng), 0.0))["drifted"] == []
    moved = drawn(WINE, 400, rng)
    moved[:, 0] += 3
    assert report(counted(counting, moved, 0.0))["drifted"] == ["c0"]


def test_texts_are_not_counted_and_their_answers_are() -> None:
    signature = Signature(Layout.TEXT, (Column("text", "BYTES"),), False, ())
    baseline = baseline_of(signature, Rows((np.array(["a"], object),)), {"predict": np.array(["x"] * 9, object)})
    counting = Counting(signature, baseline, rows_per_s=200, version=("m", "1"))
    answers = {"predict": np.array(["x", "y", None], object)}
    counting.take([(Rows((np.array(["long"] * 3, object),)), answers)])
    counting.fold(0.0)
    (column,) = counting.tally(0.0).columns
    assert dict(zip(column.bins, column.window, strict=True)) == {"x": 1, "unseen": 1, "missing": 1}


def test_a_baseline_of_which_one_column_makes_no_sense_counts_the_others(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = Histogram(edges=[0.0, 1.0], counts=[9]), Histogram(edges=[2.0, 1.0], counts=[9])
    baseline = Baseline(features={"c0": bad, "c1": good, "gone": good}, outputs={})
    counting = Counting(signature_of(WINE), baseline, rows_per_s=200, version=("m", "1"))
    tally = counted(counting, WINE, 0.0)
    assert [(column.name, sum(column.window)) for column in tally.columns] == [("c1", len(WINE)), ("gone", 0)]
    assert "'c0'" in caplog.text


def test_counts_of_processes_add_up() -> None:
    rng = np.random.default_rng(0)
    one, other, both = counting_of(WINE), counting_of(WINE), counting_of(WINE)
    first, second = drawn(WINE, 150, rng), drawn(WINE, 250, rng)
    counted(both, first, 0.0)
    whole = counted(both, second, 0.0)
    assert add_up([[counted(one, first, 0.0)], [counted(other, second, 0.0)]]) == [whole]


def test_of_baselines_that_processes_learned_themselves_the_one_with_most_rows_speaks() -> None:
    rng = np.random.default_rng(0)
    tallies = []
    for rows in (1200, 2000, 1400):
        counting = Counting(signature_of(WINE), None, rows_per_s=200, version=("m", "1"))
        tallies.append([counted(counting, drawn(WINE, rows, rng), 0.0)])
    (whole,) = add_up(tallies)
    assert whole.rows == 1000


def test_metrics_show_the_columns_that_drifted_most() -> None:
    matrix, rng = DATA_SETS["breast_cancer"], np.random.default_rng(0)
    moved = drawn(matrix, 400, rng)
    moved[:, 3] += matrix[:, 3].std() * 2
    families = families_of([counted(counting_of(matrix), moved, 0.0)])
    version = {"model_name": "m", "model_version": "1"}
    column = {**version, "kind": "feature", "column": "c3"}
    psi, noise = (value(families, f"model_manager_drift_{name}", **column) for name in ("psi", "psi_noise"))
    assert psi is not None
    assert noise is not None
    assert psi > 1 > noise
    assert value(families, "model_manager_drifted_columns", **version) == 1
    assert value(families, "model_manager_drift_window_rows", **version, baseline="package") == 400
    assert all(len(family.series) <= 5 for family in families)


def test_a_scrape_is_told_of_columns_only_where_something_can_be_said() -> None:
    few, many = Drift(200), Drift(200, several=True)
    for drift, columns in ((few, 0), (many, WINE.shape[1])):
        baseline = baseline_of(signature_of(WINE), Rows((WINE,)), {})
        counting = drift.watch(("m", "1"), signature_of(WINE), baseline)
        counting.take([(Rows((WINE[:100],)), {})])
        (tally,) = drift.tallies()
        assert (tally.rows, len(tally.columns)) == (100, WINE.shape[1])
        (tally,) = drift.tallies(named=False)
        assert (tally.rows, len(tally.columns)) == (100, columns)
        assert not any(column.bins for column in tally.columns)


_VERSION = {"model_name": "m", "model_version": "1"}


async def test_a_scrape_shows_what_the_thread_made_of_new_rows_and_else_what_it_showed_before() -> None:
    drift = Drift(200)
    baseline = baseline_of(signature_of(WINE), Rows((WINE,)), {})
    counting, idle = (drift.watch(("m", version), signature_of(WINE), baseline) for version in "12")
    drift.start()
    try:
        before = {series.labels: series for family in drift.families() for series in family.series}
        assert value(drift.families(), "model_manager_drift_window_rows", **_VERSION, baseline="package") == 0
        counting.take([(Rows((WINE,)), {})])

        def rows() -> float | None:
            return value(drift.families(), "model_manager_drift_window_rows", **_VERSION, baseline="package")

        await until(lambda: rows() == len(WINE), "the rows in a scrape")
        after = {series.labels: series for family in drift.families() for series in family.series}
        assert {labels[1] for labels in after if after[labels] is before.get(labels)} == {idle.version[1]}
    finally:
        drift.close()


def test_a_version_that_nobody_keeps_is_counted_no_more() -> None:
    drift = Drift(100)
    first = drift.watch(("m", "1"), signature_of(WINE), None)
    second = drift.watch(("m", "2"), signature_of(WINE), None)
    assert [tally.version for tally in drift.tallies()] == ["1", "2"]
    del first
    assert [tally.version for tally in drift.tallies()] == [second.version[1]]
