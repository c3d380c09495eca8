"""What the sample trainers share: the hold-out, the command line, and the way into the repository."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pandas as pd
from model_manager.errors import PackageRefused
from model_manager.inference.threads import limit_native_threads
from model_manager.packaging.package import describe_data, public_of, write_package
from model_manager.packaging.publishing import refuse_existing
from model_manager.packaging.sample import Sample
from model_manager.repository.metadata import Evaluation
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

SEED: Final = 7
HOLD_OUT: Final = 0.25


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted estimator with all that its package tells of how it came to be.

    `sample` is the training X as fit saw it; `columns` names the columns of an array; `table` is the whole data set.
    """

    estimator: Any
    sample: Sample
    table: pd.DataFrame
    uri: str
    evaluation: Evaluation
    columns: Sequence[str] | None = None


def train_and_score(estimator: Any, X: Any, y: Any, *, classification: bool) -> tuple[Any, Evaluation]:
    """Fit on three quarters of the rows and score the rest; return the training X and the scores."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=HOLD_OUT, random_state=SEED, stratify=y if classification else None
    )
    limit_native_threads()  # sums taken by another number of threads differ in their last bits: builds must not
    estimator.fit(X_train, y_train)
    metrics = score(estimator, X_test, y_test, classification=classification)
    kind = "stratified" if classification else "random"
    return X_train, Evaluation(dataset=f"hold-out, {kind}, seed {SEED}", rows=len(X_test), metrics=metrics)


def score(estimator: Any, X: Any, y: Any, *, classification: bool) -> dict[str, float]:
    """Measure accuracy (and for two classes the area under the ROC curve), or R² and the mean absolute error."""
    predicted = estimator.predict(X)
    if not classification:
        return {"r2": round(r2_score(y, predicted), 6), "mae": round(mean_absolute_error(y, predicted), 6)}
    metrics = {"accuracy": round(accuracy_score(y, predicted), 6)}
    if len(estimator.classes_) == 2:
        chances = estimator.predict_proba(X)[:, 1]
        metrics["roc_auc"] = round(roc_auc_score(y == estimator.classes_[1], chances), 6)
    return metrics


def publish(
    trained: Trained, *, name: str, version: str, repository: Path, created: datetime.datetime | None = None
) -> Path:
    """Write the package of a trained model; raises PackageRefused."""
    return write_package(
        trained.estimator,
        name=name,
        version=version,
        repository=repository,
        sample=trained.sample,
        columns=trained.columns,
        data=describe_data(trained.table, uri=trained.uri),
        evaluation=trained.evaluation,
        created=created,
    )


def moment(epoch: int | None) -> datetime.datetime | None:
    """Read SOURCE_DATE_EPOCH, by which reproducible builds fix the time they write into files."""
    return None if epoch is None else datetime.datetime.fromtimestamp(epoch, datetime.UTC)


def created_option() -> Callable[[Any], Any]:
    """Add `--created`, seconds since 1970, also read from SOURCE_DATE_EPOCH."""
    return click.option(
        "--created",
        type=int,
        envvar="SOURCE_DATE_EPOCH",
        show_envvar=True,
        help="Time of creation to record, in seconds since 1970; default: now.",
    )


def training_command(name: str, train: Callable[[str], Trained]) -> click.Command:
    """Make the command line of one trainer: `python -m models.NAME.train --version N --out DIR`."""

    @click.command(help=f"Train the sample model {name!r} and write its package to DIR/{name}/VERSION.")
    @click.option("--version", required=True, help="The version to write; an existing one is never overwritten.")
    @click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
    @created_option()
    def command(version: str, out: Path, created: int | None) -> None:
        try:
            refuse_existing(out, name, version)
            folder = publish(train(version), name=name, version=version, repository=out, created=moment(created))
        except PackageRefused as error:
            raise click.ClickException(str(error)) from None
        click.echo(folder)
        for line in public_of(folder):
            click.echo(line, err=True)

    return command
