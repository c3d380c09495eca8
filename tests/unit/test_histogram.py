"""The request path's histograms say what prometheus-client's own would say."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from server.telemetry.histogram import LoopHistogram

BUCKETS = (0.001, 0.5, 1.0, 250.0)
VALUES = st.lists(st.one_of(st.sampled_from([*BUCKETS, 0.0]), st.floats(0, 1000)), max_size=30)


@given(VALUES, VALUES)
def test_exposed_text_is_that_of_the_client_library(first: list[float], second: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    quick = LoopHistogram("h", "Help.", ("a", "b"), buckets=BUCKETS, registry=ours)
    plain = Histogram("h", "Help.", ("a", "b"), buckets=BUCKETS, registry=theirs)
    for name, values in (("one", first), ("two", second)):
        for histogram in (quick.labels(name, "x"), plain.labels(name, "x")):
            for value in values:
                histogram.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_removed_series_are_gone_and_start_anew() -> None:
    registry = CollectorRegistry()
    histogram = LoopHistogram("h", "Help.", ("a",), buckets=BUCKETS, registry=registry)
    histogram.labels("x").observe(2)
    histogram.remove("x")
    histogram.remove("never there")
    assert registry.get_sample_value("h_count", {"a": "x"}) is None
    histogram.labels("x").observe(3, times=2)
    assert registry.get_sample_value("h_sum", {"a": "x"}) == 6
    assert registry.get_sample_value("h_count", {"a": "x"}) == 2
