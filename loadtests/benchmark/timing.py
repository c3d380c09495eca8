"""What one timed run gave, and the arithmetic over several: rates, medians, ratios within a round."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

BARE = "bare uvicorn"
STARLETTE = "starlette"
SERVER = "model-manager"
PREDICT = "in-process predict"
NO_CONNECTION = 0
"""Under this many connections in-process calls are filed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One run of a few seconds against one target. `errors` counts what went wrong, by kind; empty when nothing did."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests (or calls) a second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Point:
    """A timing and where it belongs: runs of one round follow each other directly, so their ratio means most."""

    target: str
    connections: int
    round: int
    timing: Timing


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the rounds of one target at one number of connections. `of_bare` is None for the ceiling itself."""

    target: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    of_bare: float | None


class Points:
    """All runs of one workload."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self.all = list(points)

    def by_round(self, target: str, connections: int) -> dict[int, Timing]:
        """The timings of one target at one number of connections."""
        return {p.round: p.timing for p in self.all if (p.target, p.connections) == (target, connections)}

    def rate_ratio(self, target: str, ceiling: str, connections: int, ceiling_connections: int) -> float | None:
        """The median over the rounds of how much of the ceiling's rate a target reached; None if either is missing."""
        ours, theirs = self.by_round(target, connections), self.by_round(ceiling, ceiling_connections)
        return _median(ours[n].rate / theirs[n].rate for n in ours if n in theirs)

    def latency_ratio(self, target: str, other: str, connections: int) -> float | None:
        """The median over the rounds of how a target's median latency compares with another's."""
        ours, theirs = self.by_round(target, connections), self.by_round(other, connections)
        return _median(ours[n].p50_ms / theirs[n].p50_ms for n in ours if n in theirs)

    def spread(self, target: str, connections: int) -> float | None:
        """The median over the rounds of p99 ÷ p50."""
        return _median(timing.p99_ms / timing.p50_ms for timing in self.by_round(target, connections).values())

    def summaries(self) -> list[Summary]:
        """One line for every target at every number of connections, in the order of measuring."""
        keys = dict.fromkeys((point.connections, point.target) for point in self.all)
        last = sorted(keys, key=lambda key: (key[0] == NO_CONNECTION, key[0]))
        return [self._summary(target, connections) for connections, target in last]

    def _summary(self, target: str, connections: int) -> Summary:
        timings = list(self.by_round(target, connections).values())
        return Summary(
            target,
            connections,
            rate=median(timing.rate for timing in timings),
            p50_ms=median(timing.p50_ms for timing in timings),
            p99_ms=median(timing.p99_ms for timing in timings),
            of_bare=None if target == BARE else self.rate_ratio(target, BARE, connections, connections),
        )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def timing_of(result: Mapping[str, Any], *, connections: int) -> Timing:
    """Read what wrk.lua reports; latencies come in microseconds.

    A connection that the server closes without an answer is no error to wrk: it shows as a request sent and never
    answered, of which only those under way at the end are in order.
    """
    kinds = {
        "could not connect": result["connect"],
        "read failed": result["read"],
        "write failed": result["write"],
        "timed out": result["timeout"],
        "status is not 200": max(result["status"], result["not_200"]),
        "never answered": max(0, result["sent"] - result["answered"] - connections),
        "nothing answered": int(result["answered"] == 0),
    }
    return Timing(
        requests=result["answered"],
        seconds=result["microseconds"] / 1e6,
        p50_ms=result["p50"] / 1e3,
        p99_ms=result["p99"] / 1e3,
        max_ms=result["max"] / 1e3,
        errors={kind: count for kind, count in kinds.items() if count},
    )
