"""What models take in the memory of several workers ÷ what their arrays are: 1.0 where they lie there once.

Estimators of nearest neighbours, of which nearly everything is arrays, each with numbers of its own; without faster
forms of them, which are each worker's own. Memory is Pss over all processes, less that of workers with one small model.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
import joblib
import numpy as np
from rich.console import Console
from sklearn.dummy import DummyRegressor
from sklearn.neighbors import KNeighborsRegressor

from tools.memory import proportional_mb
from tools.processes import ProcessFailed, stop_when_told
from tools.servers import model_manager

_COLUMNS: Final = 16
_QUICK: Final = ("--compile", "off", "--load-isolation", "none")


def shared(count: int, mb: int, workers: int, folder: Path) -> dict[str, float]:
    """Serve so many models of so many MB, and measure. Raises ProcessFailed."""
    rows = mb * 1_000_000 // (8 * _COLUMNS)
    numbers = np.random.default_rng(0)
    for number in range(count):
        estimator = KNeighborsRegressor(1, algorithm="brute").fit(numbers.random((rows, _COLUMNS)), np.zeros(rows))
        _put(estimator, folder / "many" / f"m{number}" / "1")
    _put(DummyRegressor().fit([[0.0]], [1.0]), folder / "none" / "small" / "1")
    without, of_all = _proportional(folder / "none", workers), _proportional(folder / "many", workers)
    arrays = count * rows * (_COLUMNS + 1) * 8 / 1e6
    return {
        "arrays_mb": round(arrays, 1),
        "without_mb": round(without, 1),
        "with_mb": round(of_all, 1),
        "ratio": round((of_all - without) / arrays, 3),
    }


def _put(estimator: object, version: Path) -> None:
    version.mkdir(parents=True)
    joblib.dump(estimator, version / "model.joblib")


def _proportional(models: Path, workers: int) -> float:
    flags = ["--workers", str(workers), *_QUICK]
    with model_manager(f"{workers} workers", models, flags=flags) as server:
        return proportional_mb(server.popen.pid)


@click.command(epilog="Example: python -m loadtests.benchmark.sharing --models 10 --mb 10 --json")
@click.option("--models", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@click.option("--mb", type=click.IntRange(1), default=10, show_default=True, help="MB of arrays of each.")
@click.option("--workers", type=click.IntRange(2), default=4, show_default=True, help="Processes that serve them.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(models: int, mb: int, workers: int, as_json: bool) -> None:
    """Measure what models take in several workers, in arrays of theirs; needs their size on disk and in memory.

    Exit code 2: it could not be measured.
    """
    console = Console(stderr=True)
    stop_when_told()
    try:
        with (
            console.status(f"{models} models of {mb} MB in {workers} workers"),
            tempfile.TemporaryDirectory(prefix="model-manager-sharing-") as folder,
        ):
            found = shared(models, mb, workers, Path(folder))
    except ProcessFailed as error:
        console.print(f"Error: {error}", markup=False, highlight=False)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(found))
    else:
        console.print(
            f"{found['arrays_mb']:,.0f} MB of arrays take {found['ratio']:.2f} times as much in {workers} workers:"
            f" {found['with_mb']:,.0f} MB, of which {found['without_mb']:,.0f} MB are theirs without models",
            highlight=False,
        )


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.sharing")
