"""How near the server comes to its ceilings, measured in one run on two cores."""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from model_manager.errors import PackageRefused
from model_manager.settings import Settings
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loadtests.benchmark import growth_plot, plot
from loadtests.benchmark.answers import WrongAnswer, check_answers
from loadtests.benchmark.batching import batching_ratios
from loadtests.benchmark.explaining import measure_explaining
from loadtests.benchmark.growth import growth_by_count
from loadtests.benchmark.instructions import CannotCount, table_of
from loadtests.benchmark.instructions import count as count_instructions
from loadtests.benchmark.measuring import Outcome, Schedule, attempt, require_no_error
from loadtests.benchmark.report import document_of, print_report
from loadtests.benchmark.targets import Stage, Target, uvicorn_options
from loadtests.benchmark.telemetry import telemetry_ratios
from loadtests.benchmark.timing import Timing
from loadtests.benchmark.wide_models import load_cpu_seconds
from loadtests.benchmark.workloads import PLANS, Plan, Workload, build_models, build_workload
from loadtests.benchmark.wrk import GeneratorFailed, require_wrk, wrk_version
from tools.cores import choose_cores, staying_on
from tools.machine import describe_commit, describe_machine, describe_versions, now
from tools.processes import ROOT, ProcessFailed, stop_when_told
from tools.servers import Server, ask_json

RESULTS = ROOT / "loadtests" / "results"
LOCAL_RESULTS = ROOT / "build" / "bench"


class Bench:
    """One run: what is asked, how often, on which stage, and what came of it so far."""

    def __init__(self, plans: Sequence[Plan], schedule: Schedule, stage: Stage, console: Console) -> None:
        self.outcomes = {plan.id: Outcome(plan, "failed", "the run ended before it") for plan in plans}
        self._schedule = schedule
        self._stage = stage
        self._console = console

    def run(self) -> None:
        """Build, serve, check, time, check. Raises ProcessFailed and GeneratorFailed when nothing can be measured."""
        plans = [outcome.plan for outcome in self.outcomes.values()]
        with self._console.status("training the models"):
            build_models(plans, self._stage.models)
            workloads = [build_workload(plan, self._stage.models, self._stage.folder / plan.id) for plan in plans]
        with self._stage.shipped() as shipped:
            with self._console.status("checking answers"):
                answers = self._check(workloads, shipped)
            if not answers:
                return
            models = dict.fromkeys(self.outcomes[id].plan.model for id in answers)
            quick = self._schedule.quick
            with self._stage.targets(shipped, answers, models, starlette=not quick) as targets:
                self._time([one for one in workloads if one.plan.id in answers], targets, shipped)
        for workload in workloads:
            if workload.plan.id == "W1" and self.outcomes["W1"].status == "measured":
                self._weigh(workload)

    def _weigh(self, workload: Workload) -> None:
        """See what batching, telemetry, explanations, wide models and many cost, once all other servers stopped."""
        schedule, outcome, id = self._schedule, self.outcomes[workload.plan.id], workload.plan.id
        try:
            with self._console.status(f"{id} with batching and without, {schedule.batching_pairs} times"):
                outcome.batching = batching_ratios(self._stage, workload, schedule.batching_pairs)
            with self._console.status(f"{id} with metrics and traces and without, {schedule.telemetry_s} s"):
                outcome.telemetry = telemetry_ratios(self._stage, workload, schedule.telemetry_s)
            with self._console.status(f"{id} beside explanations and without, {schedule.explaining_rounds} times"):
                outcome.explaining = measure_explaining(
                    self._stage.folder / "explained",
                    rounds=schedule.explaining_rounds,
                    seconds=1.0,
                    core=self._stage.cores.server,
                )
            with self._console.status("loading wide models"):
                outcome.load_cpu = load_cpu_seconds(self._stage.folder / "wide")
            with self._console.status(f"serving up to {max(schedule.model_counts):,} models"):
                artifact = next((self._stage.models / workload.plan.model).glob("*/model.joblib"))
                outcome.growth = growth_by_count(
                    artifact,
                    self._stage.folder / "many",
                    row=workload.bodies[0].read_bytes(),
                    time=partial(self._under_load, workload),
                    core=self._stage.cores.server,
                    counts=schedule.model_counts,
                )
        except (WrongAnswer, GeneratorFailed, ProcessFailed) as error:
            outcome.status, outcome.reason = "failed", str(error)

    def _under_load(self, workload: Workload, server: Server, path: str) -> Timing:
        seconds = self._schedule.seconds
        timing = self._stage.post(workload, server, path, connections=max(workload.plan.connections), seconds=seconds)
        require_no_error(timing, path)
        return timing

    def _check(self, workloads: Sequence[Workload], shipped: Server) -> dict[str, bytes]:
        """Hold the answers of every workload against scikit-learn; returns the first of each that is right."""
        extensions = ask_json(f"{shipped.api}/v2").get("extensions", [])
        answers: dict[str, bytes] = {}
        for workload in workloads:
            plan, outcome = workload.plan, self.outcomes[workload.plan.id]
            if plan.extension is not None and plan.extension not in extensions:
                outcome.status, outcome.reason = "not served yet", f"GET /v2 does not list {plan.extension}"
                continue
            try:
                answers[plan.id] = check_answers(workload, shipped.api)
            except WrongAnswer as error:
                outcome.reason = f"wrong before timing: {error}"
                continue
            outcome.body_bytes, outcome.answer_bytes = workload.bodies[0].stat().st_size, len(answers[plan.id])
        return answers

    def _time(self, workloads: Sequence[Workload], targets: Sequence[Target], shipped: Server) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        clocks = (TimeElapsedColumn(), TimeRemainingColumn())
        # Drawn rarely: the generator has this core.
        with Progress(*columns, *clocks, console=self._console, transient=True, refresh_per_second=1) as progress:
            runs = sum(len(list(self._schedule.runs(one.plan, targets))) for one in workloads)
            task = progress.add_task("", total=runs)

            def show(what: str) -> None:
                progress.update(task, description=what)
                if "warming" not in what:
                    progress.advance(task)

            for workload in workloads:
                outcome = self.outcomes[workload.plan.id]
                attempt(outcome, workload, targets, self._schedule, shipped.api, progress=show)


