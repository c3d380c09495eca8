"""A package and a table → what the package is worth on it: figures with intervals, gates. The door of this room.

Place in the flow: opening → answers → metrics → intervals, once for all rows and once for every segment; curves and
gates; the report and the command print what comes out of here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.errors import TableRefused
from model_manager.evaluation.answers import OUTLIER, Answers, Label, Task, answers
from model_manager.evaluation.chances import MOST_RANKED
from model_manager.evaluation.curves import curves_of
from model_manager.evaluation.gates import Chosen, Gate, read_gate
from model_manager.evaluation.intervals import CONFIDENCE, RESAMPLES, Figure, figures_of
from model_manager.evaluation.label_metrics import codes_of
from model_manager.evaluation.loaded import LoadedModel
from model_manager.evaluation.metrics import HEADLINES, measure_of, positive_of, why_undefined
from model_manager.evaluation.opening import Package, open_package
from model_manager.evaluation.segments import TOO_FEW, segments_of
from model_manager.signature import Array
from model_manager.tables.table_files import Table, read_table, table_of
from model_manager.tables.typed_rows import labels_in

_MOST_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The figures of the rows with one value of a column. `too_few`: their number says little."""

    column: str
    value: str
    rows: int
    too_few: bool
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate. `fired` is None where it depends on a figure that is not defined; `shown` says what its figures are."""

    expression: str
    fired: bool | None
    shown: str


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a version is worth on some data; `figures` hold the metrics with their intervals of 95%.

    `sha256` is that of the artifact, `about` what the package says of how it came to be.
    `baseline` is what the headline metric would be if every row got the same answer. `undefined` says why a metric has
    no value. `curves` hold what plots are drawn of.
    """

    model: str
    version: str
    sha256: str
    about: Mapping[str, Any]
    task: Task
    target: str | None
    classes: tuple[Label, ...]
    positive: Label | None
    source: str
    source_sha256: str | None
    rows: int
    used: int
    headline: str
    baseline: float | None
    figures: Mapping[str, Figure]
    undefined: Mapping[str, str]
    segments: Sequence[SegmentResult]
    curves: Mapping[str, Any]
    gates: Sequence[GateResult]
    notes: Sequence[str]
    resamples: int
    seed: int

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric by its name; NaN where it is not defined."""
        return {name: math.nan if one.value is None else one.value for name, one in self.figures.items()}

    @property
    def failed(self) -> bool:
        """Whether a gate fired."""
        return any(gate.fired for gate in self.gates)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as JSON has it: what is not defined is None."""
        return {
            "model": self.model,
            "version": self.version,
            "sha256": self.sha256,
            "about": dict(self.about),
            "task": self.task,
            "target": self.target,
            "classes": list(self.classes),
            "positive": self.positive,
            "data": {"source": self.source, "sha256": self.source_sha256, "rows": self.rows, "used": self.used},
            "headline": self.headline,
            "baseline": self.baseline,
            "metrics": {name: _written(one) for name, one in self.figures.items()},
            "undefined": dict(self.undefined),
            "segments": [
                {
                    "column": one.column,
                    "value": one.value,
                    "rows": one.rows,
                    "too_few": one.too_few,
                    "metrics": {name: _written(figure) for name, figure in one.figures.items()},
                }
                for one in self.segments
            ],
            **self.curves,
            "gates": [{"expression": one.expression, "fired": one.fired, "shown": one.shown} for one in self.gates],
            "notes": list(self.notes),
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
        }


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
) -> Evaluated:
    """Say what a version is worth on a table.

    `package` is what `load` gave, or the folder of a package; `data` a DataFrame, or a CSV or Parquet file. `target`
    is the column of the truth, where metadata does not tell; `by` are columns whose values are told apart. `positive`
    is the label, of two, that precision and recall speak of: the second without it. `fail_if` are conditions such as
    "accuracy < 0.9". Raises PackageRefused, LoadFailed, TableRefused, GateInvalid and PredictionFailed.
    """
    gates = [read_gate(text) for text in _listed(fail_if)]
    opened = _opened(package)
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
        curves=curves_of(answered, label),
        gates=[_decided(gate, figures, segments) for gate in gates],
        notes=[*table.notes, *answered.notes, *_told(opened, answered)],
        resamples=resamples,
        seed=seed,
    )


def _opened(package: LoadedModel | Package | Path | str) -> Package:
    if isinstance(package, LoadedModel):
        return package.package
    return package if isinstance(package, Package) else open_package(Path(package))


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


def _written(figure: Figure) -> dict[str, float | None]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}


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
