"""Other servers beside this one, on the same two cores, in one run."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import joblib
from rich.console import Console
from rich.table import Table

from loadtests.benchmark.answers import WrongAnswer
from loadtests.benchmark.timing import SERVER, Points
from loadtests.benchmark.workloads import PLANS, Plan, build_models
from loadtests.benchmark.wrk import GeneratorFailed, require_wrk, wrk_version
from loadtests.peers.environments import programs_of, version_of
from loadtests.peers.measuring import Running, measure, prepare, running
from loadtests.peers.servers import NOT_MEASURED, PEERS, Peer
from tools.cores import Cores, choose_cores, staying_on
from tools.machine import describe_commit, describe_machine, describe_versions, now
from tools.processes import ROOT, ProcessFailed, stop_when_told

WORKLOADS = {"W1": "one row, iris", "W2": "one row of 30 numbers, forest", "W3": "1000×20 rows, boosted trees"}
"""In JSON, at 64 connections, or 4 for many rows."""
RESULT = ROOT / "build" / "bench" / "peers.json"


class Comparison:
    """One run: who was measured with which versions, what came of each workload, and who failed why."""

    def __init__(self, peers: Sequence[Peer], console: Console) -> None:
        self.peers = peers
        self.versions: dict[str, str] = {}
        self.points: dict[str, Points] = {}
        self.failures: dict[str, str] = {}
        self._console = console

    def run(self, cores: Cores, *, rounds: int, seconds: int) -> None:
        """Install, serve, check, time. A peer that cannot be had or answers wrongly is named, and left out."""
        plans = [PLANS[id] for id in WORKLOADS]
        with tempfile.TemporaryDirectory(prefix="model-manager-peers-") as folder, ExitStack() as stack:
            status = stack.enter_context(self._console.status("training the models"))
            artifacts = _artifacts(plans, Path(folder) / "models")
            estimators = {name: joblib.load(path) for name, path in artifacts.items()}
            there: list[Running] = []
            for peer in self.peers:
                status.update(f"{peer.name}: installing, starting, checking answers")
                try:
                    programs = programs_of(peer)
                    self.versions[peer.name] = version_of(peer)
                    started = stack.enter_context(
                        running(peer, programs, artifacts, Path(folder) / "peers", cores.server)
                    )
                    prepare(started, plans, estimators, Path(folder))
                except (ProcessFailed, WrongAnswer) as error:
                    self.failures[peer.name] = str(error)
                else:
                    there.append(started)
            for plan in plans:
                found = measure(there, plan, cores, rounds=rounds, seconds=seconds, told=status.update)
                self.points[plan.id] = found[0]
                self.failures |= {f"{name}, {plan.id}": why for name, why in found[1].items()}

    def table(self) -> Table:
        """Requests a second, the median and the slowest of a hundred, and our rate ÷ theirs."""
        shown = Table("server", "version")
        for id in self.points:
            shown.add_column(f"{id}: {WORKLOADS[id]}\nrequests/s · p50 · p99 ms · ours ÷ theirs", justify="right")
        for peer in self.peers:
            cells = [self._cell(id, peer.name) for id in self.points]
            shown.add_row(peer.name, self.versions.get(peer.name, ""), *cells)
        return shown

    def _cell(self, id: str, name: str) -> str:
        found = self.figures(id).get(name)
        if found is None:
            return "-"
        ratio = "" if name == SERVER or found["ours_by_theirs"] is None else f" · {found['ours_by_theirs']:.1f}"
        return f"{found['rate']:,.0f} · {found['p50_ms']:.2f} · {found['p99_ms']:.2f}{ratio}"

    def figures(self, id: str) -> dict[str, Any]:
        """What was measured of one workload, by server."""
        points, connections = self.points[id], max(PLANS[id].connections)
        return {
            one.target: {
                "rate": round(one.rate, 1),
                "p50_ms": round(one.p50_ms, 3),
                "p99_ms": round(one.p99_ms, 3),
                "ours_by_theirs": points.rate_ratio(SERVER, one.target, connections, connections),
            }
            for one in points.summaries()
        }

    def document(self) -> dict[str, Any]:
        """All of it."""
        workloads = {id: self.figures(id) for id in self.points}
        return {
            "peers": self.versions,
            "workloads": workloads,
            "failures": self.failures,
            "not_measured": dict(NOT_MEASURED),
        }


def _artifacts(plans: Sequence[Plan], repository: Path) -> Mapping[str, Path]:
    build_models(plans, repository)
    found = {}
    for model in dict.fromkeys(plan.model for plan in plans):
        newest = max((repository / model).iterdir(), key=lambda version: int(version.name))
        found[model] = newest / "model.joblib"
    return found


def _chosen(context: click.Context, parameter: click.Parameter, value: str | None) -> list[Peer]:
    names = {name.lower(): name for name in PEERS}
    asked = list(names) if value is None else [name.strip().lower() for name in value.split(",")]
    if unknown := [name for name in asked if name not in names]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(PEERS)}")
    return [PEERS[names[name]] for name in dict.fromkeys((SERVER, *asked))]


@click.command(epilog="Example: python -m loadtests.peers --only FastAPI --seconds 1 --rounds 2 --json -")
@click.option("--only", "peers", callback=_chosen, metavar="FastAPI,…", help="Servers beside ours; default: all.")
@click.option("--seconds", type=click.IntRange(1, 60), default=3, show_default=True, help="Length of one timed run.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Medians are reported.")
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
def main(peers: list[Peer], seconds: int, rounds: int, json_path: str | None) -> None:
    """Measure other servers beside this one: the same models and rows, each server alone on one core at a time.

    Installs each into an environment below .venv-peers/. Writes build/bench/peers.json. Exit code 1: a server could
    not be had, answered wrongly or failed; 2: nothing could be measured.
    """
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    stop_when_told()
    cores = choose_cores()
    comparison = Comparison(peers, console)
    circumstances = {"started": now(), **describe_commit(), "machine": describe_machine()}
    try:
        require_wrk()
        versions = {**describe_versions(), "wrk": wrk_version()}
        with staying_on(cores.generator):
            comparison.run(cores, rounds=rounds, seconds=seconds)
    except (GeneratorFailed, ProcessFailed) as error:
        console.print(f"Error: {error}", markup=False, highlight=False)
        sys.exit(2)
    settings = {"seconds": seconds, "rounds": rounds, "cores": cores.note}
    document = {**circumstances, "versions": versions, "settings": settings, **comparison.document()}
    console.print(comparison.table())
    for name, why in {**comparison.failures, **NOT_MEASURED}.items():
        console.print(f"not measured: {name}: {why}", markup=False, highlight=False)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if json_path == "-":
        click.echo(text)
    else:
        path = Path(json_path) if json_path else RESULT
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        console.print(f"figures: {path}", highlight=False)
    sys.exit(bool(comparison.failures))
