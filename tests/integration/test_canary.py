"""`model-manager canary` against a real Prometheus that remembers rollouts of every kind."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from model_manager.cli import cli

from tests.history import NOW, SCRAPES, History, write_side
from tools.processes import Process

PRICES = np.random.default_rng(2).normal(300, 50, 10_000)


def write_all(history: History) -> None:
    """One model for every kind of rollout."""
    good = {"200": 10_000, "400": 20}

    def both(model: str, canary: Mapping[str, int], stable: Mapping[str, int] = good, **unlike: Any) -> None:
        write_side(history, model, "stable", stable)
        write_side(history, model, "canary", canary, **unlike)

    both("healthy", {"200": 1000})
    both("failing", {"200": 980, "500": 15, "503": 5}, dropped={"queue_full": 5})
    both("slow", {"200": 1000}, slowness=3.0)
    both("shifted", {"200": 1000}, labels={"setosa": 5, "versicolor": 5, "virginica": 90})
    both("many-labels", {"200": 1000}, labels={f"label {number}": 5 for number in range(20)})
    both("scarce", {"200": 40})
    both("scarce-and-failing", {"200": 20, "500": 20})
    both("misused", {"200": 1000, "400": 500, "499": 200})
    both("idle", {})
    failed = {"model_name": "idle", "model_version": "3", "track": "canary", "pod": "canary-0", "state": "failed"}
    history.add("model_manager_version_state", failed, ((time, 1) for time in SCRAPES))
    for model, shift in (("prices", 0.0), ("dear-prices", 60.0)):
        write_side(history, model, "stable", good, labels=None, values=list(PRICES))
        write_side(history, model, "canary", {"200": 1000}, labels=None, values=list(PRICES + shift))
    write_born_late(history)
    foreign = {"model_name": "without-codes", "model_version": "1", "track": "stable"}
    history.counted("model_manager_requests_total", foreign, 0, 100)


def write_born_late(history: History) -> None:
    """Errors whose series begins within the window, and a process that restarted within it."""
    both = {"model_name": "born-late", "namespace": "models"}
    stable = {**both, "model_version": "1", "track": "stable", "pod": "stable-0", "code": "200"}
    history.counted("model_manager_requests_total", stable, 0, 10_000)
    canary = {**both, "model_version": "2", "track": "canary", "pod": "canary-0"}
    half = NOW - 300
    restarted = (
        (time, 5000 + (time - NOW + 600) if time < half else time - half) for time in SCRAPES if time > NOW - 900
    )
    history.add("model_manager_requests_total", {**canary, "code": "200"}, restarted)
    errors = ((time, 30) for time in SCRAPES if time > NOW - 120)
    history.add("model_manager_requests_total", {**canary, "code": "500"}, errors)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    history = History()
    write_all(history)
    with history.served(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def canary(prometheus: str, model: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["canary", "--prometheus", prometheus, "--model", model, *options])


def compared(prometheus: str, model: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document."""
    done = canary(prometheus, model, "--at", str(NOW), "--json", *options)
    assert done.stderr == ""
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("model", "exit_code", "outcomes"),
    [
        ("healthy", 0, {"errors": "ok", "latency": "ok", "predictions": "ok"}),
        ("failing", 1, {"errors": "worse", "latency": "ok", "predictions": "ok"}),
        ("slow", 1, {"errors": "ok", "latency": "worse", "predictions": "ok"}),
        ("shifted", 0, {"errors": "ok", "latency": "ok", "predictions": "differs"}),
        ("prices", 0, {"errors": "ok", "latency": "ok", "predictions": "ok"}),
        ("dear-prices", 0, {"errors": "ok", "latency": "ok", "predictions": "differs"}),
        ("misused", 0, {"errors": "ok", "latency": "ok", "predictions": "ok"}),
        ("scarce", 3, {"errors": "unknown", "latency": "unknown", "predictions": "unknown"}),
        ("scarce-and-failing", 1, {"errors": "worse", "latency": "unknown", "predictions": "unknown"}),
        ("idle", 3, {"errors": "unknown", "latency": "unknown", "predictions": "unknown"}),
        ("never-heard-of", 3, {"errors": "unknown", "latency": "unknown", "predictions": "unknown"}),
    ],
)
def test_every_rollout_gets_its_verdict(prometheus: str, model: str, exit_code: int, outcomes: dict[str, str]) -> None:
    code, document = compared(prometheus, model)
    assert {check["name"]: check["outcome"] for check in document["checks"]} == outcomes, document["checks"]
    assert (code, document["exit_code"]) == (exit_code, exit_code)


