"""What drift costs, and how seldom it is mistaken: python -m loadtests.benchmark.drift.

The cost is measured as that of telemetry is: half a second with it and half a second without, in one process. False
alarms are those of windows that are drawn from the same real data as the training data.
"""

import json
import tempfile
from pathlib import Path
from statistics import median
from time import thread_time

import click
import numpy as np
from model_manager.drift import MIN_ROWS, Counting, baseline_of, report
from model_manager.signature import Array, Column, Layout, Rows, Signature
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from loadtests.benchmark import alternating
from loadtests.benchmark.telemetry import ratios_of
from loadtests.benchmark.wrk import require_wrk, run_wrk
from models.samples import build_sample
from tools.cores import choose_cores
from tools.servers import model_manager

_DATA_SETS = {
    "breast_cancer": load_breast_cancer().data,
    "diabetes": load_diabetes(scaled=False).data,
    "iris": load_iris().data,
    "wine": load_wine().data,
}
_TRAINING_ROWS = (150, 500, 5000)
_HOUR_S = 3600.0


def false_alarms(matrix: Array, training_rows: int, windows: int, rng: np.random.Generator) -> int:
    """Windows, of so many stable ones of the fewest rows, in which any column is said to have drifted."""
    columns = tuple(Column(f"c{number}", "FP64") for number in range(matrix.shape[1]))
    signature = Signature(Layout.ARRAY, columns, True, ())
    alarms = 0
    for window in range(windows):
        training = matrix[rng.integers(0, len(matrix), training_rows)]
        counting = Counting(
            signature, baseline_of(signature, Rows((training,)), {}), rows_per_s=MIN_ROWS, version=("m", "1")
        )
        counting.take([(Rows((matrix[rng.integers(0, len(matrix), MIN_ROWS)],)), {})])
        counting.fold(window * _HOUR_S)
        alarms += bool(report(counting.tally(window * _HOUR_S))["drifted"])
    return alarms


def counting_ms(matrix: Array) -> float:
    """What the counting thread takes for a hundred single rows, the most of a second by default; the least of ten."""
    columns = tuple(Column(f"c{number}", "FP64") for number in range(matrix.shape[1]))
    signature = Signature(Layout.ARRAY, columns, True, ())
    counting = Counting(signature, baseline_of(signature, Rows((matrix,)), {}), rows_per_s=100, version=("m", "1"))
    took = []
    for _ in range(10):
        counting.take((Rows((matrix[at : at + 1],)), {}) for at in range(100))
        began = thread_time()
        counting.fold(0.0)
        took.append(thread_time() - began)
    return min(took) * 1e3


def ratios(seconds: int) -> list[float]:
    """W1's rate with drift ÷ without, of pairs of half seconds. Raises GeneratorFailed and ProcessFailed."""
    require_wrk()
    cores = choose_cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_sample("iris", "1", folder / "models", created=None)
        body, log = folder / "body.json", folder / "log.jsonl"
        body.write_text(json.dumps({"instances": [[6.0, 2.8, 4.8, 1.6]]}), encoding="utf-8")
        environment = {alternating.LOG: str(log), alternating.WHAT: "drift"}
        program = [alternating.__name__]
        with model_manager(
            "alternating", folder / "models", core=cores.server, environment=environment, program=program
        ) as running:
            headers = {"content-type": "application/json"}
            url = f"{running.api}/v1/models/iris:predict"
            run_wrk(url, [body], headers, connections=64, seconds=seconds, core=cores.generator)
        return ratios_of(log.read_text(encoding="utf-8").splitlines())


@click.command()
@click.option("--windows", default=1000, show_default=True, help="Stable windows of each data set and training size.")
@click.option("--seconds", default=60, show_default=True, help="How long W1 is asked; 0: not at all.")
def main(windows: int, seconds: int) -> None:
    """Measure false alarms, and what drift costs: its thread, and W1."""
    rng = np.random.default_rng(0)
    for name, matrix in _DATA_SETS.items():
        print(f"{name}: {counting_ms(matrix):.2f} ms to count a hundred single rows of {matrix.shape[1]} columns")
        for rows in _TRAINING_ROWS:
            alarms = false_alarms(matrix, rows, windows, rng)
            print(f"{name}: {alarms} of {windows} stable windows of {MIN_ROWS} rows, {rows} rows of training data")
    if seconds:
        found = ratios(seconds)
        print(f"W1 with drift: {median(found):.3f} of without (median of {len(found)} pairs of half seconds)")


if __name__ == "__main__":
    main()
