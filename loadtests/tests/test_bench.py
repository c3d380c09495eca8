"""The arithmetic of the load tests: what wrk said, medians and ratios, right and wrong answers, limits."""

import json
from collections.abc import Mapping
from dataclasses import fields
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from loadtests.benchmark import growth_plot, plot
from loadtests.benchmark.answers import difference, read_values
from loadtests.benchmark.bars import hold_against_bars
from loadtests.benchmark.explaining import Explaining, measure_explaining
from loadtests.benchmark.growth import Grown
from loadtests.benchmark.measuring import Outcome, Schedule, attempt, rows_ratio
from loadtests.benchmark.report import document_of, print_report
from loadtests.benchmark.targets import Target
from loadtests.benchmark.telemetry import ratios_of
from loadtests.benchmark.timing import (
    BARE,
    NO_CONNECTION,
    PREDICT,
    SERVER,
    STARLETTE,
    Point,
    Points,
    Timing,
    timing_of,
)
from loadtests.benchmark.workloads import PLANS, Workload, encode_binary, encode_json
from loadtests.benchmark.wrk import GeneratorFailed, parse_result
from loadtests.checks import Seen, broken_limits, limits_from
from loadtests.shapes import SHAPES, Limits
from loadtests.timeline import Timeline
from tools.payloads import Package, defaults, draw, several_versions
from tools.payloads import difference as golden_difference
from tools.processes import ROOT
from tools.servers import Answer

CLEAN = {
    "sent": 1064, "answered": 1000, "microseconds": 2_000_000, "p50": 1500, "p99": 4000, "max": 9000,
    "connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0, "not_200": 0,
}  # fmt: skip


def timing(rate: float, p50_ms: float = 1.0, p99_ms: float = 2.0) -> Timing:
    return Timing(requests=int(rate * 2), seconds=2.0, p50_ms=p50_ms, p99_ms=p99_ms, max_ms=p99_ms)


def rounds(target: str, connections: int, *rates: float, p50_ms: float = 1.0, p99_ms: float = 2.0) -> list[Point]:
    return [Point(target, connections, n, timing(rate, p50_ms, p99_ms)) for n, rate in enumerate(rates, 1)]


def test_the_line_of_the_script_is_found_in_what_wrk_prints() -> None:
    printed = f"Running 2s test @ http://127.0.0.1\n  1 threads\nRequests/sec: 500.00\n\nRESULT {json.dumps(CLEAN)}\n"
    assert parse_result(printed) == CLEAN


def test_a_wrk_that_printed_no_result_is_quoted() -> None:
    with pytest.raises(GeneratorFailed, match="unable to connect"):
        parse_result("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_clean_run_has_a_rate_latencies_in_milliseconds_and_no_errors() -> None:
    clean = timing_of(CLEAN, connections=64)
    assert (clean.rate, clean.p50_ms, clean.p99_ms, clean.max_ms, clean.errors) == (500, 1.5, 4, 9, {})


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"connect": 2, "read": 1}, {"could not connect": 2, "read failed": 1}),
        ({"status": 3, "not_200": 5}, {"status is not 200": 5}),
        ({"timeout": 1}, {"timed out": 1}),
        ({"sent": 1067}, {"never answered": 3}),
        ({"sent": 0, "answered": 0}, {"nothing answered": 1}),
    ],
)
def test_whatever_went_wrong_is_counted_by_kind(changed: Mapping[str, int], errors: Mapping[str, int]) -> None:
    assert timing_of({**CLEAN, **changed}, connections=64).errors == errors


def test_ratios_are_taken_within_a_round_so_that_a_slow_round_slows_both() -> None:
    points = Points(rounds(BARE, 64, 1000, 100, 1000) + rounds(SERVER, 64, 500, 50, 600))
    assert points.rate_ratio(SERVER, BARE, 64, 64) == 0.5
    assert points.rate_ratio(SERVER, BARE, 1, 1) is None


def test_summaries_are_medians_in_order_of_connections_with_calls_last() -> None:
    points = Points(rounds(PREDICT, NO_CONNECTION, 9) + rounds(SERVER, 16, 3, 1, 2) + rounds(BARE, 1, 8, 4, 6))
    summaries = [(line.target, line.connections, line.rate) for line in points.summaries()]
    assert summaries == [(BARE, 1, 6), (SERVER, 16, 2), (PREDICT, NO_CONNECTION, 9)]


