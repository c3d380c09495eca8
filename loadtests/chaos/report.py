"""What a run says: a document for machines, a table of measures against their bars, a page, a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from loadtests.chaos.judging import Allowed, judge, latencies_ms, percentile
from loadtests.chaos.run import Course
from loadtests.chaos.traffic import Request
from loadtests.timeline import Timeline
from tools.processes import ROOT

Document = dict[str, Any]

RESULT: Final = ROOT / "loadtests" / "results" / "chaos.json"
PAGE: Final = ROOT / "docs" / "reliability.md"
PICTURE: Final = ROOT / "docs" / "reliability.png"
_BEGIN: Final = "<!-- chaos: made by `python -m loadtests.chaos --write` -->"
_END: Final = "<!-- chaos: end -->"


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table. `most` is the bar, None where there is none; `unit` stands behind the value."""

    name: str
    value: float | None
    most: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none, or nothing was measured."""
        if self.most is None or self.value is None:
            return None
        return self.value <= self.most

    def cells(self) -> tuple[str, str, str]:
        """Name, value and bar, as they are shown."""
        bar = "" if self.most is None else f"≤ {self.most:g}{self.unit}" if self.most else "0"
        return self.name, self._shown(), bar

    def _shown(self) -> str:
        if self.value is None:
            return "–"
        return f"{self.value:,.0f}{self.unit}" if self.value == int(self.value) else f"{self.value:,.2f}{self.unit}"


def document_of(
    course: Course, requests: Sequence[Request], allowed: Allowed, restarts: Sequence[str], circumstances: Document
) -> Document:
    """Everything that was seen."""
    verdict = judge(requests, allowed)
    quiet = percentile(latencies_ms(requests, [course.quiet]), 0.99)
    loading = percentile(latencies_ms(requests, course.loads), 0.99)
    return {
        **circumstances,
        "swaps": course.swaps,
        "requests": verdict.requests,
        "failed": dict(verdict.failed.most_common()),
        "wrong": dict(verdict.wrong.most_common()),
        "restarts": list(restarts),
        "stuck": course.stuck,
        "swap_ms": {f"p{share}": percentile(course.swap_ms, share / 100) for share in (50, 99)},
        "alone_ms": {f"p{share}": percentile(course.alone_ms, share / 100) for share in (50, 99)},
        "thousand_s": course.thousand_s,
        "quiet_p99_ms": quiet,
        "loading_p99_ms": loading,
        "resident_start_mb": course.resident_start_mb,
        "resident_end_mb": course.resident_end_mb,
        "swaps_at": [[moment - course.began, kind] for moment, kind in course.moments],
        "answered_at": [[start - course.began, (end - start) * 1e3] for start, end in course.loads],
        "seconds": [asdict(second) for second in _timeline(course, requests).seconds()],
    }


def figures_of(document: Mapping[str, Any]) -> Document:
    """The document less what only the picture needs, moment by moment."""
    return {name: value for name, value in document.items() if name not in ("swaps_at", "answered_at", "seconds")}


def measures_of(document: Mapping[str, Any]) -> list[Measure]:
    """The lines of the table."""
    swap, quiet, loading = document["swap_ms"], document["quiet_p99_ms"], document["loading_p99_ms"]
    alone = document["alone_ms"]
    start, end = document["resident_start_mb"], document["resident_end_mb"]
    return [
        Measure("swaps", sum(document["swaps"].values())),
        Measure("requests meanwhile", document["requests"]),
        Measure("failed requests", sum(document["failed"].values()), 0),
        Measure("answers of a version that was not wanted", sum(document["wrong"].values()), 0),
        Measure("times the server ended or had to be ended", len(document["restarts"]), 0),
        Measure("one swap at a time, to its first answer, p50", alone["p50"], 100, " ms"),
        Measure("one swap at a time, to its first answer, p99", alone["p99"], 500, " ms"),
        Measure("swaps one upon the other, to the first answer, p50", swap["p50"], None, " ms"),
        Measure("swaps one upon the other, to the first answer, p99", swap["p99"], 500, " ms"),
        Measure("p99 of requests while nothing changes", quiet, None, " ms"),
        Measure("p99 of requests while a version loads ÷ that", loading / quiet if quiet and loading else None, 5),
        Measure("resident memory at the end ÷ after ten swaps", end / start if start else None, 1.2),
        Measure("until very many versions at once are all ready", document["thousand_s"], None, " s"),
    ]


def is_flawless(document: Mapping[str, Any]) -> bool:
    """Whether there are zeros where zeros belong: speed depends on the machine, these do not."""
    return not any(document[what] for what in ("failed", "wrong", "restarts", "stuck"))


def table_of(measures: Sequence[Measure]) -> Table:
    """The table for people."""
    table = Table(title="swaps under fire", title_justify="left")
    table.add_column("measure", no_wrap=True)
    for heading in ("value", "bar", "met"):
        table.add_column(heading, justify="right")
    for one in measures:
        table.add_row(*one.cells(), {True: "[green]yes", False: "[red]no", None: ""}[one.met])
    return table


def page_with(document: Mapping[str, Any], page: str) -> str:
    """The page with the figures of a run between its markers. Raises ValueError for a page without them."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {_BEGIN} followed by {_END}")
    lines = ["| measure | value | bar |", "|---|---|---|"]
    lines += [f"| {' | '.join(one.cells())} |" for one in measures_of(document)]
    return f"{before}{begin}\n\n" + "\n".join(lines) + f"\n\n{end}{after}"


def draw(document: Mapping[str, Any], caption: str, path: Path) -> None:
    """Draw the latency of requests above, and below it how long each good version took to answer."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    figure = Figure(figsize=(10, 6), layout="constrained")
    latency, swaps = figure.subplots(2, 1, sharex=True)
    at = [second["second"] for second in document["seconds"]]
    for name, colour in (("p50", "#1f6feb"), ("p99", "#d1242f")):
        latency.plot(
            at, [second[f"{name}_ms"] for second in document["seconds"]], label=f"{name} of a second", color=colour
        )
    failed = [second["second"] for second in document["seconds"] if second["failures"]]
    latency.plot(failed, [1.0] * len(failed), "x", color="black", label="seconds with failures")
    latency.set_yscale("log")
    latency.set_ylabel("requests, ms")
    latency.legend(loc="upper left", fontsize="small")
    swaps.plot(*zip(*document["answered_at"], strict=True), ".", color="#1f6feb", label="a good version answers")
    for moment in (moment for moment, kind in document["swaps_at"] if kind not in ("good", "revert", "removal")):
        swaps.axvline(moment, color="#e3872d", alpha=0.3, linewidth=0.8)
    swaps.axhline(100, color="#57606a", linestyle="--", linewidth=0.8)
    swaps.axhline(500, color="#57606a", linestyle=":", linewidth=0.8)
    swaps.set_yscale("log")
    swaps.set_ylabel("from the swap to the first answer, ms")
    swaps.set_xlabel("seconds; a line: a bad artifact, manifest or folder, or a thousand versions")
    swaps.legend(loc="upper left", fontsize="small")
    figure.suptitle(caption, fontsize="small", x=0.01, ha="left")
    figure.savefig(path, dpi=110)


def _timeline(course: Course, requests: Sequence[Request]) -> Timeline:
    timeline = Timeline()
    for one in sorted(requests, key=lambda one: one.received):
        timeline.record(max(0.0, one.received - course.began), one.seconds * 1e3, failed=one.status != 200, users=0)
    return timeline
