"""Latency over time: percentiles of every second of a run, and a picture of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a run, counted from its start."""

    second: int
    users: int
    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Timeline:
    """Gathers the latencies of the second that runs, and keeps of past ones only their percentiles."""

    def __init__(self) -> None:
        self._past: list[Second] = []
        self._second = 0
        self._users = 0
        self._failures = 0
        self._latencies: list[float] = []

    def record(self, moment_s: float, latency_ms: float, *, failed: bool, users: int) -> None:
        """Note a request that ended at a moment of the run."""
        second = max(int(moment_s), self._second)  # ends of requests come in order, but for a clock that is set back
        if second != self._second:
            self._close()
            self._second = second
        self._users = users
        self._failures += failed
        self._latencies.append(latency_ms)

    def seconds(self) -> list[Second]:
        """Every second in which a request ended."""
        self._close()
        return self._past

    def _close(self) -> None:
        if not self._latencies:
            return
        ordered = sorted(self._latencies)
        p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99))
        self._past.append(
            Second(self._second, self._users, len(ordered), self._failures, p50, p95, p99, max_ms=ordered[-1])
        )
        self._failures = 0
        self._latencies = []


def draw(seconds: Sequence[Mapping[str, Any]], caption: str, path: Path) -> None:
    """Draw latencies above, requests and users below."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    figure = Figure(figsize=(10, 6), layout="constrained")
    latency, load = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    at = [second["second"] for second in seconds]
    for name, colour in (("p50", "#1f6feb"), ("p95", "#e3872d"), ("p99", "#d1242f")):
        latency.plot(at, [second[f"{name}_ms"] for second in seconds], label=name, color=colour)
    failed = [second["second"] for second in seconds if second["failures"]]
    latency.plot(failed, [0.0] * len(failed), "x", color="black", label="seconds with failures")
    latency.set_ylabel("latency in ms, each second")
    latency.set_ylim(bottom=0)
    latency.legend(loc="upper left", fontsize="small")
    load.plot(at, [second["requests"] for second in seconds], color="#57606a", label="requests/s")
    load.plot(at, [second["users"] for second in seconds], color="#9aa5b1", linestyle="--", label="users")
    load.set_ylim(bottom=0)
    load.set_xlabel("seconds")
    load.legend(loc="upper left", fontsize="small")
    figure.suptitle(caption, fontsize="small", x=0.01, ha="left")
    figure.savefig(path, dpi=110)
