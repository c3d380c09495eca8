"""Train all sample packages into a repository: python -m models.build --out DIR."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from model_manager.commands.packages import created_option
from model_manager.errors import PackageRefused
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.samples import SAMPLES, Built, build_sample


@click.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@created_option
def main(out: Path, as_json: bool, created: int | None) -> None:
    """Train all sample models; versions that exist are left alone.

    Example: python -m models.build --out build/models
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


if __name__ == "__main__":
    main(prog_name="python -m models.build")
