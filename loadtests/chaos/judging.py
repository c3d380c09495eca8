"""Was every answer right? Held against the versions that could answer while its request was on its way."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from loadtests.chaos.traffic import CHANGING, FAILED, UNCHANGED, Request


class Allowed:
    """Which versions of the changing model might answer, from when on."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._versions: list[frozenset[str]] = []

    def from_now(self, now: float, *versions: str) -> None:
        """From this moment of the monotonic clock on it may be these, until the next call."""
        self._times.append(now)
        self._versions.append(frozenset(versions))

    def between(self, sent: float, received: float) -> frozenset[str]:
        """Every version that might answer a request that was on its way in this time."""
        first, last = (bisect_right(self._times, moment) - 1 for moment in (sent, received))
        return frozenset().union(*self._versions[max(first, 0) : last + 1])


@dataclass(slots=True)
class Verdict:
    """What became of all requests. `failed` and `wrong` are counted by what was said."""

    requests: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def judge(requests: Iterable[Request], allowed: Allowed) -> Verdict:
    """Count the requests that failed, and the answers that no wanted version could have given."""
    verdict = Verdict()
    for one in requests:
        verdict.requests += 1
        if one.status != 200:
            what = "no answer" if one.status == FAILED else str(one.status)
            verdict.failed[f"{what}: {_alike(one.said)}"] += 1
        elif not one.agrees:
            verdict.wrong[f"{one.model}: the values are not those of version {one.said}"] += 1
        elif one.model == CHANGING and one.said not in allowed.between(one.sent, one.received):
            verdict.wrong[f"{one.model}: version {one.said} answered when it was not wanted"] += 1
        elif one.model == UNCHANGED and one.said != "1":
            verdict.wrong[f"{one.model}: version {one.said} never was"] += 1
    return verdict


def _alike(said: str) -> str:
    """What was said, less what tells one time that it is said from another."""
    return re.sub(r"[0-9a-f]{32}|[0-9]+", "…", said)[:120]


def latencies_ms(requests: Iterable[Request], windows: Sequence[tuple[float, float]]) -> list[float]:
    """How long the requests took that were sent within one of these windows, which are in order."""
    starts = [start for start, _ in windows]
    found = []
    for one in requests:
        at = bisect_right(starts, one.sent) - 1
        if at >= 0 and one.sent <= windows[at][1]:
            found.append(one.seconds * 1e3)
    return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of them does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
