"""A CSV file → a model that was chosen for it, fitted and scored: `model-manager train`.

In the flow: tables (what the file says) → **here** → fitting → packaging. What is decided on the way is told.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_manager.errors import TableRefused
from model_manager.repository.metadata import Evaluation
from model_manager.tables.reading import CsvTable, TableReport, read_csv_table
from model_manager.tables.roles import MAX_TOLD_APART
from model_manager.training.fitting import HOLD_OUT, SEED, train_and_score

Task = Literal["classification", "regression"]
Wanted = Literal["auto", "classification", "regression"]
MIN_ROWS: Final = 20
MAX_CLASSES: Final = 20
"""A numeric target with more distinct values than this is a quantity, not a label."""
RARE: Final = 0.05
"""A label of a smaller share than this makes the accuracy say little."""


def read_table(path: Path, target: str) -> CsvTable:
    """Read a table to learn from; raises TableRefused for too few rows, and where no column is worth learning from."""
    table = read_csv_table(path, target=target)
    rows = len(table.frame)
    if rows < MIN_ROWS:
        count = "1 row" if rows == 1 else f"{rows} rows"
        raise TableRefused(f"{path}: {count}; at least {MIN_ROWS} are needed to train and to score")
    if table.features.empty:
        why = "".join(
            f"; {one.name or f'column {one.number}'}: {one.notes[0]}"
            for one in table.report.columns
            if one.role == "left out"
        )
        raise TableRefused(f"{path}: there is no column to learn from beside {target!r}{why}")
    return table


def decide_task(y: "pd.Series[Any]") -> Task:
    """Take strings, booleans and few whole numbers for labels, all else for a quantity."""
    if not pd.api.types.is_numeric_dtype(y.dtype) or pd.api.types.is_bool_dtype(y.dtype):
        return "classification"
    whole = bool((y == y.round()).all())
    return "classification" if whole and y.nunique() <= MAX_CLASSES else "regression"


def check_target(table: CsvTable, y: "pd.Series[Any]", task: Task) -> None:
    """Raise TableRefused for a target that the task cannot learn."""
    told = next(column for column in table.report.columns if column.role == "target")
    if told.kind == "date":
        raise TableRefused(f"target {y.name!r} holds dates; write what is asked for as numbers, such as days")
    if told.distinct < 2:
        raise TableRefused(f"target {y.name!r} has one value only, {y.tolist()[0]!r}; nothing to tell apart")
    if task == "regression":
        if told.kind != "number":
            holds = "true and false" if told.kind == "boolean" else "text"
            mixed = f" ({told.notes[0]})" if told.notes else ""
            raise TableRefused(f"target {y.name!r} holds {holds}{mixed}; a regression needs numbers")
        return
    if told.kind == "text" and told.notes and told.distinct > MAX_CLASSES:
        raise TableRefused(f"target {y.name!r} is {told.notes[0]}; correct these values, or delete their rows")
    counts = y.value_counts()
    if counts.iloc[-1] < 2:
        rarest = counts.index.tolist()[-1]
        raise TableRefused(f"target {y.name!r}: {rarest!r} occurs once; each label must occur at least twice")
    if math.ceil(len(y) * HOLD_OUT) < len(counts):
        message = f"target {y.name!r} has {len(counts)} labels in {len(y)} rows, too few to hold out one of each"
        raise TableRefused(f"{message}; bring {math.ceil(len(counts) / HOLD_OUT)} rows or more")


def told_of_labels(y: "pd.Series[Any]") -> list[str]:
    """Say what an accuracy is worth where a label is rare."""
    shares = y.value_counts(normalize=True)
    if shares.iloc[-1] >= RARE:
        return []
    often, *_, rare = shares.index.tolist()
    told = f"label {rare!r} is rare ({shares.iloc[-1]:.1%})"
    return [f"{told}: always answering {often!r} would reach an accuracy of {shares.iloc[0]:.3f}"]


def as_floats(X: pd.DataFrame) -> pd.DataFrame:
    """Turn numbers into floats, so that a server takes 3.5 and a missing value there as well."""
    return X.astype({name: "float64" for name in X.columns if X[name].dtype.kind == "i"})


def pipeline(X: pd.DataFrame, task: Task) -> Pipeline:
    """Encode strings, fill and scale numbers, then a logistic regression or gradient boosting."""
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_TOLD_APART, sparse_output=False)
    fill = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    parts = (("strings", encode, "O"), ("numbers", fill, "f"), ("truths", "passthrough", "b"))
    chosen = [(name, part, [one for one in X.columns if X[one].dtype.kind == kind]) for name, part, kind in parts]
    columns = ColumnTransformer([one for one in chosen if one[2]])
    if task == "classification":
        return make_pipeline(columns, LogisticRegression(max_iter=2000))
    # Leaves of 20 rows, which is the default, leave a table of 40 with nothing to part: all answers would be alike.
    leaf = min(20, max(2, len(X) // 20))
    return make_pipeline(columns, HistGradientBoostingRegressor(min_samples_leaf=leaf, random_state=SEED))


@dataclass(frozen=True, slots=True)
class FromTable:
    """A trained model, and what was decided on the way to it.

    `sample` is the training X as fit saw it, `sha256` the digest of the file's bytes.
    """

    estimator: Pipeline
    task: Task
    sample: pd.DataFrame
    evaluation: Evaluation
    report: TableReport
    sha256: str
    notes: list[str]


def train(path: Path, target: str, wanted: Wanted) -> FromTable:
    """Read, decide, fit and score; raises TableRefused with one line for what stands in the way."""
    table = read_table(path, target)
    y = table.frame[target]
    task = decide_task(y) if wanted == "auto" else wanted
    check_target(table, y, task)
    X = as_floats(table.features)
    model = pipeline(X, task)
    try:
        sample, evaluation = train_and_score(model, X, y, classification=task == "classification")
    except ValueError as error:
        text = " ".join(str(error).split())
        raise TableRefused(f"{path}: cannot train on this table: {text}") from None
    notes = told_of_labels(y) if task == "classification" else []
    return FromTable(model, task, sample, evaluation, table.report, table.sha256, notes)
