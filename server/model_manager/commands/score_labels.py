"""`model-manager score-labels`: how right was each version, by labels that came after its predictions?

In the flow: cli → **score-labels** → evaluation/live_accuracy. What takes long to import is imported when it runs.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import TableRefused

if TYPE_CHECKING:
    from model_manager.evaluation.live_accuracy import Predictions, Scored

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_EPILOG = """\b
Exit codes:
  0  scored
  2  wrong usage, or a file cannot be read
  3  cannot tell: no mature prediction has a label

\b
Examples:
  model-manager score-labels labels.csv --model churn --records predictions.jsonl
  model-manager score-labels labels.csv --model churn --records a.jsonl --records b.jsonl --maturity 48 --classes no,yes

Records are what a server writes with --records FILE, of one pod or of many. LABELS is a CSV or Parquet file with the
columns request_id (the caller's x-request-id, or the id of a V2 request) and label; also row, from 0, where requests
had several rows, and at, the time at which the label became known (ISO 8601).
"""


@click.command("score-labels", epilog=_EPILOG)
@click.argument("labels", type=_FILE)
@click.option("--records", required=True, multiple=True, type=_FILE, metavar="FILE", help="Prediction records.")
@click.option("--model", required=True, help="The model's name.")
@click.option("--classes", default="", metavar="NAMES", help="The model's classes in its order: for AUC and log-loss.")
@click.option(
    "--maturity",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    metavar="HOURS",
    help="Only predictions this old, and labels that came within that time: all versions had as long for them to come.",
)
@json_option
def score_labels(
    labels: Path, records: tuple[Path, ...], model: str, classes: str, maturity: float, as_json: bool
) -> None:
    """Score each version of a model on stored predictions whose labels are known by now."""
    from model_manager.evaluation.live_accuracy import labels_of, read_predictions, score
    from model_manager.tables.table_files import read_table

    named = [name.strip() for name in classes.split(",")] if classes else []
    try:
        with working("reading records and labels"):
            predictions = read_predictions(records, model, named)
            known = labels_of(read_table(labels))
            scored = score(
                predictions.rows, known, classes=named, maturity=timedelta(hours=maturity), now=datetime.now(UTC)
            )
    except TableRefused as error:
        fail(str(error))
    joined = sum(key in predictions.rows for key in known)
    _tell(scored, predictions, len(known) - joined, as_json)
    if not any(one.labelled for one in scored):
        sys.exit(3)


def _tell(scored: "list[Scored]", predictions: "Predictions", unmatched: int, as_json: bool) -> None:
    if as_json:
        versions = [
            {
                "version": one.version,
                "predictions": one.predictions,
                "labelled": one.labelled,
                "coverage": round(one.coverage, 6),
                "median_lag_s": one.lag_s,
                "metrics": {name: round(value, 6) for name, value in one.metrics.items()},
            }
            for one in scored
        ]
        left_out = {"labels_without_prediction": unmatched, "repeated_request_ids": len(predictions.repeated)}
        print_json({"versions": versions, **left_out, "unusable_records": predictions.unusable})
        return
    names = list(dict.fromkeys(name for one in scored for name in one.metrics))
    columns = ["version", "predictions", "labelled", "coverage", "lag", *names]
    table = new_table(None, columns, right=columns[1:])
    for one in scored:
        lag = "" if one.lag_s is None else f"{one.lag_s / 3600:.1f} h"
        told = [f"{one.metrics[name]:.4f}" if name in one.metrics else "" for name in names]
        table.add_row(one.version, str(one.predictions), str(one.labelled), f"{one.coverage:.1%}", lag, *told)
    print_table(table)
    for count, what in (
        (unmatched, "labels have no prediction among the records"),
        (len(predictions.repeated), "request ids name several requests, and are left out"),
        (predictions.unusable, "records have no request id, or no answer that can be scored, or are torn"),
    ):
        if count:
            click.echo(f"{count} {what}", err=True)