def _grown(resident_mb: float, rate: float) -> Grown:
    return Grown(resident_mb, start_s=1.0, rate=rate, p99_ms=9.0, swap_s=0.1, scrape_ms=4.0)


def test_what_grows_is_told_and_drawn(tmp_path: Path) -> None:
    growth = {1: _grown(180.0, 100.0), 100: _grown(185.0, 99.0)}
    outcome = Outcome(PLANS["W1"], "measured", growth=growth)
    document = document_of({"W1": outcome}, {})
    assert document["workloads"][0]["growth"]["100"]["resident_mb"] == 185.0
    said = StringIO()
    print_report(Console(file=said, width=200), {"W1": outcome})
    assert "swap to answer s" in said.getvalue()
    growth_plot.draw(growth, "a machine", tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def recorded() -> dict[str, Outcome]:
    """The run that is committed, as it was measured."""
    document = json.loads((ROOT / "loadtests" / "results" / "bench.json").read_text(encoding="utf-8"))
    outcomes = {}
    for workload in document["workloads"]:
        points = [
            Point(
                run["target"],
                run["connections"],
                run["round"],
                Timing(**{part.name: run[part.name] for part in fields(Timing) if part.name in run}),
            )
            for run in workload["runs"]
        ]
        outcomes[workload["id"]] = Outcome(
            PLANS[workload["id"]], workload["status"], forms=workload["forms"], points=Points(points)
        )
    return outcomes


def test_the_recorded_run_is_drawn_three_panels_beside_each_other_and_no_legend_on_a_bar() -> None:
    figure = plot.compose(recorded(), "a machine")
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    assert 1000 <= width <= 1400  # what a page shows without making letters small
    panels = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    assert len(panels) == 2 * len(recorded())
    assert len({axes.get_subplotspec().colspan.start for axes in figure.axes}) == 3
    (legend,) = (each for each in [*figure.legends, *(axes.get_legend() for axes in figure.axes)] if each)
    assert {text.get_text() for text in legend.get_texts()} == {BARE, STARLETTE, SERVER}
    for one, other in combinations([legend.get_tightbbox(), *panels], 2):
        assert not one.overlaps(other), (one, other)
    for part in [legend.get_tightbbox(), *panels]:
        assert 0 <= part.x0 < part.x1 <= width, part  # nothing is cut at an edge
        assert 0 <= part.y0 < part.y1 <= height, part


def test_bars_are_computed_from_their_workload_and_know_which_way_is_better() -> None:
    points = [
        *rounds(BARE, 1, 900, p50_ms=0.1), *rounds(SERVER, 1, 500, p50_ms=0.25),
        *rounds(BARE, 64, 1000), *rounds(SERVER, 64, 1300, p50_ms=2.0, p99_ms=4.0),
    ]  # fmt: skip
    outcome = Outcome(
        PLANS["W1"], "measured", points=Points(points), batching=[1.1, 1.0, 0.9], telemetry=[0.7, 0.9, 0.95],
        load_cpu={"words": 0.4, "columns": 2.5}, growth={1: _grown(180.0, 100.0), 1000: _grown(230.0, 95.0)},
        explaining=Explaining(6.0, 0.2, 900, [1.0, 2.0, 4.0], [1.1, 2.0, 9.0], [1.0, 2.0, 4.0]),
    )  # fmt: skip
    reached = hold_against_bars({"W1": outcome})
    assert [(bar.value, bar.met) for bar in reached] == [
        (1.3, True), (2.5, False), (1.0, True), (0.9, False), (2.0, True), (0.4, True), (2.5, False),
        (pytest.approx(0.05005, rel=1e-3), True), (0.95, True), (6.0, False),
        (pytest.approx(1.1), True),
    ]  # fmt: skip


def test_telemetry_is_weighed_by_halves_that_follow_each_other() -> None:
    halves = ["[false, 9, 0.5]", "[true, 90, 0.5]", "[false, 100, 0.5]", "[true, 50, 0.5]", "[false, 40, 0.25]"]
    assert ratios_of([*halves, "[true, 7, 0.5]"]) == pytest.approx([0.9, 0.625])
    assert ratios_of([]) == []


def test_an_explanation_is_timed_alone_and_beside_predictions(tmp_path: Path) -> None:
    found = measure_explaining(tmp_path, rounds=2, seconds=0.3, core=None)
    assert min(found.explain_p50_ms, found.predict_p50_ms) > 0
    assert found.rate > 0
    courses = (found.alone_p99_ms, found.beside_explanations_p99_ms, found.beside_predictions_p99_ms)
    assert all(len(course) == 2 and min(course) > 0 for course in courses)


def test_bars_of_a_workload_without_points_are_neither_met_nor_broken() -> None:
    reached = hold_against_bars({"W4": Outcome(PLANS["W4"], "not served yet")})
    assert [bar.met for bar in reached] == [None]


def test_rows_are_compared_with_predict_only_in_the_same_form() -> None:
    points = Points(rounds(SERVER, 4, 80) + rounds(PREDICT, NO_CONNECTION, 100))
    same = {SERVER: "onnx", PREDICT: "onnx"}
    assert rows_ratio(Outcome(PLANS["W3"], "measured", forms=same, points=points), 4) == 0.8
    other = {SERVER: "onnx", PREDICT: "sklearn"}
    assert rows_ratio(Outcome(PLANS["W3"], "measured", forms=other, points=points), 4) is None


def test_a_failed_workload_is_reported_without_figures() -> None:
    document = document_of({"W2": Outcome(PLANS["W2"], "failed", "request 0: row 0: 'a'")}, {"commit": "abc"})
    (workload,) = document["workloads"]
    assert (workload["status"], workload["reason"]) == ("failed", "request 0: row 0: 'a'")
    assert (workload["medians"], workload["runs"], document["commit"]) == ([], [], "abc")


def test_errors_against_any_target_fail_the_workload_and_end_its_measurement(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def target(name: str, errors: Mapping[str, int]) -> Target:
        def time(workload: Workload, connections: int, seconds: int) -> Timing:
            asked.append((name, connections))
            return Timing(10, 1.0, 1.0, 2.0, 3.0, errors)

        return Target(name, time, lambda workload, seconds: timing(1), lambda model: "sklearn")

    plan = PLANS["W3"]
    outcome = Outcome(plan, "failed")
    workload = Workload(plan, bodies=(), headers={}, expected=(), plain=tmp_path)
    targets = [target(BARE, {}), target(SERVER, {"timed out": 2})]
    attempt(outcome, workload, targets, Schedule(1, 1, quick=False), "http://127.0.0.1:1", progress=lambda what: None)
    assert (outcome.status, outcome.points.all) == ("failed", [])
    assert outcome.reason == "errors against model-manager at 1, in 10 requests: timed out: 2"
    assert asked == [(BARE, 1), (SERVER, 1)]


def test_a_quick_run_keeps_the_connections_that_bars_are_about() -> None:
    assert Schedule(1, 1, quick=True).connections(PLANS["W1"]) == (1, 64)
    assert Schedule(1, 1, quick=True).connections(PLANS["W3"]) == (4,)
    assert Schedule(1, 1, quick=False).connections(PLANS["W1"]) == (1, 16, 64)


def v1(predictions: list[Any], status: int = 200) -> Answer:
    return Answer(status, {}, json.dumps({"predictions": predictions}).encode())


def test_labels_must_be_equal_and_floats_all_but() -> None:
    assert difference(v1(["setosa"]), ["setosa"]) == ""
    assert difference(v1([1.0 + 1e-12]), [1.0]) == ""
    assert "'virginica' where scikit-learn says 'setosa'" in difference(v1(["virginica"]), ["setosa"])
    assert "row 1" in difference(v1([1.0, 2.001]), [1.0, 2.0])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (v1(["a"], status=503), "status 503"),
        (v1([]), "0 predictions to 1 rows"),
        (v1([True]), "True where scikit-learn says 1"),
        (Answer(200, {}, b"<html>"), "cannot be read"),
        (Answer(200, {}, b'{"outputs": []}'), "no output named predict"),
        (Answer(200, {}, b'{"outputs": [{"name": "predict"}]}'), "cannot be read"),
    ],
)
def test_an_answer_that_is_not_one_is_described(answer: Answer, problem: str) -> None:
    assert problem in difference(answer, [1])


