"""Several processes add up to one: counters and buckets are summed, states are the worst, exemplars the newest."""

from model_manager.metrics import catalogue
from model_manager.metrics.instruments import Exemplar, Family, Series
from model_manager.metrics.merge import merge

from tests.scrape import value

VERSION = {"model_name": "m", "model_version": "1"}


def requests(count: int) -> Family:
    return Family(catalogue.REQUESTS, [Series(("m", "1", "200"), count)])


def test_counters_and_gauges_are_summed_unless_they_say_otherwise() -> None:
    first = [
        requests(2),
        Family(catalogue.READY, [Series((), 1)]),
        Family(catalogue.CONVERGENCE_LAG, [Series((), 7.5)]),
    ]
    second = [requests(3), Family(catalogue.READY, [Series((), 0)]), Family(catalogue.CONVERGENCE_LAG, [Series((), 2)])]
    merged = merge([first, second])
    assert value(merged, "model_manager_requests_total", **VERSION, code="200") == 5
    assert value(merged, "model_manager_ready") == 0
    assert value(merged, "model_manager_convergence_lag_seconds") == 7.5


def test_series_that_one_process_alone_has_are_kept() -> None:
    other = Family(catalogue.REQUESTS, [Series(("m", "1", "500"), 1)])
    merged = merge([[requests(2)], [other]])
    assert value(merged, "model_manager_requests_total", **VERSION, code="200") == 2
    assert value(merged, "model_manager_requests_total", **VERSION, code="500") == 1


def test_histograms_add_up_bucket_by_bucket_and_keep_the_newest_exemplar() -> None:
    def durations(counts: list[int], total: float, exemplar: Exemplar) -> list[Family]:
        series = Series(("m", "1"), total, counts, (0.5, 1.0), {1: exemplar})
        return [Family(catalogue.REQUEST_SECONDS, [series])]

    (family,) = merge([
        durations([1, 2, 0], 2.0, Exemplar("old", 0.7, 100.0)), durations([0, 3, 4], 30.0, Exemplar("new", 0.8, 200.0)),
    ])  # fmt: skip
    (series,) = family.series
    assert series.counts == [1, 5, 4]
    assert series.value == 32.0
    assert series.exemplars == {1: Exemplar("new", 0.8, 200.0)}


def test_a_version_that_is_in_two_states_shows_both() -> None:
    states = [Family(catalogue.VERSION_STATE, [Series(("m", "1", state), 1)]) for state in ("ready", "failed")]
    merged = merge([[state] for state in states])
    assert value(merged, "model_manager_version_state", **VERSION, state="ready") == 1
    assert value(merged, "model_manager_version_state", **VERSION, state="failed") == 1
