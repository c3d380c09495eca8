"""A CSV file → a package: python -m models.from_csv data.csv --target churned --out repository"""

import difflib
import json
from pathlib import Path
from typing import Any, Final, Literal

import click
import pandas as pd
from model_manager.errors import PackageRefused
from model_manager.packaging.publishing import refuse_existing
from rich.console import Console
from rich.table import Table
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.training import SEED, Trained, created_option, moment, publish, train_and_score

Task = Literal["classification", "regression"]
MIN_ROWS: Final = 20
MAX_CLASSES: Final = 20
"""A numeric target with more distinct values than this is a quantity, not a label."""
MAX_CATEGORIES: Final = 50
"""Values of one string column that are told apart; the rarest beyond that share one."""


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header; raises click.ClickException with one line when it cannot be read."""
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise click.ClickException(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        text = " ".join(str(error).split())
        raise click.ClickException(f"{path}: not a CSV file that can be read: {text}") from None
    if len(table) < MIN_ROWS:
        raise click.ClickException(f"{path}: {len(table)} rows; at least {MIN_ROWS} are needed to train and to score")
    return table


def split_target(table: pd.DataFrame, target: str) -> "tuple[pd.DataFrame, pd.Series[Any]]":
    """Part the features from the target; raises click.ClickException when the target is not there or has gaps."""
    if target not in table.columns:
        close = difflib.get_close_matches(target, map(str, table.columns), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(str, table.columns))}"
        raise click.ClickException(f"no column {target!r}; {hint}")
    y = table[target]
    if missing := int(y.isna().sum()):
        first = int(y.isna().to_numpy().argmax()) + 2  # the header is line 1
        raise click.ClickException(f"target {target!r} is missing in {missing} rows, the first on line {first}")
    X = table.drop(columns=[target])
    # An empty column teaches nothing, and has no type.
    X = X.loc[:, X.notna().any()]
    if not X.shape[1]:
        raise click.ClickException(f"there is no column to learn from beside {target!r}")
    return X, y


def decide_task(y: "pd.Series[Any]") -> Task:
    """Take strings, booleans and few whole numbers for labels, all else for a quantity."""
    if not pd.api.types.is_numeric_dtype(y.dtype) or pd.api.types.is_bool_dtype(y.dtype):
        return "classification"
    whole = bool((y == y.round()).all())
    return "classification" if whole and y.nunique() <= MAX_CLASSES else "regression"


def check_target(y: "pd.Series[Any]", task: Task) -> None:
    """Raise click.ClickException for a target that the task cannot learn."""
    if task == "regression":
        if not pd.api.types.is_numeric_dtype(y.dtype):
            raise click.ClickException(f"target {y.name!r} holds text; a regression needs numbers")
        return
    counts = y.value_counts()
    if len(counts) < 2:
        raise click.ClickException(f"target {y.name!r} has one value only, {counts.index[0]!r}; nothing to tell apart")
    if counts.iloc[-1] < 2:
        rarest = counts.index[-1]
        raise click.ClickException(f"target {y.name!r}: {rarest!r} occurs once; each label must occur at least twice")


def as_floats(X: pd.DataFrame) -> pd.DataFrame:
    """Turn numbers and booleans into floats, so that a server takes 3.5 and a missing value there as well."""
    numeric = [
        name
        for name in X.columns
        if pd.api.types.is_numeric_dtype(X[name].dtype) or pd.api.types.infer_dtype(X[name], skipna=True) == "boolean"
    ]
    return X.astype(dict.fromkeys(numeric, "float64"))


def pipeline(X: pd.DataFrame, task: Task) -> Pipeline:
    """Encode strings, fill and scale numbers, then a logistic regression or gradient boosting."""
    numeric = [name for name in X.columns if pd.api.types.is_numeric_dtype(X[name].dtype)]
    strings = [name for name in X.columns if name not in numeric]
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False)
    fill = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("strings", encode, strings), ("numbers", fill, numeric)])
    if task == "classification":
        return make_pipeline(columns, LogisticRegression(max_iter=2000))
    return make_pipeline(columns, HistGradientBoostingRegressor(random_state=SEED))


def train(path: Path, target: str, wanted: Literal["auto", "classification", "regression"]) -> tuple[Task, Trained]:
    """Read, decide, fit and score; raises click.ClickException with one line for what stands in the way."""
    table = read_table(path)
    X, y = split_target(table, target)
    task = decide_task(y) if wanted == "auto" else wanted
    check_target(y, task)
    X = as_floats(X)
    if task == "classification" and not pd.api.types.is_numeric_dtype(y.dtype):
        y = y.astype(object)
    model = pipeline(X, task)
    try:
        sample, evaluation = train_and_score(model, X, y, classification=task == "classification")
    except ValueError as error:
        text = " ".join(str(error).split())
        raise click.ClickException(f"{path}: cannot train on this table: {text}") from None
    return task, Trained(model, sample, table, path.resolve().as_uri(), evaluation)


@click.command()
@click.argument("csv", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="The column to predict.")
@click.option("--name", help="The model's name; default: the file's.")
@click.option("--version", default="1", show_default=True, help="The version to write; never overwritten.")
@click.option("--out", default="models-repository", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--task",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "classification", "regression"]),
    help="auto: labels if the target is text or few whole numbers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@created_option()
def main(
    csv: Path,
    target: str,
    name: str | None,
    version: str,
    out: Path,
    task: Literal["auto", "classification", "regression"],
    as_json: bool,
    created: int | None,
) -> None:
    """Train a model on a CSV file, score it on a hold-out, and write its package.

    Example: python -m models.from_csv customers.csv --target churned --out repository
    """
    name = name or csv.stem
    try:
        refuse_existing(out, name, version)
        with Console(stderr=True).status(f"training {name} {version} on {csv}"):
            decided, trained = train(csv, target, task)
            folder = publish(trained, name=name, version=version, repository=out, created=moment(created))
    except PackageRefused as error:
        raise click.ClickException(str(error)) from None
    result: dict[str, Any] = {
        "model": name,
        "version": version,
        "path": str(folder),
        "task": decided,
        "target": target,
        "rows": len(trained.table),
        "hold_out_rows": trained.evaluation.rows,
        "metrics": trained.evaluation.metrics,
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    table = Table(show_header=False)
    for key, value in result.items():
        shown = ", ".join(f"{metric} {number:.3f}" for metric, number in value.items()) if key == "metrics" else value
        table.add_row(key.replace("_", " "), str(shown))
    Console().print(table)


if __name__ == "__main__":
    main()
