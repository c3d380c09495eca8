"""`model-manager compare`: ask two versions the same rows, compare, print, and exit with a code that pipelines act on.

In the flow: cli → **compare** → comparison_sides → comparison → comparison_report.
"""

import sys
import traceback
from pathlib import Path

import click

from model_manager.commands.terminal import INTERRUPTED, fail, json_option, json_text, working
from model_manager.errors import ModelManagerError

_EPILOG = """\b
Exit codes:
  0  B is no worse: go on
  1  B is worse: keep A
  2  wrong usage, the two cannot be compared, or interrupted
  3  cannot tell: too few rows, a difference that may be chance, or no truth

\b
Examples:
  model-manager compare models/iris/1 models/iris/2 --data test.csv
  model-manager compare http://localhost:8080/iris/1 build/iris/2 --data test.csv --target species --json
  model-manager compare models/iris/1 models/iris/2 --data test.csv --rows disagreements.csv

A and B are packages, by their paths (REPO/NAME/VERSION), or versions of a running server, by their addresses
(http://HOST:PORT/NAME/VERSION). Opening a package runs its code.

B is worse when it is worse by more than --max-drop, and chance does not explain it: labels by McNemar's exact test,
errors of numbers by changing A and B around in each row. Equal versions are called worse in 1 comparison of 40 at the
most. Accuracy and balanced accuracy judge labels and anomalies, the root mean squared error numbers. Without a truth,
only two that answer every row alike are no worse.
"""


@click.command(epilog=_EPILOG)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV or Parquet file of rows to ask both.",
)
@click.option("--target", metavar="COLUMN", help="Column of the truth.  [default: the one that was trained for]")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Metric that judges, instead of those named below; may be given several times.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="How much worse B may be: 0.01 is a point of a score (accuracy 0.90, then 0.89), and 1% of an error.",
)
@click.option(
    "--min-rows",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help='Rows that "no worse" needs.',
)
@click.option(
    "--max-slowdown",
    type=click.FloatRange(0, min_open=True),
    metavar="TIMES",
    help="How many times as long as A B may take; without it, latency is shown and not judged.",
)
@click.option(
    "--disagreements",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="How many rows to show that they answer differently.",
)
@click.option(
    "--rows",
    "rows_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all rows that they answer differently to a CSV file.",
)
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the API key that a running server asks for.",
)
@json_option
def compare(
    a: str,
    b: str,
    data: Path,
    target: str | None,
    metrics: tuple[str, ...],
    max_drop: float,
    min_rows: int,
    max_slowdown: float | None,
    disagreements: int,
    rows_file: Path | None,
    api_key_file: Path | None,
    as_json: bool,
) -> None:
    """Is B better than A? Ask both the same rows and hold their answers against the truth."""
    try:
        with working("reading the rows"):
            from model_manager.evaluation import comparison_report as report
            from model_manager.evaluation.comparison import Limits
            from model_manager.evaluation.comparison import compare as judge
            from model_manager.evaluation.comparison_rows import refuse_place, write_disagreements
            from model_manager.evaluation.comparison_sides import ask, open_side
            from model_manager.evaluation.paired_metrics import HIGHER_IS_BETTER
            from model_manager.tables.table_files import read_table

            if unknown := [name for name in metrics if name not in HIGHER_IS_BETTER]:
                known = ", ".join(HIGHER_IS_BETTER)
                raise click.BadParameter(f"{unknown[0]!r} is none of {known}", param_hint="--metric")
            if rows_file is not None:
                refuse_place(rows_file, data)
            table = read_table(data)
        api_key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else None
        with working("asking A and B"):
            sides = open_side("A", a, api_key), open_side("B", b, api_key)
            asked = ask(*sides, table, target)
        with working("comparing"):
            limits = Limits(max_drop, metrics, min_rows, max_slowdown)
            comparison = judge(asked.pairs, limits, asked.latency)
        written = write_disagreements(rows_file, asked, table) if rows_file is not None else 0
        if as_json:
            told = json_text(report.document(comparison, asked, table, limits, disagreements))
        else:
            told = report.text(comparison, asked, table, disagreements)
    except ModelManagerError as error:
        fail(str(error))
    except (click.ClickException, SystemExit):
        raise
    except KeyboardInterrupt:
        fail(INTERRUPTED)
    except Exception:  # Python would exit with 1, which says: keep A
        traceback.print_exc()
        sys.exit(2)
    click.echo(told)
    if rows_file is not None:
        click.echo(f"{written:,} rows are in {rows_file}", err=True)
    sys.exit(report.EXIT_CODES[comparison.verdict])
