"""Swap the models of a server under steady traffic, in every good and bad way, and see that nobody notices."""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loadtests.chaos.artifacts import BAD
from loadtests.chaos.report import (
    PAGE,
    PICTURE,
    RESULT,
    Document,
    document_of,
    draw,
    figures_of,
    is_flawless,
    measures_of,
    page_with,
    table_of,
)
from loadtests.chaos.run import ALONE, QUIET_S, THOUSAND, Run
from loadtests.chaos.script import Swap, fewest_swaps, write_script
from loadtests.chaos.stage import Stage
from loadtests.chaos.traffic import read_requests
from tools.machine import describe_commit, describe_machine, describe_versions, now
from tools.processes import ProcessFailed, stop_when_told
from tools.terminal_tables import print_table

_QUICK_THOUSAND = 100
_TOLD = 10
_QUICK_QUIET_S = 1.0
_QUICK_ALONE = 3


def run_chaos(
    script: Sequence[Swap], *, thousand: int, quiet_s: float, alone: int, flags: Sequence[str], console: Console
) -> Document:
    """Carry a script out on a server of its own, and judge every request that was made meanwhile.

    Raises ProcessFailed when server or traffic cannot even start.
    """
    circumstances = {
        "started": now(),
        **describe_commit(),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "settings": {"swaps": len(script), "thousand": thousand, "flags": list(flags)},
    }
    folder = Path(tempfile.mkdtemp(prefix="model-manager-chaos-"))
    try:
        stage, log = Stage(folder, flags=tuple(flags)), folder / "requests"
        run = Run(stage, thousand=thousand)
        run.first()
        with stage.served(), stage.traffic(log):
            with console.status("the traffic alone"):
                run.quiet(quiet_s)
            with console.status("swaps one at a time"):
                run.alone(alone)
            _carry_out(run, script, console)
        return document_of(run.course, read_requests(log), stage.allowed, stage.restarts, circumstances)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _carry_out(run: Run, script: Sequence[Swap], console: Console) -> None:
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn())
    clocks = (TimeElapsedColumn(), TimeRemainingColumn())
    # Drawn rarely: there may be only as many cores as server and traffic take.
    with Progress(*columns, *clocks, console=console, transient=True, refresh_per_second=2) as progress:
        task = progress.add_task("", total=len(script))

        def told(swap: Swap) -> None:
            progress.update(task, advance=1, description=f"{swap.kind} {swap.detail}".strip())

        run.carry_out(script, told=told)


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str]:
    names = [name.strip() for name in value.split(",")] if value else []
    for name in names:
        if name not in BAD:
            raise click.BadParameter(f"{name!r} is none of {', '.join(BAD)}")
    return names


@click.command(epilog='Example: python -m loadtests.chaos --quick --without "exits,segfaults" --json -')
@click.option("--swaps", type=click.IntRange(1), default=1000, show_default=True, help="Changes of the models folder.")
@click.option("--quick", is_flag=True, help="Everything once, as short as it goes: about a minute.")
@click.option("--without", callback=_names, metavar="NAMES", help="Kinds of bad artifacts to leave out, by comma.")
@click.option("--serve", "flags", metavar="FLAGS", default="", help="More flags for model-manager serve, by space.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which order of swaps.")
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
@click.option("--write", is_flag=True, help="Write the figures and the picture of docs/reliability.md.")
def main(
    swaps: int, quick: bool, without: list[str], flags: str, seed: int, json_path: str | None, write: bool
) -> None:
    """Swap the models of a server under steady traffic, in every good and bad way.

    Starts and stops everything itself, on the loopback. Exit code 1: a request failed, a version answered that was not
    wanted, or the server ended. Times are for an otherwise idle machine, and only shown.
    """
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    stop_when_told()
    try:
        script = write_script(fewest_swaps(without) if quick else swaps, without=without, seed=seed)
        document = run_chaos(
            script,
            thousand=_QUICK_THOUSAND if quick else THOUSAND,
            quiet_s=_QUICK_QUIET_S if quick else QUIET_S,
            alone=_QUICK_ALONE if quick else ALONE,
            flags=flags.split(),
            console=console,
        )
    except (ProcessFailed, ValueError) as error:
        raise click.ClickException(str(error)) from None
    print_table(console, table_of(measures_of(document)))
    for what in ("restarts", "stuck"):
        for line in document[what]:
            console.print(f"{what}: {line}", markup=False, highlight=False)
    for what in ("failed", "wrong"):
        for line, times in islice(document[what].items(), _TOLD):
            console.print(f"{what}, {times} times: {line}", markup=False, highlight=False)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if json_path == "-":
        click.echo(text)
    elif json_path is not None:
        Path(json_path).write_text(text + "\n", encoding="utf-8")
    if write:
        _write(document, console)
    sys.exit(not is_flawless(document))


def _write(document: Document, console: Console) -> None:
    RESULT.write_text(json.dumps(figures_of(document), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page_with(document, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    machine = document["machine"]
    caption = f"{machine['cpu']}, {machine['cores']} cores; {document['commit'][:12]} {document['started']}"
    draw(document, caption, PICTURE)
    console.print(f"written: {RESULT}, {PAGE}, {PICTURE}", highlight=False)