def test_binary_outputs_are_read_behind_those_before_them() -> None:
    raw = np.array([7.0], "<f8").tobytes() + np.array([1.5, 2.5], "<f8").tobytes()
    outputs = [
        {"name": "other", "datatype": "FP64", "parameters": {"binary_data_size": 8}},
        {"name": "predict", "datatype": "FP64", "parameters": {"binary_data_size": 16}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    assert read_values({"inference-header-content-length": str(len(head))}, head + raw) == [1.5, 2.5]


def test_requests_say_their_rows_in_the_words_of_their_protocol() -> None:
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert json.loads(encode_json("v1", rows)) == {"instances": [[1.0, 2.0], [3.0, 4.0]]}
    (tensor,) = json.loads(encode_json("v2", rows))["inputs"]
    assert (tensor["shape"], tensor["data"]) == ([2, 2], [1.0, 2.0, 3.0, 4.0])
    frame = pd.DataFrame({"age": [np.nan], "region": ["north"]})
    assert json.loads(encode_json("v1", frame)) == {"instances": [{"age": None, "region": "north"}]}
    body, headers = encode_binary(rows)
    assert body[int(headers["Inference-Header-Content-Length"]) :] == rows.tobytes()


LIMITS = Limits(p95_ms=100, p99_ms=200, fail_ratio=0.01, min_rate=50)


def test_a_run_within_its_limits_passes() -> None:
    assert broken_limits(Seen(1000, 10, seconds=10, p95_ms=100, p99_ms=200), LIMITS) == []


def test_a_run_without_requests_never_passes() -> None:
    anything = Limits(p95_ms=1e9, p99_ms=1e9, fail_ratio=1, min_rate=0)
    assert broken_limits(Seen(0, 0, seconds=0, p95_ms=None, p99_ms=None), anything) == [
        "no request was made: there is nothing to pass"
    ]


def test_every_broken_limit_is_named() -> None:
    broken = broken_limits(Seen(100, 2, seconds=10, p95_ms=101, p99_ms=None), LIMITS)
    assert [line.split()[0] for line in broken] == ["p95", "p99", "2", "10.0"]


def test_limits_that_are_given_replace_those_of_the_shape_even_by_zero() -> None:
    assert limits_from(LIMITS, {"p95_ms": 5, "p99_ms": None, "fail_ratio": 0.0, "shape": "ramp"}) == Limits(
        5, 200, 0, 50
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_bounded_and_ends(shape: Any) -> None:
    assert shape.seconds < 60
    assert shape.users_at(0) is not None
    assert shape.users_at(shape.seconds) is None
    assert shape.users_at(shape.seconds, stretch=2) is not None
    ends = [stage.until_s for stage in shape.stages]
    assert ends == sorted(set(ends))


def test_a_timeline_keeps_percentiles_of_every_second() -> None:
    timeline = Timeline()
    for latency in range(1, 101):
        timeline.record(0.5, float(latency), failed=latency == 100, users=3)
    timeline.record(2.1, 7.0, failed=False, users=4)
    first, second = timeline.seconds()
    assert (first.second, first.requests, first.failures, first.users) == (0, 100, 1, 3)
    assert (first.p50_ms, first.p95_ms, first.p99_ms, first.max_ms) == (51, 96, 100, 100)
    assert (second.second, second.requests, second.failures, second.p99_ms) == (2, 1, 0, 7)


def package(model: str, version: str) -> Package:
    return Package(model, version, instances=[[1.0], [2.0]], answers=["one", "two"], by_name=False)


def test_requests_are_drawn_with_the_answers_that_must_come_back() -> None:
    request = draw(package("iris", "2"), rows=5, pinned=True)
    assert request.path == "/v1/models/iris/versions/2:predict"
    rows = json.loads(request.body)["instances"]
    assert request.expected == ["one" if row == [1.0] else "two" for row in rows]
    right = json.dumps({"predictions": request.expected}).encode()
    assert golden_difference(request, "2", right) == ""
    assert "version 1" in golden_difference(request, "1", right)
    assert golden_difference(request, "2", b"{}") == "the answer is not a V1 answer"
    assert "to 5 rows" in golden_difference(request, "2", b'{"predictions": []}')
    assert "differ" in golden_difference(request, "2", json.dumps({"predictions": ["three"] * 5}).encode())


def test_the_newest_version_answers_by_default() -> None:
    packages = [package("iris", "10"), package("iris", "9"), package("churn", "1")]
    assert [(one.model, one.version) for one in defaults(packages)] == [("iris", "10"), ("churn", "1")]
    assert {one.version for one in several_versions(packages)} == {"10", "9"}


def test_payload_paths_are_those_of_the_sample_packages(samples: Path) -> None:
    for plan in PLANS.values():
        assert plan.model == "regressor" or (samples / plan.model).is_dir()
