"""Several processes add up to one: counters and buckets are summed, states are the worst, exemplars the newest."""

import subprocess

import numpy as np
import pytest
from model_manager.metrics.catalogue import process, requests, versions
from model_manager.metrics.instruments import Exemplar, Family, Series
from model_manager.metrics.merge import merge_families
from model_manager.metrics.recording import Metrics
from model_manager.signature import Layout, Output, Signature

from tests.scrape import value, written
from tools.parts import program_of_debian

NUMBERS = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,), ()),))
VERSION = {"model_name": "m", "model_version": "1"}


def answered(count: int) -> Family:
    return Family(requests.REQUESTS, [Series(("m", "1", "200"), count)])


def test_counters_and_gauges_are_summed_unless_they_say_otherwise() -> None:
    first = [
        answered(2),
        Family(process.READY, [Series((), 1)]),
        Family(versions.CONVERGENCE_LAG, [Series((), 7.5)]),
    ]
    second = [answered(3), Family(process.READY, [Series((), 0)]), Family(versions.CONVERGENCE_LAG, [Series((), 2)])]
    merged = merge_families([first, second])
    assert value(merged, "model_manager_requests_total", **VERSION, code="200") == 5
    assert value(merged, "model_manager_ready") == 0
    assert value(merged, "model_manager_convergence_lag_seconds") == 7.5


def test_series_that_one_process_alone_has_are_kept() -> None:
    other = Family(requests.REQUESTS, [Series(("m", "1", "500"), 1)])
    merged = merge_families([[answered(2)], [other]])
    assert value(merged, "model_manager_requests_total", **VERSION, code="200") == 2
    assert value(merged, "model_manager_requests_total", **VERSION, code="500") == 1


def test_histograms_add_up_bucket_by_bucket_and_keep_the_newest_exemplar() -> None:
    def durations(counts: list[int], total: float, exemplar: Exemplar) -> list[Family]:
        series = Series(("m", "1"), total, counts, (0.5, 1.0), {1: exemplar})
        return [Family(requests.REQUEST_SECONDS, [series])]

    (family,) = merge_families([
        durations([1, 2, 0], 2.0, Exemplar("old", 0.7, 100.0)), durations([0, 3, 4], 30.0, Exemplar("new", 0.8, 200.0)),
    ])  # fmt: skip
    (series,) = family.series
    assert series.counts == [1, 5, 4]
    assert series.value == 32.0
    assert series.exemplars == {1: Exemplar("new", 0.8, 200.0)}


def test_a_version_that_is_in_two_states_shows_both() -> None:
    states = [Family(versions.VERSION_STATE, [Series(("m", "1", state), 1)]) for state in ("ready", "failed")]
    merged = merge_families([[state] for state in states])
    assert value(merged, "model_manager_version_state", **VERSION, state="ready") == 1
    assert value(merged, "model_manager_version_state", **VERSION, state="failed") == 1


def values_of(*predictions: float, edges: list[float]) -> list[Family]:
    """What a worker tells whose version has a baseline with these edges, and predicted that."""
    metrics = Metrics()
    view = metrics.servable("m", "1", NUMBERS, edges)
    view.ran([0.001], 0.001, 0.001, [(len(predictions), {"predict": np.array(predictions)})])
    return metrics.families()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_while_workers_replace_a_version_one_after_the_other_the_newest_bounds_are_shown(order: list[int]) -> None:
    old = values_of(0.5, 0.7, edges=[0.0, 1.0])
    first, second = (values_of(150.0, edges=[100.0, 200.0]) for _ in range(2))
    workers = [old, first, second]
    merged = merge_families(workers[place] for place in order)
    assert value(merged, "model_manager_prediction_value_bucket", **VERSION, le="200.0") == 2
    assert value(merged, "model_manager_prediction_value_bucket", **VERSION, le="1.0") is None
    assert value(merged, "model_manager_prediction_value_count", **VERSION) == 2
    assert value(merged, "model_manager_prediction_value_sum", **VERSION) == 300.0
    assert value(merged, "model_manager_rows_total", **VERSION) == 4


def test_a_merge_of_different_bounds_is_a_scrape_that_prometheus_takes() -> None:
    promtool = program_of_debian("promtool", "prometheus")
    merged = merge_families([values_of(0.5, edges=[0.0, 1.0]), values_of(150.0, edges=[100.0, 200.0])])
    text = written(merged)
    checked = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
