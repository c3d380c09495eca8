"""What is written for Prometheus is what prometheus-client would write, in both formats, whatever the values."""

import math
import time

from hypothesis import given
from hypothesis import strategies as st
from model_manager.metrics.exposition import Exposition, choose_format
from model_manager.metrics.instruments import Description, Exemplar, Family, Instrument, Series
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.samples import Sample

from tests.scrape import samples_of, written

BOUNDS = (0.001, 0.5, 1.0, 250.0)
VALUES = st.lists(st.one_of(st.sampled_from([*BOUNDS, 0.0]), st.floats(0, 1000)), max_size=30)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8)

HISTOGRAM = Description("h_seconds", "histogram", 'Help with "quotes" and \\.', ("a", "b"), "seconds", BOUNDS)
COUNTER = Description("c", "counter", "Counts.", ("a",))
GAUGE = Description("g", "gauge", "Goes up and down.")


def plain(samples: list[Sample]) -> list[tuple[object, ...]]:
    """Samples without creation times, in an order of their own."""
    kept = [each for each in samples if not each.name.endswith("_created")]
    return sorted((each.name, sorted(each.labels.items()), repr(float(each.value))) for each in kept)


@given(VALUES, VALUES, WORDS, st.floats())
def test_exposed_samples_are_those_of_the_client_library(
    first: list[float], second: list[float], word: str, level: float
) -> None:
    registry = CollectorRegistry()
    plain_histogram = Histogram("h_seconds", HISTOGRAM.meaning, ("a", "b"), buckets=BOUNDS, registry=registry)
    plain_counter = Counter("c", "Counts.", ("a",), registry=registry)
    Gauge("g", "Goes up and down.", registry=registry).set(level)
    histogram, counter = Instrument(HISTOGRAM), Instrument(COUNTER)
    for name, values in (("one", first), (word, second)):
        for value in values:
            histogram.labels(name, "%s x").observe(value)
            plain_histogram.labels(name, "%s x").observe(value)
            counter.labels(name).inc()
            plain_counter.labels(name).inc()
    families = [histogram.family(), counter.family(), Family(GAUGE, [Series((), level)])]
    assert plain(samples_of(written(families))) == plain(samples_of(generate_latest(registry).decode()))
    theirs = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    assert plain(samples_of(written(families, "openmetrics"))) == plain(samples_of(theirs))


def test_help_type_and_unit_are_written_as_each_format_wants_them() -> None:
    families = [Instrument(COUNTER).family(), Instrument(HISTOGRAM).family()]
    assert "# TYPE c_total counter\n" in written(families)
    assert "# UNIT" not in written(families)
    openmetrics = written(families, "openmetrics")
    assert "# TYPE c counter\n" in openmetrics
    assert "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n" in openmetrics
    assert '# HELP h_seconds Help with \\"quotes\\" and \\\\.\n' in openmetrics
    assert openmetrics.endswith("# EOF\n")


def test_an_exemplar_leads_from_its_bucket_to_a_trace_in_openmetrics_alone() -> None:
    histogram = Instrument(HISTOGRAM)
    series = histogram.labels("x", "y")
    for value, trace in ((0.7, "a" * 32), (0.8, "b" * 32), (400.0, "c" * 32)):
        series.observe(value)
        series.exemplify(value, trace, time.time())
    found = {
        each.labels["le"]: (each.exemplar.labels["trace_id"], each.exemplar.value)
        for each in samples_of(written([histogram.family()], "openmetrics"))
        if each.exemplar is not None
    }
    assert found == {"1.0": ("b" * 32, 0.8), "+Inf": ("c" * 32, 400.0)}
    assert "trace_id" not in written([histogram.family()])


def test_series_come_and_go_between_scrapes_without_being_kept() -> None:
    exposition, counter = Exposition(), Instrument(COUNTER)
    counter.labels("x").inc(2)
    first = "".join(exposition.write([counter.family()], "text"))
    counter.labels("x").inc()
    counter.labels("y").inc(math.inf)
    second = "".join(exposition.write([counter.family()], "text"))
    counter.remove("x")
    third = "".join(exposition.write([counter.family()], "text"))
    assert [line for line in first.splitlines() if line[0] != "#"] == ['c_total{a="x"} 2']
    assert [line for line in second.splitlines() if line[0] != "#"] == ['c_total{a="x"} 3', 'c_total{a="y"} +Inf']
    assert [line for line in third.splitlines() if line[0] != "#"] == ['c_total{a="y"} +Inf']


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_histogram_is_written_afresh_where_it_changed_since_the_last_scrape(rounds: list[list[float]]) -> None:
    exposition, histogram = Exposition(), Instrument(HISTOGRAM)
    for values in rounds:
        for value in values:
            histogram.labels("x", "y").observe(value)
        histogram.labels("idle", "y")
        families = [histogram.family()]
        assert "".join(exposition.write(families, "text")) == written(families)


def test_a_series_that_comes_back_with_other_buckets_is_written_with_those() -> None:
    exposition, histogram = Exposition(), Instrument(HISTOGRAM)
    histogram.labels("x", "y").observe(0.7)
    list(exposition.write([histogram.family()], "text"))
    histogram.remove("x", "y")
    histogram.labels("x", "y", bounds=(0.1, 0.6, 2.0, 3.0)).observe(0.7)
    families = [histogram.family()]
    assert "".join(exposition.write(families, "text")) == written(families)


def test_many_series_are_written_in_pieces_that_lose_none() -> None:
    counter = Instrument(COUNTER)
    for number in range(2500):
        counter.labels(str(number)).inc(number)
    pieces = list(Exposition().write([counter.family()], "text"))
    assert len(pieces) == 4  # what it is about, and a thousand series at a time
    assert [each.value for each in samples_of("".join(pieces))] == list(range(2500))


def test_removing_a_version_removes_all_of_its_series() -> None:
    codes = Instrument(Description("r", "counter", "R.", ("model_name", "model_version", "code")))
    for version, code in (("1", "200"), ("1", "400"), ("2", "200")):
        codes.labels("m", version, code).inc()
    codes.remove("m", "1")
    codes.remove("never there", "1")
    assert [series.labels for series in codes.family().series] == [("m", "2", "200")]


def test_the_format_is_what_the_scraper_asks_for() -> None:
    prometheus = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
    )
    assert choose_format(prometheus) == "openmetrics"
    assert choose_format("text/plain;version=0.0.4") == choose_format("") == "text"


def test_families_survive_the_way_from_a_worker() -> None:
    import msgspec

    histogram = Instrument(HISTOGRAM)
    histogram.labels("x", "y").observe(0.7)
    histogram.labels("x", "y").exemplify(0.7, "a" * 32, time.time())
    family = histogram.family()
    there = msgspec.msgpack.decode(msgspec.msgpack.encode([family]), type=list[Family])
    assert there == [family]
    assert there[0].series[0].exemplars is not None
    assert isinstance(there[0].series[0].exemplars[2], Exemplar)
