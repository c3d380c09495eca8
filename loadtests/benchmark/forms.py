"""How much faster the compiled form of every kind of estimator is than scikit-learn itself, in this process."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import click
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.predictor import Predictor, SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.signature import Rows
from rich.console import Console
from rich.table import Table

from loadtests.benchmark.forms_subjects import Subject, subjects
from tools.forms_table import PAGE, RESULT, SIZES, page_with, speedup_text, table
from tools.machine import describe_commit, describe_machine, describe_versions, now
from tools.processes import ROOT, stop_when_told

_SHARE_S = 0.15
_ROUNDS = 3
_PATIENCE_S = 120.0
"""Proving may take longer here than a server gives it: the machine may be busy, and speed is what is asked."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Microseconds of the processor for scikit-learn's default output, by rows, and how many times faster it is served.

    `form` is what answers single rows; where it is slower than scikit-learn, that answers, at 1.0.
    """

    estimator: str
    form: str
    sklearn_us: dict[str, float]
    speedup: dict[str, float]
    largest_relative_difference: float
    seconds_to_prove: float


def measure(subject: Subject) -> Speed:
    """Compile, then time what would be served and scikit-learn itself in turns."""
    signature = infer_signature(subject.estimator)
    sklearn = SklearnPredictor(subject.estimator, signature)
    rows = rows_of(subject.rows, signature)
    compilation = compile_predictor(subject.estimator, sklearn, None, budget_s=_PATIENCE_S)
    own, faster = {}, {}
    for size in SIZES:
        batch = Rows(tuple(block[:size] for block in rows.blocks))
        alone, served = _least(sklearn, compilation.predictor, batch)
        own[str(size)] = round(alone * 1e6, 1)
        faster[str(size)] = round(alone / served, 2)
    report = compilation.report
    return Speed(
        subject.name,
        compilation.predictor.form if report.compiled else f"none: {report.reason}",
        own,
        faster,
        report.largest_relative_difference,
        round(report.seconds, 2),
    )


def _least(first: Predictor, second: Predictor, rows: Rows) -> tuple[float, float]:
    """The least seconds that each took for its default output, asked in turns so that a slow machine slows both.

    Seconds of the processor, of one thread as served: what others do on the machine counts little.
    """
    outputs = (first.signature.default_output,)
    least = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for at, predictor in enumerate((first, second)):
            ends = perf_counter() + _SHARE_S
            while perf_counter() < ends:
                started = process_time()
                predictor.predict(rows, outputs)
                least[at] = min(least[at], process_time() - started)
    return least[0], least[1]


def _measured(matching: str, console: Console) -> Iterator[Speed]:
    for subject in subjects(matching):
        with console.status(subject.name):
            yield measure(subject)


def _print(console: Console, found: list[Speed]) -> None:
    shown = Table("estimator", "form", title="times faster than scikit-learn")
    for size in SIZES:
        shown.add_column(f"{size} rows", justify="right")
    for one in found:
        shown.add_row(one.estimator, one.form, *(speedup_text(one.speedup[str(size)]) for size in SIZES))
    console.print(shown)


@click.command(epilog="Example: python -m loadtests.benchmark.forms --only SVC --json -")
@click.option("--only", "matching", default="", metavar="TEXT", help="Only estimators whose name holds this.")
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
@click.option("--record", is_flag=True, help="Write the figures and the table that the documentation shows.")
def main(matching: str, json_path: str | None, record: bool) -> None:
    """Measure how much faster forms are than scikit-learn itself, on this machine; takes five minutes.

    Writes build/forms.json, or with --record loadtests/results/forms.json and the table in docs/performance.md.
    """
    if record and matching:
        raise click.UsageError("--record is for all of them: leave out --only")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    stop_when_told()
    circumstances = {"started": now(), **describe_commit(), "machine": describe_machine()}
    found = list(_measured(matching, console))
    if not found:
        raise click.BadParameter(f"no estimator's name holds {matching!r}", param_hint="--only")
    document = {**circumstances, "versions": describe_versions(), "estimators": [asdict(one) for one in found]}
    _print(console, found)
    _write(document, json_path, console, record=record)


def _write(document: dict[str, Any], json_path: str | None, console: Console, *, record: bool) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if json_path == "-":
        sys.stdout.write(text)
        return
    path = Path(json_path) if json_path else RESULT if record else ROOT / "build" / "forms.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    console.print(f"figures: {path}", highlight=False)
    if path == RESULT:
        PAGE.write_text(page_with(table(document), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        console.print(f"table: {PAGE}", highlight=False)


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.forms")
