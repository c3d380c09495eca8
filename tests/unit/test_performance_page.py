"""The figures of docs/performance.md are those of the run that it names."""

import json

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "performance.md").read_text()
RUN = json.loads((ROOT / "loadtests" / "results" / "bench.json").read_text())


def test_the_table_of_bars_is_that_of_the_run() -> None:
    absent = tuple(workload["id"] for workload in RUN["workloads"] if workload["status"] == "not served yet")
    for bar in RUN["bars"]:
        if bar["measure"].startswith(absent):
            continue
        sign = "≥" if bar["at_least"] else "≤"
        assert f"| {bar['measure']} | {bar['value']:.2f} | {sign} {bar['bar']:.2f} |" in PAGE


def test_every_bar_of_the_run_is_met_and_every_workload_was_right() -> None:
    assert all(bar["met"] is not False for bar in RUN["bars"])
    assert {workload["status"] for workload in RUN["workloads"]} <= {"measured", "not served yet"}