def test_predictions_that_differ_fail_only_when_told_to(prometheus: str) -> None:
    assert compared(prometheus, "shifted", "--fail-on-distance")[0] == 1
    assert compared(prometheus, "shifted", "--fail-on-distance", "--max-distance", "0.9")[0] == 0


def test_predictions_that_differ_are_a_warning(prometheus: str) -> None:
    advice = "Go on: raise the weight of canary, if its predictions may differ this much."
    assert compared(prometheus, "shifted")[1]["advice"] == advice
    assert compared(prometheus, "healthy")[1]["advice"] == "Go on: raise the weight of canary."


def test_limits_are_those_that_were_given(prometheus: str) -> None:
    assert compared(prometheus, "failing", "--max-error-increase", "0.05")[0] == 0
    assert compared(prometheus, "slow", "--max-p99-ratio", "4")[0] == 0
    assert compared(prometheus, "scarce", "--min-requests", "40")[0] == 0


def test_counts_are_exact(prometheus: str) -> None:
    _, document = compared(prometheus, "misused")
    side = document["canary"]
    assert side["requests_by_code"] == {"200": 1000, "400": 500, "499": 200}
    assert (side["requests"], side["client_faults"], side["errors"], side["rows"]) == (1700, 700, 0, 3400)
    assert side["versions"] == ["2"]
    assert document["stable"]["predictions"] == {"setosa": 6613, "versicolor": 7014, "virginica": 6412}
    assert compared(prometheus, "failing")[1]["canary"]["dropped"] == {"queue_full": 5}


def test_errors_that_came_before_the_first_scrape_of_their_series_count_and_restarts_lose_nothing(
    prometheus: str,
) -> None:
    code, document = compared(prometheus, "born-late")
    assert document["canary"]["requests_by_code"] == {"200": 285 + 300, "500": 30}
    assert code == 1


def test_a_shorter_window_sees_less(prometheus: str) -> None:
    assert compared(prometheus, "healthy", "--window", "1m")[1]["canary"]["requests"] == 100
    assert compared(prometheus, "healthy", "--window", "1m", "--at", str(NOW - 900))[1]["canary"]["requests"] == 0


def test_percentiles_are_those_of_promql(prometheus: str) -> None:
    _, document = compared(prometheus, "slow")
    for quantile, key in ((0.5, "p50_s"), (0.99, "p99_s")):
        selector = 'model_name="slow",track="canary"'
        query = f"histogram_quantile({quantile}, model_manager_request_duration_seconds_bucket{{{selector}}})"
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query, "time": NOW}).json()
        assert document["canary"][key] == pytest.approx(float(answer["data"]["result"][0]["value"][1]))


def test_versions_of_the_same_pods_can_be_compared(prometheus: str) -> None:
    by_version = ("--by", "version", "--stable", "1", "--canary", "2", "--namespace", "models")
    code, document = compared(prometheus, "failing", *by_version)
    assert code == 1
    assert document["advice"] == "Roll back: make 1 the default."
    assert document["canary"]["errors"] == 20


def test_matchers_narrow_what_is_compared(prometheus: str) -> None:
    assert compared(prometheus, "failing", "--namespace", "elsewhere")[0] == 3
    assert compared(prometheus, "failing", "--match", 'pod=~"stable-.*"')[1]["canary"]["requests"] == 0


