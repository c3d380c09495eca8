"""How many users there are when: stage tables, each bounded in time, with the limits that its load is held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Stage:
    """Until `until_s` after the start there are `users`, of which `spawn` come or go a second."""

    until_s: float
    users: int
    spawn: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must keep to. Latencies are those of all requests together."""

    p95_ms: float
    p99_ms: float
    fail_ratio: float
    min_rate: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A named course of load."""

    stages: Sequence[Stage]
    limits: Limits

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.stages[-1].until_s

    def users_at(self, second: float, *, stretch: float = 1.0) -> tuple[int, float] | None:
        """Users and spawn rate at a moment, None after the end. `stretch` multiplies the length of every stage."""
        for stage in self.stages:
            if second < stage.until_s * stretch:
                return stage.users, stage.spawn
        return None


SHAPES: Final = {
    # Ever more, to see where latency starts to rise.
    "ramp": Shape(
        [Stage(10, 10, 10), Stage(20, 20, 10), Stage(30, 30, 10), Stage(40, 40, 10)],
        Limits(p95_ms=100, p99_ms=250, fail_ratio=0, min_rate=100),
    ),
    # Eight times as many within a second, and back: does it recover?
    "spike": Shape(
        [Stage(10, 10, 10), Stage(25, 80, 80), Stage(40, 10, 80)],
        Limits(p95_ms=500, p99_ms=1000, fail_ratio=0, min_rate=100),
    ),
    # The same for long: stretch it. Leaks and pauses show as a slope or as teeth.
    "soak": Shape([Stage(50, 25, 25)], Limits(p95_ms=100, p99_ms=250, fail_ratio=0, min_rate=100)),
}
