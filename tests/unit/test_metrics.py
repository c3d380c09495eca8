"""What one version counts: bounded however long nobody scrapes, and gone when the version is."""

import numpy as np
import pytest
from model_manager.metrics.recording import FOLD_AT, Metrics, ServableMetrics
from model_manager.signature import Array, Layout, Output, Signature

from tests.scrape import samples_of, value, written

VERSION = {"model_name": "m", "model_version": "1"}
NUMBERS = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,), ()),))


def labels_of(*classes: str) -> Signature:
    return Signature(Layout.ARRAY, None, False, (Output("predict", "BYTES", (-1,), classes),))


def predicted(view: ServableMetrics, *values: object) -> None:
    """One batch whose rows were answered with these."""
    answers: Array = np.array(values)
    view.ran([0.001], 0.001, 0.001, [(len(values), {"predict": answers})])
    view.fold()


def kept(view: ServableMetrics) -> int:
    """How much is noted down and waits to be put into the histograms."""
    return sum(len(each) for each in vars(view).values() if isinstance(each, list | dict))


def test_requests_that_only_fail_leave_nothing_behind_however_long_nobody_scrapes(metrics: Metrics) -> None:
    view = metrics.servable("m", "1")
    for number in range(50_000):
        view.failed(400, number / 10_000)
        view.exemplify(number / 10_000, number)
    assert kept(view) < 100


def test_requests_that_are_answered_leave_little_behind_however_long_nobody_scrapes(metrics: Metrics) -> None:
    view = metrics.servable("m", "1", NUMBERS)
    for number in range(10_000):
        view.ran([0.001], 0.001, 0.001, [(1, {"predict": np.ones(1)})])
        view.answered((0.001, 0.0001, 0.0001))
        view.exemplify(0.001, number)
    assert kept(view) < 10 * FOLD_AT
    assert value(metrics.families(), "model_manager_requests_total", **VERSION, code="200") == 10_000


def test_the_newest_trace_of_each_bucket_is_pointed_to(metrics: Metrics) -> None:
    view = metrics.servable("m", "1")
    for seconds, trace in ((0.3, 0xA), (0.4, 0xB), (100.0, 0xC), (0.001, 0xD)):
        view.failed(500, seconds)
        view.exemplify(seconds, trace)
    found = {
        each.labels["le"]: (int(each.exemplar.labels["trace_id"], 16), each.exemplar.value)
        for each in samples_of(written(metrics.families(), "openmetrics"))
        if each.exemplar is not None
    }
    assert found == {"0.5": (0xB, 0.4), "+Inf": (0xC, 100.0), "0.001953125": (0xD, 0.001)}


def test_a_replacement_counts_numbers_by_the_bounds_of_its_own_baseline(metrics: Metrics) -> None:
    old = metrics.servable("m", "1", NUMBERS, [0.0, 1.0])
    predicted(old, 0.5, 0.7)
    metrics.families()
    new = metrics.servable("m", "1", NUMBERS, [100.0, 200.0])
    predicted(new, 150.0)
    buckets = {
        each.labels["le"]: each.value
        for each in samples_of(written(metrics.families()))
        if each.name == "model_manager_prediction_value_bucket"
    }
    assert buckets == {"100.0": 0, "200.0": 1, "+Inf": 1}
    predicted(old, 0.5)  # drains
    assert value(metrics.families(), "model_manager_prediction_value_count", **VERSION) == 1


def test_a_replacement_with_the_same_bounds_goes_on_counting(metrics: Metrics) -> None:
    for _ in range(2):
        predicted(metrics.servable("m", "1", NUMBERS, [0.0, 1.0]), 0.5)
    assert value(metrics.families(), "model_manager_prediction_value_bucket", **VERSION, le="1.0") == 2


def test_a_replacement_that_never_serves_changes_nothing(metrics: Metrics) -> None:
    old = metrics.servable("m", "1", NUMBERS, [0.0, 1.0])
    predicted(old, 0.5)
    metrics.servable("m", "1", NUMBERS, [100.0, 200.0])
    predicted(old, 0.5)
    assert value(metrics.families(), "model_manager_prediction_value_bucket", **VERSION, le="1.0") == 2


@pytest.mark.parametrize("classes", [("maybe",), ("no", "maybe")])
def test_labels_that_a_replacement_does_not_know_go(metrics: Metrics, classes: tuple[str, ...]) -> None:
    predicted(metrics.servable("m", "1", labels_of("no", "yes")), "no", "yes", "never declared")
    metrics.families()
    predicted(metrics.servable("m", "1", labels_of(*classes)), "maybe")
    families = metrics.families()
    shown = {
        each.labels["label"]: each.value
        for each in samples_of(written(families))
        if each.name == "model_manager_predictions_total"
    }
    assert shown == {"maybe": 1, **({"no": 1} if "no" in classes else {})}


def test_a_replacement_that_predicts_something_else_leaves_no_series_of_what_was(metrics: Metrics) -> None:
    predicted(metrics.servable("m", "1", NUMBERS, [0.0, 1.0]), 0.5)
    predicted(metrics.servable("m", "1", labels_of("no", "yes")), "yes")
    assert value(metrics.families(), "model_manager_prediction_value_count", **VERSION) is None
    assert value(metrics.families(), "model_manager_predictions_total", **VERSION, label="yes") == 1
    undeclared = Signature(Layout.ARRAY, None, False, (Output("transform", "FP64", (-1, 2), ()),))
    other = metrics.servable("m", "1", undeclared)
    other.ran([0.001], 0.001, 0.001, [(1, {"transform": np.zeros((1, 2))})])
    assert value(metrics.families(), "model_manager_predictions_total", **VERSION, label="yes") is None


def test_what_ends_after_its_version_is_gone_brings_no_series_back(metrics: Metrics) -> None:
    view = metrics.servable("m", "1", labels_of("no", "yes"))
    predicted(view, "yes")
    metrics.forget("m", "1")
    view.dropped("cancelled_in_batch")
    view.failed(504, 1.0)
    predicted(view, "never declared")
    view.exemplify(1.0, 1)
    assert [family.description.name for family in metrics.families() if family.series] == []


def test_a_version_that_comes_back_is_counted_again(metrics: Metrics) -> None:
    gone = metrics.servable("m", "1")
    metrics.forget("m", "1")
    again = metrics.servable("m", "1")
    for view in (gone, again):
        view.failed(504, 1.0)
    assert value(metrics.families(), "model_manager_requests_total", **VERSION, code="504") == 1
