"""Drift on real data sets: how soon a shift is flagged, and how seldom nothing is taken for one."""

import numpy as np
import pytest
from model_manager.drift import MIN_ROWS, Tally, report
from model_manager.signature import Array

from tests.unit.drift.staging import DATA_SETS, counted, counting_of, drawn


def drifted(tally: Tally) -> list[str]:
    found: list[str] = report(tally)["drifted"]
    return found


def shifted(matrix: Array, column: int) -> Array:
    """One feature a standard deviation higher: a sensor that is calibrated anew, prices after inflation."""
    moved = matrix.copy()
    moved[:, column] += matrix[:, column].std()
    return moved


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_shifted_feature_is_flagged_within_400_rows_and_no_other_is(name: str) -> None:
    matrix, rng = DATA_SETS[name], np.random.default_rng(0)
    for column in rng.permutation(matrix.shape[1])[:4]:
        if len(np.unique(matrix[:, column])) < 10:
            continue
        counting = counting_of(drawn(matrix, 2000, rng))
        tally = counted(counting, drawn(shifted(matrix, column), 2 * MIN_ROWS, rng), 0.0)
        assert drifted(tally) == [f"c{column}"]


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_shift_after_a_stable_hour_is_flagged_before_the_hour_is_over(name: str) -> None:
    matrix, rng = DATA_SETS[name], np.random.default_rng(1)
    counting = counting_of(drawn(matrix, 2000, rng))
    for pane in range(12):
        tally = counted(counting, drawn(matrix, 200, rng), pane * 300.0)
        assert drifted(tally) == []
    moved = shifted(matrix, 4)
    for pane in range(12, 23):
        counted(counting, drawn(moved, 200, rng), pane * 300.0)
    tally = counted(counting, drawn(moved, 200, rng), 23 * 300.0)
    assert drifted(tally) == ["c4"]
    assert tally.rows == 12 * 200


@pytest.mark.parametrize("rows", [150, 500, 5000])
def test_stable_windows_raise_no_alarm(rows: int) -> None:
    """Of a model with thirty features, whatever the size of its training data."""
    matrix, rng = DATA_SETS["breast_cancer"], np.random.default_rng(rows)
    alarms = 0
    for _ in range(5):
        counting = counting_of(drawn(matrix, rows, rng))
        for window in range(4):
            tally = counted(counting, drawn(matrix, MIN_ROWS, rng), window * 3600.0)
            assert tally.rows == MIN_ROWS
            alarms += len(drifted(tally))
    assert alarms == 0
