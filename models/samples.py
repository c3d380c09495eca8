"""All sample packages, built into one repository: what `models/build` runs."""

import importlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from model_manager.errors import PackageRefused
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.training import created_option, moment, publish

SAMPLES: Final = {
    "iris": ("models.iris.train", ("1", "2")),
    "breast-cancer": ("models.breast_cancer.train", ("1",)),
    "diabetes": ("models.diabetes.train", ("1",)),
    "churn": ("models.churn.train", ("1",)),
}
"""Where each model is trained, and the versions of it that are built."""


@dataclass(frozen=True, slots=True)
class Built:
    """One package that is there now. `seconds` is None for one that was there before."""

    model: str
    version: str
    path: str
    bytes: int
    metrics: dict[str, float]
    seconds: float | None


def build_sample(model: str, version: str, repository: Path, created: int | None) -> Built:
    """Train one sample version unless it is there already; raises PackageRefused."""
    folder = repository / model / version
    seconds = None
    if not folder.exists():
        started = time.perf_counter()
        trained = importlib.import_module(SAMPLES[model][0]).train(version)
        publish(trained, name=model, version=version, repository=repository, created=moment(created))
        seconds = round(time.perf_counter() - started, 2)
    metadata = json.loads((folder / "metadata.json").read_text())
    metrics = (metadata.get("evaluation") or {}).get("metrics", {})
    return Built(model, version, str(folder), metadata["artifact"]["bytes"], metrics, seconds)


@click.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@created_option()
def main(out: Path, as_json: bool, created: int | None) -> None:
    """Train all sample models; versions that exist are left alone.

    Example: models/build --out build/models
    """
    wanted = [(model, version) for model, (_, versions) in SAMPLES.items() for version in versions]
    built: list[Built] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("", total=len(wanted))
        for model, version in wanted:
            progress.update(task, description=f"training {model} {version}")
            try:
                built.append(build_sample(model, version, out, created))
            except PackageRefused as error:
                raise click.ClickException(str(error)) from None
            progress.advance(task)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in built], indent=2))
    else:
        Console().print(_table(built, out))


def _table(built: list[Built], out: Path) -> Table:
    table = Table(title=f"sample models in {out}", title_justify="left")
    for heading in ("model", "version", "size", "hold-out", "trained"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for one in built:
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in one.metrics.items())
        trained = "already there" if one.seconds is None else f"{one.seconds:.1f} s"
        table.add_row(one.model, one.version, f"{one.bytes / 1024:.0f} KiB", metrics, trained)
    return table
