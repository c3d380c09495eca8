"""What a second worker adds to the rate: server processes and generator share the machine's processors.

The generator takes a part of the processors that workers would have in a cluster, so a ratio of rates would be its own.
What counts is how many requests the servers answer in a second of processor time: with workers that get in each other's
way they are fewer. Twice as many processors answer twice as many requests, times that ratio.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from loadtests.benchmark.answers import WrongAnswer
from loadtests.benchmark.measuring import require_no_error
from loadtests.benchmark.workloads import PLANS, build_models, build_workload
from loadtests.benchmark.wrk import GeneratorFailed, require_wrk, run_wrk
from tools.processes import ProcessFailed, stop_when_told
from tools.processor_time import used_s
from tools.servers import Server, model_manager

_CONNECTIONS: Final = 64
_WARM_S: Final = 3
_HEADERS: Final = {"Content-Type": "application/json"}


def rates(folder: Path, counts: tuple[int, ...], rounds: int, seconds: int) -> dict[int, list[tuple[float, float]]]:
    """Requests a second, and a second of the servers' processor time, by round, for each number of workers.

    W1 at 64 connections, each server in each round. Raises ProcessFailed, GeneratorFailed and WrongAnswer.
    """
    plan = PLANS["W1"]
    build_models([plan], folder / "models")
    bodies = build_workload(plan, folder / "models", folder / plan.id).bodies

    def post(server: Server, seconds: int) -> tuple[float, float]:
        before = used_s(server.popen.pid)
        url = f"{server.api}/v1/models/{plan.model}:predict"
        timing = run_wrk(url, bodies, _HEADERS, connections=_CONNECTIONS, seconds=seconds, core=None)
        require_no_error(timing, server.name)
        return timing.rate, timing.requests / (used_s(server.popen.pid) - before)

    with ExitStack() as stack:
        servers = {
            count: stack.enter_context(
                model_manager(f"{count} workers", folder / "models", flags=("--workers", str(count)))
            )
            for count in counts
        }
        for server in servers.values():
            post(server, _WARM_S)
        found: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
        for _ in range(rounds):
            for count, server in servers.items():
                found[count].append(post(server, seconds))
    return found


@click.command(epilog="Example: python -m loadtests.benchmark.workers --rounds 5")
@click.option("--workers", type=click.IntRange(2), default=2, show_default=True, help="To compare with one.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Medians are told.")
@click.option("--seconds", type=click.IntRange(1, 60), default=3, show_default=True, help="Length of one timed run.")
def main(workers: int, rounds: int, seconds: int) -> None:
    """Measure how the rate grows with workers, on this machine; needs wrk.

    Exit code 2: it could not be measured.
    """
    console = Console(stderr=True)
    stop_when_told()
    try:
        require_wrk()
        with (
            console.status(f"one worker and {workers}"),
            tempfile.TemporaryDirectory(prefix="model-manager-workers-") as folder,
        ):
            found = rates(Path(folder), (1, workers), rounds, seconds)
    except (GeneratorFailed, ProcessFailed, WrongAnswer) as error:
        console.print(f"Error: {error}", markup=False, highlight=False)
        sys.exit(2)
    shown = Table("workers", "requests/s", "requests / s of processor")
    for count, rounds_ in found.items():
        shown.add_row(str(count), *(f"{median(values):,.0f}" for values in zip(*rounds_, strict=True)))
    console.print(shown)
    kept = median(many[1] / one[1] for one, many in zip(found[1], found[workers], strict=True))
    console.print(
        f"{workers} workers on as many processors answer {workers * kept:.2f} times as often", highlight=False
    )


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.workers")
