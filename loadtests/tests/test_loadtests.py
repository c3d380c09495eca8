"""The load tests really run: both commands end to end, as short as they go."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.parts import absent
from tools.processes import ROOT

pytestmark = pytest.mark.timeout(150)


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


def need(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            absent(f"{module} is not installed; it is in locks/load.txt")


def test_the_bench_measures_the_server_against_its_ceilings(tmp_path: Path) -> None:
    need("matplotlib")
    if shutil.which("wrk") is None:
        absent("wrk is not installed; it is Debian's package wrk")
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    ran = run("loadtests.benchmark", "--quick", "--only", "W1", "--json", str(figures), "--plot", str(picture))
    assert ran.returncode == 0, ran.stderr
    document = json.loads(figures.read_text(encoding="utf-8"))
    (workload,) = document["workloads"]
    assert (workload["id"], workload["status"], workload["reason"]) == ("W1", "measured", "")
    lines = {(line["target"], line["connections"]): line for line in workload["medians"]}
    assert set(lines) == {
        ("bare uvicorn", 1), ("model-manager", 1), ("bare uvicorn", 64), ("model-manager", 64),
        ("in-process predict", 0),
    }  # fmt: skip
    assert len(workload["batching_ratios"]) == 3
    assert len(workload["telemetry_ratios"]) in range(5, 11)
    assert all(line["rate"] > 0 and line["p50_ms"] > 0 for line in lines.values())
    assert not any(run["errors"] for run in workload["runs"])
    assert all(bar["value"] for bar in document["bars"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_bench_says_which_workloads_there_are() -> None:
    ran = run("loadtests.benchmark", "--only", "W9")
    assert ran.returncode == 2
    assert "'W9' is none of W1, W1V2, W2, W3, W3D, W4, W5" in ran.stderr


def test_a_scrape_of_many_versions_is_timed() -> None:
    ran = run("loadtests.benchmark.scrape", "--versions", "12", "--json", "-")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["versions"] == 12
    assert document["samples"] > 12 * 150
    assert all(document[name] > 0 for name in ("scrape_ms", "idle_scrape_ms", "prediction_beside_p99_ms"))


def test_users_are_answered_rightly_and_the_run_is_reported(tmp_path: Path) -> None:
    need("locust", "matplotlib")
    easy = ("--p95-ms", "20000", "--p99-ms", "20000", "--min-rate", "0.1")
    ran = run("loadtests.headless", "--shape", "soak", "--stretch", "0.06", "--out", str(tmp_path), *easy)
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert report["seen"]["requests"] > 0
    assert report["seen"]["failures"] == 0
    assert report["broken"] == []
    assert sum(second["requests"] for second in report["seconds"]) == report["seen"]["requests"]
    assert "iris: one row" in {route["route"] for route in report["routes"]}
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "soak.html").read_text(encoding="utf-8")


def test_a_broken_limit_sets_the_exit_code(tmp_path: Path) -> None:
    need("locust", "matplotlib")
    ran = run("loadtests.headless", "--shape", "soak", "--stretch", "0.04", "--out", str(tmp_path), "--min-rate", "1e9")
    assert ran.returncode == 1
    assert "at least 1e+09 are expected" in ran.stderr
