"""A package and a table → what the package is worth on it: figures with intervals, gates. The door of this room.

Place in the flow: opening → answers → metrics → intervals, once for all rows and once for every segment; curves and
gates; the report and the command print what comes out of here.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.errors import TableRefused
from model_manager.evaluation.answers import OUTLIER, Answers, Label, answers
from model_manager.evaluation.chances import MOST_RANKED
from model_manager.evaluation.curves import curves_of
from model_manager.evaluation.gates import Chosen, Gate, read_gate
from model_manager.evaluation.importances import importances_of
from model_manager.evaluation.intervals import RESAMPLES, Figure, figures_of
from model_manager.evaluation.label_metrics import codes_of
from model_manager.evaluation.loaded import LoadedModel
from model_manager.evaluation.metrics import HEADLINES, measure_of, positive_of, why_undefined
from model_manager.evaluation.opening import Package, open_package
from model_manager.evaluation.results import Evaluated, GateResult, SegmentResult
from model_manager.evaluation.segments import TOO_FEW, segments_of
from model_manager.signature import Array
from model_manager.tables.table_files import Table, read_table, table_of
from model_manager.tables.typed_rows import labels_in

_MOST_SHOWN: Final = 3


def evaluate(
    package: LoadedModel | Package | Path | str,
    data: Table | pd.DataFrame | Path | str,
    *,
    target: str | None = None,
    by: Sequence[str] | str = (),
    positive: Label | None = None,
    fail_if: Sequence[str] | str = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    skops_trusted: Sequence[str] = (),
    importances: bool = False,
) -> Evaluated:
    """Say what a version is worth on a table.

    `package` is what `load` gave, or the folder of a package; `data` a DataFrame, or a CSV or Parquet file. `target`
    is the column of the truth, where metadata does not tell; `by` are columns whose values are told apart. `positive`
    is the label, of two, that precision and recall speak of: the second without it. `fail_if` are conditions such as
    "accuracy < 0.9"; `skops_trusted` is as in load. `importances`: say which columns move its answers, too.

    Raises PackageRefused, LoadFailed, TableRefused, GateInvalid and PredictionFailed.
    """
    gates = [read_gate(text) for text in _listed(fail_if)]
    opened = _opened(package, skops_trusted)
    table = _table(data)
    answered = answers(opened, table, target=target)
    label = _positive(answered, table, positive)
    _check_gates(gates, answered, label)

    def measured(of: Answers) -> dict[str, Figure]:
        return figures_of(measure_of(of, label), len(of), resamples=resamples, seed=seed)

    figures = measured(answered)
    columns = list(dict.fromkeys([*_listed(by), *(column for gate in gates for column in gate.columns())]))
    segments = [one for column in columns for one in _segments(answered, table, column, measured)]
    two = answered.task == "classification"
    return Evaluated(
        model=opened.name,
        version=opened.version,
        sha256=opened.sha256,
        about=_about(opened),
        task=answered.task,
        target=answered.target,
        classes=answered.classes,
        positive=answered.classes[positive_of(answered, label)] if two else None,
        source=table.source,
        source_sha256=table.sha256,
        rows=table.rows,
        used=len(answered),
        headline=HEADLINES[answered.task] if answered.truth is not None else "flagged",
        baseline=_baseline(answered),
        figures=figures,
        undefined={name: why_undefined(name, answered, label) for name, one in figures.items() if one.value is None},
        segments=segments,
        curves={
            **curves_of(answered, label),
            **(importances_of(opened.predictor, answered, seed=seed) if importances and len(answered) else {}),
        },
        gates=[_decided(gate, figures, segments) for gate in gates],
        notes=[*table.notes, *_told_of_training(opened, table), *answered.notes, *_told(opened, answered)],
        resamples=resamples,
        seed=seed,
    )


def _opened(package: LoadedModel | Package | Path | str, skops_trusted: Sequence[str]) -> Package:
    if isinstance(package, LoadedModel):
        return package.package
    return package if isinstance(package, Package) else open_package(Path(package), skops_trusted=skops_trusted)


def _table(data: Table | pd.DataFrame | Path | str) -> Table:
    if isinstance(data, Table):
        return data
    return table_of(data) if isinstance(data, pd.DataFrame) else read_table(Path(data))


def _about(package: Package) -> dict[str, Any]:
    metadata = package.metadata
    said = metadata.model_dump(mode="json", include={"created", "framework", "python", "data"}, exclude_none=True)
    return {**said, "bytes": package.artifact_bytes}


def _listed(given: Sequence[str] | str) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _positive(answered: Answers, table: Table, positive: Label | None) -> Label | None:
    if positive is None:
        return None
    if answered.task != "classification":
        raise TableRefused(f"a label to ask after is chosen of two, and this is a task of {answered.task}")
    written = pd.DataFrame({"label": [positive]})
    found = labels_in(table_of(written), "label", answered.classes)[0]
    if found not in answered.classes:
        raise TableRefused(f"no label {positive!r}; the model knows {', '.join(map(repr, answered.classes))}")
    return found


def _check_gates(gates: Sequence[Gate], answered: Answers, label: Label | None) -> None:
    if gates:
        with np.errstate(all="ignore"):
            names = tuple(measure_of(answered, label)(np.ones((1, len(answered)))))
        for gate in gates:
            gate.check(names)


def _segments(
    answered: Answers, table: Table, column: str, measured: Callable[[Answers], dict[str, Figure]]
) -> list[SegmentResult]:
    return [
        SegmentResult(column, one.value, len(one.at), len(one.at) < TOO_FEW, measured(answered.at(one.at)))
        for one in segments_of(table, column, answered.kept)
    ]


def _decided(gate: Gate, figures: Mapping[str, Figure], segments: Sequence[SegmentResult]) -> GateResult:
    def lookup(segment: Chosen | None, metric: str) -> Figure:
        if segment is None:
            return figures[metric]
        of_column = {one.value: one for one in segments if one.column == segment[0]}
        if segment[1] not in of_column:
            raise KeyError(f"no segment {segment[0]}={segment[1]}; there are {', '.join(of_column)}")
        return of_column[segment[1]].figures[metric]

    return GateResult(gate.text, gate.fires(lookup), gate.shown(lookup))


def _baseline(answered: Answers) -> float | None:
    """The headline metric of a model that gives every row the answer which suits most."""
    if answered.truth is None or answered.task == "anomaly":
        return None
    if answered.task == "regression":
        return float(np.mean(np.abs(answered.truth - np.median(answered.truth))))
    codes, _ = codes_of(answered.truth, answered.classes)
    return float(np.bincount(codes).max() / len(codes))


def _told_of_training(package: Package, table: Table) -> list[str]:
    data = package.metadata.data
    if data is None or table.sha256 != data.sha256:
        return []
    return ["these are the very data that the package names as its training data: on others it will be worse"]


def _told(package: Package, answered: Answers) -> list[str]:
    """Say what a reader of the figures should know."""
    notes = [] if package.library_warning is None else [f"the artifact was {package.library_warning}"]
    if len(answered) < TOO_FEW:
        notes.append(f"only {len(answered)} rows: intervals of so few say little, and are too narrow")
    if answered.truth is None:
        return [*notes, "no column says what is an anomaly: only the share that is flagged can be told"]
    if answered.task == "anomaly":
        count = int(np.sum(answered.truth == OUTLIER))
        return [*notes, f"{count:,} of {len(answered):,} rows are anomalies"]
    if answered.task == "regression":
        odd = int(np.sum(~np.isfinite(answered.predicted.astype(np.float64))))
        return [*notes, f"the model answers what is no number to {odd:,} rows"] if odd else notes
    notes += _told_of_labels(*codes_of(answered.truth, answered.classes), known=len(answered.classes))
    if answered.task == "multiclass" and len(answered.classes) > MOST_RANKED:
        notes.append(f"of {len(answered.classes)} classes no ROC AUC is taken; it is of up to {MOST_RANKED}")
    proba = answered.outputs.get("predict_proba")
    if proba is not None and not np.all(np.isfinite(proba)):
        notes.append("the model answers probabilities that are no numbers: nothing is measured of them")
    return notes


def _told_of_labels(codes: Array, labels: Sequence[Label], *, known: int) -> list[str]:
    """Say which labels only the table has, and which only the model."""
    notes = []
    if len(labels) > known:
        count = int(np.sum(codes >= known))
        rows = "1 row has a label" if count == 1 else f"{count:,} rows have labels"
        told = (
            "always wrong, labels of their own in means over labels, and left out of what is measured of probabilities"
        )
        notes.append(f"{rows} that the model does not know ({_few(labels[known:])}): {told}")
    if absent := [label for at, label in enumerate(labels[:known]) if not np.any(codes == at)]:
        notes.append(f"no row is {_few(absent)}, which the model can answer")
    return notes


def _few(labels: Sequence[Label]) -> str:
    return ", ".join(map(repr, labels[:_MOST_SHOWN])) + (", …" if len(labels) > _MOST_SHOWN else "")
