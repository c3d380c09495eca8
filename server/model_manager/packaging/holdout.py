"""What a model is worth on its author's hold-out, as its package says it: scores, gates, and what moves its answers.

In the flow: packing → **hold-out** → evaluation, and back into the package's metadata.
"""

import os
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Final

import pandas as pd

from model_manager.evaluation.answers import Answers, answers
from model_manager.evaluation.evaluating import evaluate
from model_manager.evaluation.importances import importances_of
from model_manager.evaluation.opening import Package
from model_manager.evaluation.scores import scores
from model_manager.packaging.training_data import chosen_columns
from model_manager.repository.metadata import Evaluation, GateOutcome, Importances
from model_manager.tables.table_files import Table, read_table, table_of

_EXPLAINED_ROWS: Final = 50
_ROWS_ASKED: Final = 4  # of models that are explained by asking them some hundred rows for each
_DIGITS: Final = 6
_MOST_COLUMNS: Final = 20


def worth_on(
    holdout: str | os.PathLike[str] | pd.DataFrame,
    package: Package,
    *,
    target: str | None,
    columns: Sequence[str],
    fail_if: Sequence[str],
) -> tuple[Evaluation, tuple[str, ...]]:
    """Score a model on a file or a DataFrame, and say what there is to note of it.

    `columns` are those it was fitted with, where the hold-out has more; `fail_if` are gates, as `evaluate` has them.
    Raises TableRefused, GateInvalid and PredictionFailed.
    """
    if isinstance(holdout, str | os.PathLike):
        table, dataset = read_table(Path(holdout)), Path(holdout).name
    else:
        table, dataset = table_of(holdout, source="holdout"), "hold-out"
    if columns and target is not None:
        table = chosen_columns(table, [*columns, target])
    answered = answers(package, table, target=target)
    data = package.metadata.data
    notes = answered.notes
    if data is not None and data.sha256 == table.sha256:
        notes = (*notes, "the hold-out is the training data itself: its scores say nothing of other rows")
    told = Evaluation(
        dataset=dataset,
        rows=len(answered),
        metrics=scores(answered),
        sha256=table.sha256,
        gates=_gates(package, table, target, fail_if),
        importances=_importances(package, answered),
    )
    return told, notes


def _gates(package: Package, table: Table, target: str | None, fail_if: Sequence[str]) -> list[GateOutcome] | None:
    """Which gates the model passes on the hold-out; one that cannot be told is not passed."""
    if not fail_if:
        return None
    decided = evaluate(package, table, target=target, fail_if=fail_if).gates
    return [GateOutcome(expression=f"fail if {gate.expression}", passed=gate.fired is False) for gate in decided]


def _importances(package: Package, answered: Answers) -> Importances | None:
    """Which columns move the model's answers to the hold-out; None for a model that is not explained."""
    if not len(answered):
        return None
    found = importances_of(package.predictor, answered, seed=0, exact_rows=_EXPLAINED_ROWS, rows_asked=_ROWS_ASKED)[
        "importances"
    ]
    columns = [{**one, "mean": _rounded(one["mean"])} for one in found.get("columns", ())]
    if not columns or not all(isfinite(one["mean"]) for one in columns):
        return None
    dependence = [
        {**one, "answers": [list(map(_rounded, of)) for of in one["answers"]]}
        for one in found["dependence"]
        if all(isfinite(value) for of in one["answers"] for value in of)
    ]
    return Importances(**{**found, "columns": columns[:_MOST_COLUMNS], "dependence": dependence})


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
