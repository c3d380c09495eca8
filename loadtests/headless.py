"""A server of its own, warmed, put under the load of a shape, judged, and a report of it all."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from model_manager.errors import PackageRefused
from rich.console import Console
from rich.table import Table

from loadtests.shapes import SHAPES
from loadtests.timeline import draw as draw_timeline
from models.samples import SAMPLES, build_sample
from tools.cores import Cores, choose_cores, pinned
from tools.payloads import difference, draw, read_packages
from tools.processes import ROOT, ProcessFailed, stop_when_told, without_server_settings
from tools.servers import Server, ask, model_manager
from tools.terminal_tables import print_table

RESULTS = ROOT / "build" / "loadtest"
WARM_REQUESTS = 50
_PATIENCE_S = 30


class LoadFailed(Exception):
    """Locust did not run to its end, or the server answered wrongly before there was any load."""


def run_shape(shape: str, *, stretch: float, limits: dict[str, float], out: Path, console: Console) -> dict[str, Any]:
    """Run one shape against a fresh server of the sample models; returns the report that Locust's side wrote.

    Raises LoadFailed, ProcessFailed and PackageRefused.
    """
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="model-manager-load-") as temporary:
        folder = Path(temporary)
        repository = folder / "models"
        with console.status("training the sample models"):
            for model, (_, versions) in SAMPLES.items():
                for version in versions:
                    build_sample(model, version, repository, created=None)
        with model_manager("model-manager", repository, core=cores.server) as running:
            with console.status("warming"):
                warm(running, repository)
            seconds = SHAPES[shape].seconds * stretch
            with console.status(f"{shape}: {seconds:.0f} s of load on {running.api}; {cores.note}"):
                command = locust_command(running.api, repository, shape, stretch=stretch, limits=limits, out=out)
                _run_locust(command, out / f"{shape}.json", seconds=seconds, cores=cores)
            running.check()
    report: dict[str, Any] = json.loads((out / f"{shape}.json").read_text(encoding="utf-8"))
    return report


def warm(running: Server, repository: Path) -> None:
    """Ask every version often enough that nothing is done for the first time under load. Raises LoadFailed."""
    for package in read_packages(repository):
        for _ in range(WARM_REQUESTS):
            request = draw(package, rows=1, pinned=True)
            answer = ask(running.api + request.path, request.body.encode(), {"content-type": "application/json"})
            problem = difference(request, answer.headers.get("x-model-version"), answer.body)
            if answer.status != 200 or problem:
                raise LoadFailed(f"{request.path}: {answer.status}: {problem}")


def locust_command(
    host: str, repository: Path, shape: str, *, stretch: float, limits: dict[str, float], out: Path
) -> list[str]:
    """The command line of Locust, without its web page."""
    options = {
        "locustfile": ROOT / "loadtests" / "locustfile.py",
        "host": host,
        "html": out / f"{shape}.html",
        "loglevel": "WARNING",
        "stop-timeout": 5,
        "repository": repository,
        "shape": shape,
        "stretch": stretch,
        "report": out / f"{shape}.json",
        **limits,
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "locust", "--headless", "--only-summary", *flags]


def _run_locust(command: list[str], report: Path, *, seconds: float, cores: Cores) -> None:
    report.unlink(missing_ok=True)  # an old one must not pass for this run's
    try:
        ran = subprocess.run(
            pinned(command, cores.generator),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=without_server_settings(),
            timeout=seconds + _PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"Locust did not end within {seconds + _PATIENCE_S:.0f} s") from None
    if not report.exists():
        raise LoadFailed(f"Locust ended with exit code {ran.returncode} and no report: {ran.stderr.strip()[-1000:]}")
    if ran.returncode not in (0, 1):
        raise LoadFailed(f"Locust ended with exit code {ran.returncode}: {ran.stderr.strip()[-1000:]}")


@click.command(epilog="Example: python -m loadtests.headless --shape spike --p99-ms 400")
@click.option("--shape", type=click.Choice(list(SHAPES)), default="ramp", show_default=True, help="Course of load.")
@click.option(
    "--stretch",
    type=click.FloatRange(0.02, 100),
    default=1.0,
    show_default=True,
    help="Multiplies the length of every stage; --shape soak --stretch 36 is half an hour.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=RESULTS, help="Folder of the report.")
@click.option("--p95-ms", type=float, help="Longest 95th percentile, in place of the shape's.")
@click.option("--p99-ms", type=float, help="Longest 99th percentile.")
@click.option("--fail-ratio", type=float, help="Largest share of failed requests.")
@click.option("--min-rate", type=float, help="Fewest requests a second.")
def main(shape: str, stretch: float, out: Path, **given: float | None) -> None:
    """Put the load of a shape on a server of the sample models, and hold it to limits.

    Starts and stops everything itself, on the loopback. Writes <shape>.html, .json and .png into build/loadtest. Exit
    code 1: a limit was broken, an answer was wrong, or there was no request.
    """
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    limits = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    stop_when_told()
    try:
        report = run_shape(shape, stretch=stretch, limits=limits, out=out, console=console)
    except (LoadFailed, ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None
    caption = f"{shape}, stretched by {stretch:g}: {report['seen']['requests']} requests, {report['rate']:.0f} a second"
    draw_timeline(report["seconds"], caption, out / f"{shape}.png")
    print_table(console, _table(report, caption))
    console.print(f"report: {out / shape}.html, .json, .png", highlight=False)
    for broken in report["broken"]:
        console.print(f"broken: {broken}", highlight=False)
    sys.exit(1 if report["broken"] else 0)


def _table(report: dict[str, Any], caption: str) -> Table:
    table = Table(title=caption, title_justify="left")
    table.add_column("route", no_wrap=True)
    for heading in ("requests", "failures", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for route in report["routes"]:
        latencies = (f"{route[name]:.0f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
        table.add_row(route["route"], str(route["requests"]), str(route["failures"]), *latencies)
    return table


if __name__ == "__main__":
    main(prog_name="python -m loadtests.headless")
