"""`model-manager feedback`: what was true of rows that a running server answered, from a file.

In the flow: cli → **feedback** → scoring.telling. What takes long to import is imported when it runs.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.asking import key_options
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import ModelManagerError

if TYPE_CHECKING:
    from model_manager.scoring.telling import Told

_EPILOG = """\b
Exit codes:
  0  every label is joined with its answer
  1  some are not: it is said which, and why
  2  wrong usage, the file cannot be read, or the server cannot be asked

\b
Examples:
  model-manager feedback labels.csv --url http://localhost:8080 --model churn
  model-manager feedback labels.parquet --url https://models.example.com --model churn --api-key-file key --json

LABELS is a CSV or Parquet file with the columns id (the request's x-request-id, or the id of a V2 request) and label;
also row, from 0, where requests had several rows. Rows without a label are left out. The server must take labels
(--feedback-window-s). To send a file twice does no harm.
"""


@click.command(epilog=_EPILOG)
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", required=True, metavar="URL", help="The server, such as http://localhost:8080.")
@click.option("--model", required=True, metavar="N", help="The model that answered.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="How long a server is asked again that is busy (503) or not there, or of which a pod does not answer.",
)
@key_options
@json_option
def feedback(
    labels: Path,
    url: str,
    model: str,
    patience: float,
    api_key_file: Path | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Tell a running server what was true of rows that it answered."""
    from model_manager.scoring.telling import labels_in, tell
    from model_manager.tables.table_files import read_table

    try:
        key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key
        with working("reading labels"):
            table = read_table(labels)
            known, places = labels_in(table)
        with _progress(len(known)) as told:
            found = tell(known, places, url, model, key, patience_s=patience, told=told)
    except ModelManagerError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; send the file again: what is joined stays joined")
    found.empty = table.rows - len(known)
    _tell(found, as_json=as_json)
    sys.exit(0 if found.counts["joined"] == found.labels else 1)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how many labels are sent; nothing where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("labels", total=total)
        yield lambda sent: bar.update(task, completed=sent)


def _tell(found: "Told", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "labels": found.labels,
                "counts": dict(found.counts),
                "without_label": found.empty,
                "perhaps_in_pods_that_did_not_answer": found.unanswered,
                "not_joined": found.others,
            }
        )
        return
    table = new_table(None, ("labels", "count"), right=("count",))
    for status, count in found.counts.most_common():
        table.add_row(status.replace("_", " "), f"{count:,}")
    if found.empty:
        table.add_row("rows without a label", f"{found.empty:,}")
    print_table(table)
    for one in found.others:
        click.echo(f"not joined: {one}", err=True)
    if found.unanswered:
        click.echo(f"{found.unanswered:,} may be in pods that did not answer: send the file again", err=True)
