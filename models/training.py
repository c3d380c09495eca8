"""What the sample trainers share: the command line, and the way into the repository."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
from model_manager.commands.packages import created_option, moment
from model_manager.errors import PackageRefused
from model_manager.packaging.package import describe_data, public_of, write_package
from model_manager.packaging.publishing import refuse_existing
from model_manager.packaging.sample import Sample
from model_manager.repository.metadata import Evaluation


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted estimator with all that its package tells of how it came to be.

    `sample` is the training X as fit saw it; `columns` names the columns of an array; `table` is the whole data set, in
    which `target` is what is predicted.
    """

    estimator: Any
    sample: Sample
    table: pd.DataFrame
    target: str
    uri: str
    evaluation: Evaluation
    columns: Sequence[str] | None = None


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
        data=describe_data(trained.table, uri=trained.uri, target=trained.target),
        evaluation=trained.evaluation,
        created=created,
    )


def training_command(name: str, train: Callable[[str], Trained]) -> click.Command:
    """Make the command line of one trainer: `python -m models.NAME.train --version N --out DIR`."""

    @click.command(help=f"Train the sample model {name!r} and write its package to DIR/{name}/VERSION.")
    @click.option("--version", required=True, help="The version to write; an existing one is never overwritten.")
    @click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
    @created_option
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
