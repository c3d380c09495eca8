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
        value = f"{bar['value']:.2f}" if bar["met"] else f"{bar['value']:.2f} (missed)"
        assert f"| {bar['measure']} | {value} | {sign} {bar['bar']:.2f} |" in PAGE


def test_every_workload_was_answered_right() -> None:
    assert {workload["status"] for workload in RUN["workloads"]} <= {"measured", "not served yet"}


def test_the_table_of_instructions_is_that_of_the_committed_figures() -> None:
    found = json.loads((ROOT / "loadtests" / "results" / "instructions.json").read_text(encoding="utf-8"))
    figures = found["instructions"]
    assert figures
    for name, count in figures.items():
        assert f" {count:,} |" in PAGE, f"{name}: {count:,}"


def test_the_table_of_other_servers_is_that_of_the_committed_figures() -> None:
    found = json.loads((ROOT / "loadtests" / "results" / "peers.json").read_text(encoding="utf-8"))
    assert not found["failures"]
    ours = next(iter(found["peers"]))
    for name, version in found["peers"].items():
        (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} {version} |")]
        for workload in found["workloads"].values():
            one = workload[name]
            figures = f"{one['rate']:,.0f}/s, {one['p50_ms']:.1f} ms, {one['p99_ms']:.1f} ms"
            ratio = "" if name == ours else f"; **{one['ours_by_theirs']:.1f}**"
            assert f"| {figures}{ratio} |" in line