def _chosen(context: click.Context, parameter: click.Parameter, value: str | None) -> list[Plan]:
    names = list(PLANS) if value is None else [name.strip().upper() for name in value.split(",")]
    unknown = [name for name in names if name not in PLANS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(PLANS)}")
    return [PLANS[name] for name in dict.fromkeys(names)]


@click.command(epilog="Example: python -m loadtests.benchmark --only W1,W5 --repeat 1 --json -")
@click.option("--only", "plans", callback=_chosen, metavar="W1,W5", help="Workloads to run; default: all.")
@click.option("--seconds", type=click.IntRange(1, 60), default=2, show_default=True, help="Length of one timed run.")
@click.option(
    "--repeat", type=click.IntRange(1, 20), default=3, show_default=True, help="Rounds; medians are reported."
)
@click.option("--quick", is_flag=True, help="A smoke test: one round of one second, fewer connections, no Starlette.")
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False, path_type=Path), help="Where the picture goes.")
@click.option("--record", is_flag=True, help="Write the figures and the picture that the documentation shows.")
def main(
    plans: list[Plan],
    seconds: int,
    repeat: int,
    quick: bool,
    json_path: str | None,
    plot_path: Path | None,
    record: bool,
) -> None:
    """Measure the server against bare uvicorn, Starlette and in-process predict, on this machine.

    Writes bench.json and .png into build/bench/, or with --record into loadtests/results/. Exit code 1: a workload had
    errors or wrong answers.
    """
    if record and (quick or len(plans) < len(PLANS)):
        raise click.UsageError("--record is for a run of everything: leave out --only and --quick")
    # Written to a file or a log, tables keep their width.
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    schedule = Schedule(1, 1, quick=True) if quick else Schedule(seconds, repeat, quick=False)
    results = RESULTS if record else LOCAL_RESULTS
    stop_when_told()
    try:
        require_wrk()
        document, outcomes = _run(plans, schedule, console)
    except (GeneratorFailed, ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None
    print_report(console, outcomes)
    _write(document, json_path or str(results / "bench.json"), console)
    _draw(outcomes, document, plot_path or results / "bench.png", console)
    sys.exit(any(outcome.status == "failed" for outcome in outcomes.values()))


def _run(plans: Sequence[Plan], schedule: Schedule, console: Console) -> tuple[dict[str, Any], dict[str, Outcome]]:
    cores = choose_cores()
    console.print(f"{cores.note}; nothing but the loopback is used", highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="model-manager-bench-"))
    try:
        models = folder / "models"
        circumstances = {
            "started": now(),
            **describe_commit(),
            "machine": describe_machine(),
            "versions": {**describe_versions(), "wrk": wrk_version()},
            "settings": {
                "seconds": schedule.seconds,
                "rounds": schedule.rounds,
                "quick": schedule.quick,
                "cores": cores.note,
                "uvicorn": uvicorn_options(models),
                "server": Settings(models=models).model_dump(mode="json", exclude={"models", "host"}),
            },
        }
        bench = Bench(plans, schedule, Stage(cores, models, folder), console)
        with staying_on(cores.generator):
            bench.run()
        counted = {} if schedule.quick else _count(console)
        return document_of(bench.outcomes, {**circumstances, "instructions": counted, "ended": now()}), bench.outcomes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _count(console: Console) -> dict[str, int]:
    """Instructions a request, which need valgrind; none where it cannot count."""
    try:
        with console.status("counting instructions"):
            counted = count_instructions()
    except CannotCount as error:
        console.print(f"instructions were not counted: {error}", markup=False, highlight=False)
        return {}
    console.print(table_of(counted, {}))
    return counted


def _write(document: dict[str, Any], path: str, console: Console) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if path == "-":
        click.echo(text)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text + "\n", encoding="utf-8")
    console.print(f"figures: {path}", highlight=False)


def _draw(outcomes: dict[str, Outcome], document: dict[str, Any], path: Path, console: Console) -> None:
    if not any(outcome.status == "measured" for outcome in outcomes.values()):
        return
    machine = document["machine"]
    commit = document["commit"][:12] + ("+" if document["changed_files"] else "")
    caption = (
        f"{machine['cpu']}, {machine['cores']} cores; {document['settings']['cores']}; {commit} {document['started']}"
    )
    try:
        plot.draw(outcomes, caption, path)
        for outcome in outcomes.values():
            if outcome.growth:
                growth_plot.draw(outcome.growth, caption, path.with_stem(f"{path.stem}-growth"))
    except ImportError:
        console.print("no picture: matplotlib is not installed; `make bench` installs it", highlight=False)
    else:
        console.print(f"picture: {path}", highlight=False)