def test_the_table_shows_both_sides_and_says_what_to_do(prometheus: str) -> None:
    done = canary(prometheus, "failing", "--at", "2026-11-02T15:00:00Z")
    assert done.exit_code == 1
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    assert "failing, the 10 min until 2026-11-02 15:00:00 UTC" in lines
    for line in (
        "versions answering 1 2",
        "requests 10,020 1,000",
        "errors (5xx) 0 (0.00%) 20 (2.00%)",
        "dropped, queue full 0 5",
        "predicted setosa 33.0% 33.0%",
    ):
        assert line in lines
    assert lines[-1] == "Verdict: worse. Roll back: set the weight of canary to 0."
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_rare_labels_are_shown_together(prometheus: str) -> None:
    done = canary(prometheus, "many-labels", "--at", str(NOW))
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    assert "predicted versicolor 35.0% 0.0%" in lines
    assert "predicted, 13 more labels 0.0% 65.0%" in lines


def test_a_side_without_requests_is_said_with_what_to_look_at(prometheus: str) -> None:
    assert compared(prometheus, "idle")[1]["advice"].startswith("canary answered nothing: is traffic sent to it")
    assert compared(prometheus, "idle")[1]["canary"]["unready"] == {"3": "failed"}
    assert "3 failed" in canary(prometheus, "idle", "--at", str(NOW)).stdout
    assert "check the name" in compared(prometheus, "never-heard-of")[1]["advice"]


def test_the_exit_code_is_that_of_the_process(prometheus: str) -> None:
    command = [sys.executable, "-m", "model_manager", "canary", "--prometheus", prometheus, "--model", "failing"]
    done = subprocess.run([*command, "--at", str(NOW)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "Verdict: worse. Roll back: set the weight of canary to 0.\n" in done.stdout


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 2)])
def test_a_comparison_that_is_stopped_gives_no_verdict(signum: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "model_manager", "canary", "--prometheus", url, "--model", "healthy"]
        with Process("the comparison", command) as comparing:
            connection, _ = silent.accept()
            with connection:
                assert comparing.end(signum) == code


def test_a_failure_of_our_own_gives_no_verdict(prometheus: str) -> None:
    assert canary(prometheus, "without-codes", "--at", str(NOW)).exit_code == 2


def test_a_server_imports_nothing_of_it() -> None:
    ask = "import sys, model_manager.cli; print(*sorted(name for name in sys.modules if '_manager.rollout' in name))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_without_a_time_it_looks_at_now(prometheus: str) -> None:
    done = canary(prometheus, "healthy", "--json")
    assert done.exit_code == 3  # the history ended long ago, or has not begun
    assert json.loads(done.stdout)["at"] > 1_600_000_000


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--prometheus", "http://127.0.0.1:1"], "Prometheus cannot be asked at http://127.0.0.1:1: "),
        (["--prometheus", "localhost:9090"], "is not the address of a Prometheus: write it as http://localhost:9090"),
        (["--match", 'pod=~"("'], "Prometheus refuses model_manager_requests_total{"),
        (["--match", "pod"], "'pod' is not a matcher such as pod=~\"models-.*\""),
        (["--window", "soon"], "'soon' is not a time such as 90s, 10m or 1h30m"),
        (["--at", "soon"], "'soon' is not a time such as 2026-11-02T15:00Z or 1793631600"),
        (["--by", "version"], "--by version needs the two versions: --stable 1 --canary 2"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line_and_exit_code_2(
    prometheus: str, options: list[str], complaint: str
) -> None:
    done = canary(prometheus, "healthy", *options)
    assert done.exit_code == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/nothing-here", "answers 404 Not Found: is it a Prometheus?"),
        ("/graph?", "does not answer as Prometheus does: JSON is malformed: invalid character (byte 0)"),
    ],
    ids=["no such page", "a page for people"],
)
def test_something_else_than_prometheus_is_recognised(prometheus: str, path: str, complaint: str) -> None:
    done = canary(prometheus + path, "healthy")
    assert done.exit_code == 2
    assert done.stderr == f"model-manager: {prometheus}{path} {complaint}\n"
