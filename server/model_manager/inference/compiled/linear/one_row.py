"""The label of a single row by Python's own sums: of few numbers, numpy's calls cost several times what they compute.

In the flow: a row's values → **one row** → its label; or, where that is not beyond doubt, front and head as for any
other rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any, Final, TypeAlias

import numpy as np
from sklearn.linear_model._base import LinearClassifierMixin

from model_manager.inference.compiled.finish import LabelTable
from model_manager.inference.compiled.form import Origin
from model_manager.signature import Array, Column, Layout, Rows, Signature

LabelOfOne: TypeAlias = Callable[[Rows], Array | None]
"""(1,) label of rows that are one; None where another way has to say it."""

_MOST_TERMS: Final = 64  # beyond it numpy is as fast
_DOUBT: Final = 1e-12
"""Of the sum of all terms' sizes. Rounding, here and in scikit-learn, moves no score by a hundredth of it."""
_LARGEST: Final = 1e100  # what is larger may be infinite on scikit-learn's way, which refuses that


def label_of_one_row(estimator: Any, origins: Sequence[Origin | None], signature: Signature) -> LabelOfOne | None:
    """How a linear classifier labels a single row; None where it has too many terms, or is given more than numbers.

    Only a score that leads by more than rounding could make of it decides, so the label is scikit-learn's. `origins`
    says of which column each of its features is.
    """
    sums = _sums(estimator, origins, signature.columns or ())
    if sums is None or max(sums.each, sums.rest) > _LARGEST:
        return None
    lines = list(zip(sums.weights.tolist(), sums.intercepts.tolist(), strict=True))
    decide = _sign if len(lines) == 1 else _first
    answers = _answers(LabelTable(estimator.classes_), len(estimator.classes_))
    doubt, doubt_each = _DOUBT * sums.rest, _DOUBT * sums.each
    values_of = _values_of_array if signature.layout is Layout.ARRAY else _values_of_frame

    def label(rows: Rows) -> Array | None:
        row = rows.held or values_of(rows)
        largest = max(max(row), -min(row))
        if largest > _LARGEST:
            return None
        scores = [sum(map(mul, weights, row), intercept) for weights, intercept in lines]
        at = decide(scores, doubt + doubt_each * largest)
        return None if at is None else answers[at]

    return label


@dataclass(frozen=True, slots=True)
class _Sums:
    """Scores by the columns themselves: `weights` (scores, columns) and `intercepts` (scores,).

    Their terms are no larger, added up, than `rest` and `each` times the largest value of a row.
    """

    weights: Array
    intercepts: Array
    each: float
    rest: float


def _sums(estimator: Any, origins: Sequence[Origin | None], columns: Sequence[Column]) -> _Sums | None:
    """Fold scaling into the weights of a linear classifier; None where that cannot be done, or is not worth it."""
    if not isinstance(estimator, LinearClassifierMixin) or not isinstance(estimator.classes_, np.ndarray):
        return None
    weights = np.atleast_2d(estimator.coef_)
    if len(weights) * len(columns) > _MOST_TERMS or not all(map(_always_a_number, columns)):
        return None
    known = [one for one in origins if one is not None and one.affine and 1 / _LARGEST < abs(one.scale) < _LARGEST]
    if len(known) < weights.shape[1]:
        return None
    # a feature is (value - shift) / scale, and several may be of one column
    slopes = weights / np.array([one.scale for one in known])
    shifted = slopes * np.array([one.shift for one in known])
    by_column = np.zeros((len(weights), len(columns)))
    for feature, one in enumerate(known):
        by_column[:, one.column] += slopes[:, feature]
    rest = np.abs(shifted).sum(axis=1) + np.abs(estimator.intercept_)
    intercepts = np.broadcast_to(estimator.intercept_ - shifted.sum(axis=1), len(weights))
    return _Sums(by_column, intercepts, float(np.abs(slopes).sum(axis=1).max()), float(rest.max()))


def _always_a_number(column: Column) -> bool:
    return column.datatype == "FP64" and not (column.nullable or column.boxed)


def _first(scores: list[float], doubt: float) -> int | None:
    """Which of several scores is the largest, if that leads by more than `doubt`; never where any is no number."""
    most = max(scores)
    at = scores.index(most)
    scores[at] = -np.inf
    return at if most - max(scores) > doubt else None


def _sign(scores: list[float], doubt: float) -> int | None:
    """1 for a score above 0, 0 for one below, if it is so by more than `doubt`."""
    (score,) = scores
    return int(score > 0) if abs(score) > doubt else None


def _answers(labels: LabelTable, count: int) -> list[Array]:
    """The answer for each class, made once: they are only read."""
    answers = [labels.take(np.array([number])) for number in range(count)]
    for answer in answers:
        answer.flags.writeable = False
    return answers


def _values_of_array(rows: Rows) -> Sequence[Any]:
    values: list[Any] = rows.blocks[0][0].tolist()
    return values


def _values_of_frame(rows: Rows) -> Sequence[Any]:
    return [block.item() for block in rows.blocks]
