"""What tests of drift share: real data sets as signatures and rows, and a counting of them at a clock of the test's."""

from collections.abc import Mapping

import numpy as np
from model_manager.drift import Counting, Tally, baseline_of
from model_manager.signature import Array, Column, Layout, Rows, Signature
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

DATA_SETS: dict[str, Array] = {
    "breast_cancer": load_breast_cancer().data,
    "diabetes": load_diabetes(scaled=False).data,
    "wine": load_wine().data,
}
WINDOW_S = 3600.0


def signature_of(matrix: Array) -> Signature:
    """One array of float columns, called c0, c1, …"""
    columns = tuple(Column(f"c{number}", "FP64") for number in range(matrix.shape[1]))
    return Signature(Layout.ARRAY, columns, True, ())


def drawn(matrix: Array, rows: int, rng: np.random.Generator) -> Array:
    """Rows of a data set, with replacement: what the same process would give again."""
    chosen: Array = matrix[rng.integers(0, len(matrix), rows)]
    return chosen


def counting_of(training: Array) -> Counting:
    """What counts rows against this training data."""
    signature = signature_of(training)
    baseline = baseline_of(signature, Rows((training,)), {})
    return Counting(signature, baseline, rows_per_s=200, version=("m", "1"))


def counted(counting: Counting, matrix: Array, now: float, answers: Mapping[str, Array] | None = None) -> Tally:
    """Hand rows over, 200 at a time, and count them at a time of a monotonic clock."""
    for start in range(0, len(matrix), 200):
        part = slice(start, start + 200)
        given = {name: values[part] for name, values in (answers or {}).items()}
        counting.take([(Rows((matrix[part],)), given)])
        counting.fold(now)
    return counting.tally(now)
