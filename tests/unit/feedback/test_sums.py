"""Sums of scored rows: the same whatever the split over processes, and the figures that scikit-learn gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import InvalidInput
from model_manager.feedback import (
    AccuracyTally,
    add_up_accuracy,
    better_of,
    families_of_accuracy,
    read_labels,
    report_accuracy,
)
from model_manager.feedback.sums import Sums
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

from tests.unit.feedback.staging import WINDOW_S


def scored(seed: int, rows: int) -> Sums:
    sums, random = Sums(), np.random.default_rng(seed)
    for truth, score in zip(random.integers(0, 2, rows).tolist(), random.random(rows).tolist(), strict=True):
        sums.mature += 1
        sums.count_label(3.0)
        sums.count_class(truth == (score > 0.5))
        sums.count_chances([1 - score, score], truth)
        sums.count_number(score, float(truth))
    return sums


def tally(version: str, sums: Sums, waiting: int = 0) -> AccuracyTally:
    return AccuracyTally("churn", version, WINDOW_S, waiting, 0, 1, sums, Sums())


def test_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 2000)
    scores = np.clip(0.3 * truth + 0.7 * random.random(2000), 1e-6, 1 - 1e-6)
    sums = Sums()
    for one, score in zip(truth.tolist(), scores.tolist(), strict=True):
        sums.count_class(bool(one) == (score > 0.5))
        sums.count_chances([1 - score, score], one)
        sums.count_number(score, float(one))
    found = sums.figures
    assert found["accuracy"] == pytest.approx(((scores > 0.5) == truth).mean())
    assert found["log_loss"] == pytest.approx(log_loss(truth, scores))
    assert found["roc_auc"] == pytest.approx(roc_auc_score(truth, scores), abs=0.01)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, scores))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, scores))


def test_scores_near_zero_are_still_told_apart() -> None:
    sums = Sums()
    for score, truth in ((0.001, 0), (0.002, 0), (0.01, 1), (0.03, 1)):
        sums.count_chances([1 - score, score], truth)
    assert sums.figures["roc_auc"] == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_processes_add_up_to_what_one_would_have_counted(first: int, second: int) -> None:
    whole = scored(1, first)
    whole.add(scored(2, second))
    (found,) = add_up_accuracy([[tally("1", scored(1, first), 2)], [tally("1", scored(2, second), 3)]])
    assert (found.waiting, found.evicted) == (5, 2)
    assert found.total.figures == pytest.approx(whole.figures)
    assert found.total.labelled == first + second


def test_versions_stay_apart() -> None:
    found = add_up_accuracy([[tally("1", scored(1, 5))], [tally("2", scored(2, 6))]])
    assert [(one.version, one.total.mature) for one in found] == [("1", 5), ("2", 6)]


def test_metrics_and_report_hold_no_more_than_was_counted() -> None:
    empty = tally("1", Sums())
    names = {one.description.name for one in families_of_accuracy([empty])}
    assert names == {"model_manager_mature_predictions", "model_manager_feedback_evicted"}
    assert report_accuracy(empty)["last_hour"] == {
        "predictions": 0, "labelled": 0, "coverage": None, "mean_lag_s": None, "metrics": {},
    }  # fmt: skip
    told = report_accuracy(tally("1", scored(3, 50)))["total"]
    assert (told["coverage"], told["mean_lag_s"]) == (1.0, 3.0)
    assert set(told["metrics"]) == {"accuracy", "log_loss", "roc_auc", "mae", "rmse"}


def test_of_several_processes_the_most_telling_status_counts() -> None:
    assert better_of([["unknown", "too_late", "unknown"], ["joined", "unknown", "unknown"]]) == [
        "joined",
        "too_late",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "feedback: expected"),
        (b"[1]", "feedback: expected"),
        (b'{"id": "a"}', "missing required field `label`"),
        (b'{"id": "a", "label": null}', "$.label"),
        (b'{"labels": [{"id": "a", "label": 1}, {"id": 7, "label": 1}]}', "$.labels[1].id"),
        (b'{"labels": [{"id": "", "label": 1}]}', "labels[0]: id must have"),
        (b'{"id": "a", "label": 1, "row": -1}', "row is below 0"),
        (b'{"id": "a", "label": 1, "lable": 2}', "lable"),
        (b'{"id": "\xff", "label": 1}', "feedback: expected"),
        (b'{"labels": [' + b",".join([b'{"id": "a", "label": 1}'] * 10_001) + b"]}", "at most 10,000"),
    ],
    ids=["nothing", "a list", "no label", "null", "a number for an id", "empty id", "row", "misspelt", "bytes", "many"],
)
def test_a_body_that_is_none_is_refused_with_the_place(body: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match="feedback") as refused:
        read_labels(body)
    assert why in str(refused.value)


def test_labels_are_read_one_by_one_and_by_many() -> None:
    (one,) = read_labels(b'{"id": "a", "label": true}')
    assert (one.id, one.label, one.row) == ("a", True, 0)
    many = read_labels(b'{"labels": [{"id": "a", "label": "01234", "row": 2}, {"id": "b", "label": 1.5}]}')
    assert [(one.id, one.label, one.row) for one in many] == [("a", "01234", 2), ("b", 1.5, 0)]
