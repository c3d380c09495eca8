"""What comes out of an evaluation: plain values, which the report, the command and scripts read.

Place in the flow: filled in by evaluating; below it only figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_manager.evaluation.answers import Label, Task
from model_manager.evaluation.intervals import CONFIDENCE, Figure


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


def _written(figure: Figure) -> dict[str, float | None]:
    return {"value": figure.value, "low": figure.low, "high": figure.high}
