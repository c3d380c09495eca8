"""A repository of real packages, and the commands that look at it, run in this process."""

import datetime
import os
from pathlib import Path

from click.testing import CliRunner, Result
from model_manager import write_package
from model_manager.cli import cli
from model_manager.repository.metadata import DataInfo, Evaluation
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

CREATED = datetime.datetime(2026, 11, 2, 15, tzinfo=datetime.UTC)


def run(*arguments: object, width: int = 160) -> Result:
    """Run a command of model-manager; what it prints is as wide as a terminal of that many columns."""
    return CliRunner(env={"COLUMNS": str(width)}).invoke(cli, [*map(str, arguments)])


def pack_iris(repository: Path, version: str, *, strength: float = 1.0, accuracy: float = 0.9) -> Path:
    """Write a version of a classifier of irises, with all that a package says of itself."""
    X, y = load_iris(as_frame=True, return_X_y=True)
    return write_package(
        LogisticRegression(C=strength, max_iter=1000).fit(X, y),
        name="iris",
        version=version,
        repository=repository,
        sample=X,
        data=DataInfo(
            uri="https://data.example.com/iris.csv", sha256="9c" * 32, rows=150, columns=5, git_commit="a1b2"
        ),
        evaluation=Evaluation(dataset="hold-out of May", rows=38, metrics={"accuracy": accuracy, "log loss": 0.25}),
        created=CREATED,
    )


def rows_of(text: str) -> list[list[str]]:
    """The cells of the tables in what a command printed."""
    lines = [line for line in text.splitlines() if line.startswith(("│", "┃"))]
    return [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]


def spoil(package: Path) -> None:
    """Change one byte of an artifact, so that its size stays."""
    artifact = package / "model.joblib"
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 1
    beside = package / ".spoilt"
    beside.write_bytes(content)
    os.replace(beside, artifact)
