"""What two sides answered to the same rows, in codes and numbers that can be held against each other.

Place in the flow: made by comparison_sides, measured by comparison, shown by comparison_report. Knows no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_manager.evaluation.answers import INLIER, Label, Task
from model_manager.evaluation.paired_metrics import (
    BINS,
    Measure,
    bins_of,
    confidence,
    measures_of_labels,
    measures_of_numbers,
    measures_of_probabilities,
    measures_of_scores,
)
from model_manager.signature import Array


@dataclass(frozen=True, slots=True)
class Answered:
    """One side: its answers, one a row; probabilities (rows, classes) and scores (rows,) where it gives them.

    The columns of `probabilities` are those of the pairs' classes, zeros for a class that it does not have.
    """

    answers: Array
    probabilities: Array | None = None
    scores: Array | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Both sides, and the truth where it is known. `positions` are those of the rows in their table.

    `classes` are all that either side answers; `same_classes`: they have the same.
    """

    task: Task
    a: Answered
    b: Answered
    truth: Array | None
    positions: Array
    classes: tuple[Label, ...] = ()
    same_classes: bool = True
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def different(self) -> Array:
        """Where the two answer differently; numbers that differ by rounding do not."""
        if self.task == "regression":
            size = float(np.abs(self.a.answers).max())
            return ~np.isclose(self.b.answers, self.a.answers, rtol=1e-9, atol=1e-12 * size)
        return np.asarray(self.a.answers != self.b.answers, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Bin:
    """Of one side's probabilities between two bounds: how many there are, their mean, and the share that came true."""

    low: float
    high: float
    rows: int
    given: float
    came_true: float


def measures(pairs: Pairs) -> tuple[dict[str, Measure], dict[str, Measure]]:
    """Every metric that both sides have, of A and of B; there must be a truth."""
    assert pairs.truth is not None, "asked for where there is a truth"
    truth, (a, b) = pairs.truth, (pairs.a, pairs.b)
    if pairs.task == "regression":
        others = np.where(pairs.different, b.answers, a.answers)  # or rounding would be judged where A makes no error
        return measures_of_numbers(truth, a.answers), measures_of_numbers(truth, others)
    codes = _codes(truth, pairs.classes)
    found = [measures_of_labels(codes, _codes(side.answers, pairs.classes), len(pairs.classes)) for side in (a, b)]
    for side, those in zip((a, b), found, strict=True):
        if a.probabilities is not None and b.probabilities is not None:
            assert side.probabilities is not None, "both have them"
            those |= measures_of_probabilities(codes, side.probabilities)
        elif len(pairs.classes) == 2 and (scores := _scores(side)) is not None:
            positive = truth == INLIER if pairs.task == "anomaly" else codes == 1
            those |= measures_of_scores(positive, scores)
        if not pairs.same_classes:  # a probability of none would make it infinite
            those.pop("log_loss", None)
    return found[0], found[1]


def rights(pairs: Pairs) -> tuple[Array, Array]:
    """Where A is right, and where B is."""
    return pairs.a.answers == pairs.truth, pairs.b.answers == pairs.truth


def distances(pairs: Pairs) -> tuple[Array, Array]:
    """How far the numbers of A, and of B, are from the truth."""
    return np.abs(pairs.a.answers - pairs.truth), np.abs(pairs.b.answers - pairs.truth)


def disagreements(pairs: Pairs) -> Array:
    """The rows that are answered differently, as indices of the pairs, those first that speak most for A or B.

    Of labels: where A alone is right, where B alone is, then the others. Of numbers: where one is most nearer the truth
    than the other; without a truth, where they are farthest apart.
    """
    different = np.flatnonzero(pairs.different)
    if pairs.task == "regression":
        apart = np.abs(pairs.a.answers - pairs.b.answers)
        if pairs.truth is not None:
            a, b = distances(pairs)
            apart = np.abs(a - b)
        return different[np.argsort(-apart[different], kind="stable")]
    if pairs.truth is None:
        return different
    a, b = rights(pairs)
    rank = np.where(a, 0, np.where(b, 1, 2))
    return different[np.argsort(rank[different], kind="stable")]


def counts(pairs: Pairs) -> dict[str, int]:
    """In how many rows they agree, and who is right, or nearer, where they do not."""
    different = pairs.different
    told = {"agree": int((~different).sum()), "differ": int(different.sum())}
    if pairs.truth is None:
        return told
    if pairs.task == "regression":
        a, b = distances(pairs)
        return told | {"a_nearer": int((different & (a < b)).sum()), "b_nearer": int((different & (b < a)).sum())}
    a, b = rights(pairs)
    return told | {
        "both_right": int((a & b).sum()),
        "only_a_right": int((a & ~b).sum()),
        "only_b_right": int((b & ~a).sum()),
        "both_wrong": int((~a & ~b).sum()),
    }


def calibration(pairs: Pairs, side: Answered) -> list[Bin]:
    """What came true of a side's probabilities, by bin; empty without a truth or probabilities."""
    if pairs.truth is None or side.probabilities is None:
        return []
    given, came_true = confidence(_codes(pairs.truth, pairs.classes), side.probabilities)
    bins = bins_of(given)
    return [
        Bin(at / BINS, (at + 1) / BINS, int(inside.sum()), float(given[inside].mean()), float(came_true[inside].mean()))
        for at in range(BINS)
        if (inside := bins == at).any()
    ]


def _scores(side: Answered) -> Array | None:
    return side.scores if side.probabilities is None else side.probabilities[:, 1]


def _codes(labels: Sequence[Any] | Array, classes: Sequence[Label]) -> Array:
    """The position of each label among the classes; -1 for one that is none of them."""
    known = {label: code for code, label in enumerate(classes)}
    return np.array([known.get(label, -1) for label in labels.tolist()], dtype=np.int64)  # type: ignore[union-attr]
