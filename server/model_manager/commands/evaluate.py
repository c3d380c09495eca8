"""`model-manager evaluate`: what a version is worth on some data, as tables, JSON or a report; and is that enough?

In the flow: cli → **evaluate** → evaluation.evaluating → report. What takes long to import is imported when it runs.
"""

import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import INTERRUPTED, fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import ModelManagerError

if TYPE_CHECKING:
    from model_manager.evaluation.results import Evaluated

_EPILOG = """\b
Exit codes:
  0  evaluated, and no gate fired
  1  a gate fired
  2  wrong usage, or it cannot be evaluated
  3  no gate fired, and one depends on a figure that is not defined for these data

\b
Examples:
  model-manager evaluate build/models/churn/1 --data customers.csv
  model-manager evaluate build/models/churn/1 --data customers.csv --by region --report churn.html
  model-manager evaluate build/models/churn/1 --data customers.csv --json \\
    --fail-if "accuracy.low < 0.75 or segment[region=north].recall < 0.4"

A gate is a comparison of metrics and numbers, joined by and, or, not and brackets; METRIC.low and METRIC.high are the
ends of its 95% interval, segment[COLUMN=VALUE].METRIC is that of the rows with one value. A pickle is code: evaluate
only packages of people whom you would let run code here.
"""


@click.command(epilog=_EPILOG)
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A CSV or Parquet file with a header.",
)
@click.option("--target", metavar="COLUMN", help="The column of the truth.  [default: as metadata.json tells]")
@click.option(
    "--by", multiple=True, metavar="COLUMN", help="Tell rows apart by this column; may be given several times."
)
@click.option("--positive", metavar="LABEL", help="The label, of two, to ask after.  [default: the model's second]")
@click.option(
    "--fail-if", multiple=True, metavar="EXPR", help="Exit with 1 where this holds; may be given several times."
)
@click.option("--report", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write an HTML report.")
@click.option(
    "--resamples",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="How often rows are drawn again for the intervals; 0: no intervals.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What the draws begin with.")
@click.option(
    "--skops-trusted", metavar="TYPES", default="", help="Types that a skops artifact may hold, separated by commas."
)
@json_option
def evaluate(
    package: Path,
    data: Path,
    target: str | None,
    by: tuple[str, ...],
    positive: str | None,
    fail_if: tuple[str, ...],
    report: Path | None,
    resamples: int,
    seed: int,
    skops_trusted: str,
    as_json: bool,
) -> None:
    """Measure what PACKAGE, such as build/models/churn/1, is worth on data that it was not trained on."""
    try:
        with working(f"evaluating {package} on {data}"), redirect_stdout(sys.stderr):  # where models may print
            from model_manager.evaluation.evaluating import evaluate as measure
            from model_manager.evaluation.report import check_report, write_report

            if report is not None:
                check_report(report)
            evaluated = measure(
                package,
                data,
                target=target,
                by=by,
                positive=positive,
                fail_if=fail_if,
                resamples=resamples,
                seed=seed,
                skops_trusted=[one.strip() for one in skops_trusted.split(",") if one.strip()],
                importances=report is not None,
            )
            if report is not None:
                write_report(evaluated, report)
    except ModelManagerError as error:
        fail(str(error))
    except KeyboardInterrupt:  # which would end with 1, as a gate that fires does
        fail(INTERRUPTED)
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    if as_json:
        print_json({**evaluated.to_dict(), "report": None if report is None else str(report)})
    else:
        _print(evaluated, report)
    sys.exit(_code(evaluated))


def _code(evaluated: "Evaluated") -> int:
    if evaluated.failed:
        return 1
    return 3 if any(gate.fired is None for gate in evaluated.gates) else 0


def _print(evaluated: "Evaluated", report: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from model_manager.evaluation.meaning import summary

    console = Console(highlight=False)
    rows = f"{'' if evaluated.used == evaluated.rows else f'{evaluated.used:,} of '}{evaluated.rows:,} rows"
    target = f", target {evaluated.target}" if evaluated.target is not None else ""
    console.print(escape(f"{evaluated.model} {evaluated.version} on {evaluated.source} ({rows}{target})"), style="bold")
    console.print(escape(summary(evaluated)))
    _print_figures(evaluated)
    _print_confusion(evaluated)
    _print_segments(evaluated)
    _print_gates(evaluated)
    for note in evaluated.notes:
        console.print(escape(f"- {note}"))
    for name, why in evaluated.undefined.items():
        console.print(escape(f"- {name} is not defined: {why}"))
    if report is not None:
        console.print(escape(f"report: {report}"))


def _print_figures(evaluated: "Evaluated") -> None:
    from rich.markup import escape

    from model_manager.evaluation.meaning import better, interval, meaning, number

    numbers, arrows = ("value", "95% interval"), {"higher": "↑", "lower": "↓", "": ""}
    table = new_table(None, ("metric", *numbers, "", "meaning"), right=numbers)
    for name, figure in evaluated.figures.items():
        cells = (name, number(figure.value), interval(figure), arrows[better(name)], escape(meaning(name, evaluated)))
        table.add_row(*cells)
    table.caption, table.caption_justify = "↑ the higher the better, ↓ the lower the better", "left"
    print_table(table)


def _print_confusion(evaluated: "Evaluated") -> None:
    from rich.markup import escape

    confusion = evaluated.curves.get("confusion")
    if confusion is None or len(confusion["labels"]) > 8:
        return
    labels = [escape(str(label)) for label in confusion["labels"]]
    answered = [f"→ {label}" for label in labels]
    table = new_table("rows by truth and answer", ("truth", *answered), right=answered)
    for label, counts in zip(labels, confusion["counts"], strict=True):
        table.add_row(label, *(f"{count:,}" for count in counts))
    print_table(table)


def _print_segments(evaluated: "Evaluated") -> None:
    from rich.markup import escape

    from model_manager.evaluation.meaning import differs, interval, number

    for column in dict.fromkeys(segment.column for segment in evaluated.segments):
        headings = (escape(column), "rows", evaluated.headline, "95% interval", "beside all rows")
        table = new_table(f"by {escape(column)}", headings, right=headings[1:4])
        for segment in (one for one in evaluated.segments if one.column == column):
            figure = segment.figures[evaluated.headline]
            said = "too few rows to tell" if segment.too_few else differs(segment, evaluated)
            table.add_row(escape(segment.value), f"{segment.rows:,}", number(figure.value), interval(figure), said)
        print_table(table)


def _print_gates(evaluated: "Evaluated") -> None:
    from rich.markup import escape

    if not evaluated.gates:
        return
    table = new_table(None, ("fail if", "", "because"))
    for gate in evaluated.gates:
        said = {True: "[red]fails[/red]", False: "[green]passes[/green]", None: "[yellow]cannot tell[/yellow]"}
        table.add_row(escape(gate.expression), said[gate.fired], escape(gate.shown))
    print_table(table)
