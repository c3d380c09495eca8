"""`model-manager train`: a CSV file → a model that is chosen for it, and its package.

What takes long to import is imported when the command runs.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_manager.commands.packages import created_option, moment, print_next, scores_text
from model_manager.commands.terminal import (
    INTERRUPTED,
    fail,
    json_option,
    new_table,
    print_json,
    print_table,
    working,
)
from model_manager.errors import ConfigurationError

if TYPE_CHECKING:
    from model_manager.tables.reading import TableReport
    from model_manager.training.from_table import FromTable, Wanted

_EPILOG = """\b
Exit codes:
  0  trained and packed
  2  wrong usage, the table teaches nothing, or the package cannot be written

\b
Examples:
  model-manager train customers.csv --target churned --out repository
  model-manager train houses.csv --target price --task regression --name houses --version 2 --out repository --json

Labels are learned by a logistic regression, quantities by gradient boosting, on three quarters of the rows; the rest
are the hold-out. What was decided of each column, and why one is left out, is told. The first line names the columns.
"""


@click.command(epilog=_EPILOG)
@click.argument("csv", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--name", help="The model's name.  [default: the file's]")
@click.option("--version", default="1", show_default=True, help="The version to write; never overwritten.")
@click.option(
    "--out",
    default="models-repository",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The repository.",
)
@click.option(
    "--task",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "classification", "regression"]),
    help="auto: labels if the target is text or few whole numbers.",
)
@click.option("--data-version", metavar="TEXT", help="What this state of the data is called, such as a tag.")
@created_option
@json_option
def train(
    csv: Path,
    target: str,
    name: str | None,
    version: str,
    out: Path,
    task: "Wanted",
    data_version: str | None,
    created: int | None,
    as_json: bool,
) -> None:
    """Train a model on the file CSV, score it on a hold-out, and write its package to REPO/NAME/VERSION."""
    name = name or model_name(csv)
    try:
        with working(f"training {name}/{version} on {csv}"):
            from model_manager.packaging.lineage import describe_file
            from model_manager.packaging.package import public_of, write_package
            from model_manager.packaging.publishing import refuse_existing
            from model_manager.training import from_table

            refuse_existing(out, name, version)
            made = from_table.train(csv, target, task)
            data, notes = describe_file(
                csv,
                sha256=made.sha256,
                rows=made.report.rows,
                columns=sum(bool(one.name) for one in made.report.columns),
                target=target,
                version=data_version,
            )
            folder = write_package(
                made.estimator,
                name=name,
                version=version,
                repository=out,
                sample=made.sample,
                data=data,
                evaluation=made.evaluation,
                created=moment(created),
            )
    except ConfigurationError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(INTERRUPTED)
    result = {
        "model": name,
        "version": version,
        "path": str(folder),
        "task": made.task,
        "target": target,
        "rows": made.report.rows,
        "hold_out_rows": made.evaluation.rows,
        "metrics": made.evaluation.metrics,
    }
    public = public_of(folder)
    notes = (*made.notes, *notes)
    if as_json:
        print_json({**result, "public": public, "notes": list(notes), "table": asdict(made.report)})
        return
    _print(made, result, [*made.report.notes, *notes, *public])
    print_next(folder, None)


def model_name(path: Path) -> str:
    """Make a model's name of a file's, which may hold what a name may not."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-.") or "model"


def _print(made: "FromTable", result: dict[str, Any], lines: list[str]) -> None:
    from rich.markup import escape

    table = new_table(None, ["", ""])
    table.show_header = False
    for key, value in result.items():
        shown = scores_text(value) if key == "metrics" else f"{value:,}" if isinstance(value, int) else str(value)
        table.add_row(key.replace("_", " "), escape(shown))
    print_table(table)
    print_columns(made.report)
    for line in lines:
        click.echo(line)


def print_columns(report: "TableReport") -> None:
    """Print what was decided of every column of a file."""
    from rich.markup import escape

    headings = ["column", "role", "kind", "different", "missing", "notes"]
    table = new_table(f"as read ({report.encoding}, {report.separator})", headings, right=["different"])
    for column in report.columns:
        missing = ", ".join(f"{count:,} {word or 'empty'}" for word, count in column.missing.items())
        name = column.name or f"(column {column.number})"
        cells = (name, column.role, column.kind, f"{column.distinct:,}", missing, "; ".join(column.notes))
        table.add_row(*map(escape, cells))
    print_table(table)
