"""What grows with the number of models: servers of 1, 100 and 1,000 copies of a small one, each measured alike."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

from loadtests.benchmark.scrape import scrape
from loadtests.benchmark.timing import Timing
from tools.memory import resident_mb
from tools.processes import ProcessFailed
from tools.servers import Server, ask, model_manager

COUNTS: Final = (1, 100, 1000)
FIRST_MODEL: Final = "m0"
_QUICK: Final = ("--compile", "off", "--load-isolation", "none")
_ROUNDS: Final = 3
_SCRAPES: Final = 5
_SWAP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Grown:
    """A server of so many models: its resident memory, how long it takes to start, how fast the first of them answers.

    `swap_s`: from the moment that a version of the first model lies in the folder until it answers.
    """

    resident_mb: float
    start_s: float
    rate: float
    p99_ms: float
    swap_s: float
    scrape_ms: float


def growth_by_count(
    artifact: Path,
    folder: Path,
    *,
    row: bytes,
    time: Callable[[Server, str], Timing],
    core: int | None,
    counts: Sequence[int] = COUNTS,
) -> dict[int, Grown]:
    """Serve so many models, each with the bytes of `artifact`, and measure the server. `row`: a request for one.

    `time` puts a server under load, at the path that it is given: all of them in turn, round by round, so that a slow
    stretch of the machine is none of one server alone. Without compiling, and without a trial of each in a child
    process, which leave nothing here and take minutes for a thousand. Raises ProcessFailed, and as `time` does.
    """
    path = f"/v1/models/{FIRST_MODEL}:predict"
    with ExitStack() as stack:
        served = {count: stack.enter_context(_served(artifact, folder / str(count), core, count)) for count in counts}
        timings: dict[int, list[Timing]] = {count: [] for count in served}
        for _ in range(_ROUNDS):
            for count, one in served.items():
                timings[count].append(time(one.server, path))
        return {count: _grown(one, timings[count], artifact, row, path) for count, one in served.items()}


class _Served(NamedTuple):
    """A server that runs, its models, how long it took to start, and its memory before it was asked for anything."""

    server: Server
    models: Path
    start_s: float
    resident_mb: float


@contextmanager
def _served(artifact: Path, models: Path, core: int | None, count: int) -> Iterator[_Served]:
    for number in range(count):
        _put(artifact, models / f"m{number}" / "1")
    began = perf_counter()
    with model_manager(f"{count} models", models, core=core, flags=_QUICK) as server:
        yield _Served(server, models, perf_counter() - began, resident_mb(server.popen.pid))


def _grown(one: _Served, timings: Sequence[Timing], artifact: Path, row: bytes, path: str) -> Grown:
    scrapes = [scrape(one.server.addresses["admin"])[0] for _ in range(_SCRAPES)]
    _put(artifact, one.models / FIRST_MODEL / "2")
    swap_s = _seconds_until(one.server.api + path, row, "2")
    return Grown(
        resident_mb=round(one.resident_mb, 1),
        start_s=round(one.start_s, 3),
        rate=round(median(timing.rate for timing in timings), 1),
        p99_ms=round(median(timing.p99_ms for timing in timings), 3),
        swap_s=round(swap_s, 3),
        scrape_ms=round(median(scrapes), 1),
    )


def _put(artifact: Path, version: Path) -> None:
    unfinished = version.with_name(f".{version.name}")
    unfinished.mkdir(parents=True)
    os.link(artifact, unfinished / "model.joblib")
    unfinished.rename(version)


def _seconds_until(url: str, row: bytes, version: str) -> float:
    began = perf_counter()
    while perf_counter() - began < _SWAP_S:
        if ask(url, row, {"content-type": "application/json"}).headers.get("x-model-version") == version:
            return perf_counter() - began
    raise ProcessFailed(f"{url}: version {version} does not answer {_SWAP_S:g} s after it was written")


def mb_a_model(grown: Mapping[int, Grown]) -> float | None:
    """What one more model takes, between the fewest and the most that were served; None where nothing was measured."""
    if len(grown) < 2:
        return None
    fewest, most = min(grown), max(grown)
    return (grown[most].resident_mb - grown[fewest].resident_mb) / (most - fewest)


def rate_kept(grown: Mapping[int, Grown]) -> float | None:
    """The rate among the most models ÷ the rate of one; None where nothing was measured."""
    return grown[max(grown)].rate / grown[min(grown)].rate if len(grown) > 1 else None
