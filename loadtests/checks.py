"""Whether a load run passes: limits on latency, failures and throughput. A run without requests never does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from loadtests.shapes import Limits


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run saw, over all routes. Percentiles are None when nothing was answered."""

    requests: int
    failures: int
    seconds: float
    p95_ms: float | None
    p99_ms: float | None

    @property
    def fail_ratio(self) -> float:
        """Failed requests ÷ all; 1 when there were none."""
        return self.failures / self.requests if self.requests else 1.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0


def broken_limits(seen: Seen, limits: Limits) -> list[str]:
    """Every limit that was broken, in words; empty when the run passes."""
    if not seen.requests:
        return ["no request was made: there is nothing to pass"]
    broken = []
    for name, value, limit in (("p95", seen.p95_ms, limits.p95_ms), ("p99", seen.p99_ms, limits.p99_ms)):
        if value is None or value > limit:
            shown = "not known" if value is None else f"{value:.0f} ms"
            broken.append(f"{name} is {shown}, at most {limit:g} ms are allowed")
    if seen.fail_ratio > limits.fail_ratio:
        share = f"{seen.failures} of {seen.requests} requests failed"
        broken.append(f"{share}, a ratio of {seen.fail_ratio:.4f}; at most {limits.fail_ratio:g} is allowed")
    if seen.rate < limits.min_rate:
        broken.append(f"{seen.rate:.1f} requests/s, at least {limits.min_rate:g} are expected")
    return broken


def limits_from(defaults: Limits, given: Mapping[str, Any]) -> Limits:
    """The limits of a shape, with those replaced that were given."""
    return replace(defaults, **{name: given[name] for name in asdict(defaults) if given.get(name) is not None})
