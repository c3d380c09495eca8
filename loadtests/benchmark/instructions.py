"""Instructions a request, in user space: what a request costs, in figures that no neighbour on the machine moves.

python -m loadtests.benchmark.instructions: runs counted.py under valgrind's callgrind and holds what it finds against
the committed figures, results/instructions.json. Those are of one Python, one numpy and so on, which the file names:
other versions have figures of their own, which --record writes.

In it is everything from the bytes that arrive to the bytes that leave, the event loop's turns included; the kernel,
sockets and what happens once in a thousand requests (putting what was noted down into histograms) are not.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import joblib
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from loadtests.benchmark.counted import SUBJECTS
from models.churn.train import train as train_churn
from tools.machine import cpu_model
from tools.processes import ROOT

COMMITTED: Final = ROOT / "loadtests" / "results" / "instructions.json"
TOLERANCE: Final = 0.03
_LIBRARIES: Final = ("numpy", "scipy", "msgspec", "uvicorn", "uvloop", "httptools", "starlette")
_LONGEST_S: Final = 1800
_MACHINES: Final = ("x86_64", "AMD64")
_TOTAL: Final = re.compile(r"^summary: (\d+)$", re.MULTILINE)


class CannotCount(Exception):
    """Nothing was counted. The text says why, and what to do."""


def versions() -> dict[str, str]:
    """What the figures depend on; native libraries choose their code by the processor."""
    return {"cpu": cpu_model(), "python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def count() -> dict[str, int]:
    """Instructions a request of every subject. Raises CannotCount."""
    if platform.machine() not in _MACHINES:
        raise CannotCount(f"counted.py cannot ask valgrind for anything on {platform.machine()}")
    if shutil.which("valgrind") is None:
        raise CannotCount("valgrind is not installed: apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="model-manager-count-") as folder:
        out = Path(folder) / "out"
        X, y = load_iris(return_X_y=True)
        iris = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
        for name, model in (("iris", iris), ("churn", train_churn("1").estimator)):
            joblib.dump(model, Path(folder) / f"{name}.joblib")
        _run(Path(folder), out)
        # a dump after each length, and one at the end that nobody needs
        return _of_requests([_total(Path(f"{out}.{number}")) for number in range(1, 2 * len(SUBJECTS) + 1)])


def difference(found: Mapping[str, int], committed: Mapping[str, int]) -> dict[str, float]:
    """How much more than committed each subject takes, as a share; less is below zero."""
    return {name: found[name] / committed[name] - 1 for name in found}


def committed() -> dict[str, Any]:
    """The committed figures, with the versions that they are of."""
    figures: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return figures


def _run(models: Path, out: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHONDEV"))}
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    command += [sys.executable, "-m", "loadtests.benchmark.counted", str(models)]
    environment = {**kept, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotCount(f"counting took longer than {_LONGEST_S} s") from None
    if run.returncode:
        raise CannotCount(f"what was to be counted failed: {run.stderr[-2000:]}")


def _total(dump: Path) -> int:
    found = _TOTAL.search(dump.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise CannotCount(f"valgrind wrote no total to {dump.name}")
    return int(found[1])


def _of_requests(totals: list[int]) -> dict[str, int]:
    """Take the shorter length from the longer one, which is twice it: what does not grow with requests goes."""
    pairs = zip(SUBJECTS, totals[::2], totals[1::2], strict=True)
    return {
        subject.name: round((longer - shorter) / (subject.rounds * subject.connections))
        for subject, shorter, longer in pairs
    }


def table_of(found: Mapping[str, int], known: Mapping[str, int]) -> Table:
    """The figures, beside the bare app's at as many connections, and beside the committed ones of these versions."""
    table = Table(title="instructions a request, in user space", title_justify="left")
    for heading in ("", "instructions", "÷ bare uvicorn", "committed"):
        table.add_column(heading, justify="left" if not heading else "right")
    bare = {subject.connections: found[subject.name] for subject in SUBJECTS if subject.server == "bare"}
    for subject in SUBJECTS:
        here = found[subject.name]
        before = f"{known[subject.name]:,}" if subject.name in known else ""
        table.add_row(subject.name, f"{here:,}", f"{here / bare[subject.connections]:.2f}", before)
    return table


@click.command(epilog="Example: python -m loadtests.benchmark.instructions --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--record", is_flag=True, help=f"Write the figures to {COMMITTED.relative_to(ROOT)}.")
def main(as_json: bool, record: bool) -> None:
    """Count the instructions of a request with valgrind, which takes a minute.

    Exit code 1: more than 3% from the committed figures, of the same versions. 2: nothing could be counted.
    """
    try:
        with Console(stderr=True).status("counting"):
            found = count()
    except CannotCount as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    known = committed() if COMMITTED.exists() else {}
    same = known.get("versions") == versions()
    if record:
        text = json.dumps({"versions": versions(), "instructions": found}, indent=1)
        COMMITTED.write_text(text + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"versions": versions(), "instructions": found}))
    else:
        Console().print(table_of(found, known["instructions"] if same else {}))
    moved = difference(found, known["instructions"]) if same and not record else {}
    sys.exit(any(abs(share) > TOLERANCE for share in moved.values()))


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.instructions")
