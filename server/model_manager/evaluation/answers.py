"""A package and a table → what the package answers to each row, beside the truth: what every metric is made of.

Place in the flow: after opening and table_files; metrics, segments and the comparison of two versions begin here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

from model_manager.errors import PackageRefused, TableRefused
from model_manager.evaluation.opening import Package
from model_manager.signature import Array, Layout, Rows
from model_manager.tables.table_files import Table
from model_manager.tables.typed_rows import labels_in, listed, nearest, numbers_in, typed_rows

Task = Literal["classification", "multiclass", "regression", "anomaly"]
"""What is asked of a model: one of two labels, one of more, a quantity, or what is unlike the rest."""
Label = str | int | float | bool

INLIER: Final = 1
OUTLIER: Final = -1
"""What scikit-learn's detectors of anomalies answer."""
_SCORES: Final[Mapping[Task, tuple[str, ...]]] = {
    "classification": ("predict_proba", "decision_function"),
    "multiclass": ("predict_proba",),
    "regression": (),
    "anomaly": ("decision_function", "score_samples"),
}
"""What is asked for beside `predict`: the first that there is."""
_ANOMALIES: Final = {"anomaly", "anomalous", "outlier", "abnormal", "fraud", "attack", "fault", "true", "yes", "1"}
_NORMALS: Final = {"normal", "inlier", "regular", "ok", "benign", "legitimate", "none", "false", "no", "0"}


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows that were answered, in the order of the table; every array has one entry a row.

    `kept` are their positions in the table: rows without a truth are left out, and `notes` say so. `outputs` holds
    "predict", and "predict_proba" (rows, classes) or "decision_function" (rows,) where the version has them. `truth`
    holds a class, a float, or for anomalies INLIER or OUTLIER; a label that the model does not know stays what the
    table says. None for anomalies of which nobody knows the truth. `classes` are in the order of predict_proba.
    """

    task: Task
    target: str | None
    kept: Array
    rows: Rows
    outputs: Mapping[str, Array]
    truth: Array | None
    classes: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def predicted(self) -> Array:
        """The answers themselves."""
        return self.outputs["predict"]

    def at(self, positions: Array) -> "Answers":
        """Give the answers of some rows, by their positions among these."""
        return replace(
            self,
            kept=self.kept[positions],
            rows=Rows(tuple(block[positions] for block in self.rows.blocks)),
            outputs={name: values[positions] for name, values in self.outputs.items()},
            truth=None if self.truth is None else self.truth[positions],
        )


def answers(package: Package, table: Table, *, target: str | None = None) -> Answers:
    """Ask a package for every row of a table whose truth is known.

    `target` is the column of the truth; without it the one that metadata names, or the only column that is no input.
    Raises TableRefused for a table that does not fit, PackageRefused for a model whose answers have no truth to be held
    against, and PredictionFailed for a row that the model does not answer.
    """
    task = task_of(package)
    by_name = package.signature.named or package.signature.layout is Layout.FRAME
    rows = typed_rows(table, package.signature) if by_name else None  # first: a column that is missing may seem another
    column = _target(package, table, task, target)
    if rows is None:
        rows = typed_rows(table, package.signature, besides=() if column is None else (column,))
    classes = _classes(package)
    if not classes and task == "multiclass":  # a classifier that does not say; what it answers tells
        found = package.predict(rows, ("predict",), table.place)["predict"].tolist()
        classes = tuple(sorted(set(found), key=lambda one: (str(type(one)), one)))
    truth, notes = (None, ()) if column is None else _truth(package, table, column, task, classes)
    kept = np.arange(table.rows) if truth is None else np.flatnonzero([one is not None for one in truth])
    if not len(kept):
        raise TableRefused(
            f"{table.source}: column {column!r} is missing in every row; there is no truth to hold against"
        )
    if len(kept) < table.rows:
        rows = Rows(tuple(block[kept] for block in rows.blocks))
    scores = next((one for one in _SCORES[task] if _fits(package, one, len(classes))), None)
    asked = ("predict",) if scores is None else ("predict", scores)
    outputs = package.predict(rows, asked, lambda at: table.place(int(kept[at])))
    return Answers(
        task=task,
        target=column,
        kept=kept,
        rows=rows,
        outputs=outputs,
        truth=None if truth is None else _array([truth[at] for at in kept], task),
        classes=classes,
        notes=notes,
    )


def task_of(package: Package) -> Task:
    """Say what is asked of a version's model.

    Raises PackageRefused for one that answers nothing which could be right or wrong: clusters, features, several
    targets at once.
    """
    outputs = {output.name: output for output in package.signature.offered}
    estimator = package.estimator
    kind = type(estimator).__name__
    if "predict" not in outputs:
        several = "predict_0" in outputs
        has = "predicts several targets at once" if several else f"answers {', '.join(outputs)}, and predicts nothing"
        raise PackageRefused(f"{package}: the {kind} {has}; evaluate judges one prediction a row")
    if len(outputs["predict"].shape) > 1 and outputs["predict"].shape[1] != 1:
        raise PackageRefused(f"{package}: the {kind} predicts several targets at once; evaluate judges one a row")
    if _says(is_outlier_detector, estimator):
        return "anomaly"
    classes = _classes(package)
    if classes or _says(is_classifier, estimator):
        return "classification" if len(classes) == 2 else "multiclass"
    if _says(is_clusterer, estimator):
        raise PackageRefused(f"{package}: the {kind} finds clusters, whose numbers no column of labels can confirm")
    if not _says(is_regressor, estimator) and outputs["predict"].datatype in ("BYTES", "BOOL"):
        return "multiclass"
    return "regression"


def _says(question: Any, estimator: Any) -> bool:
    try:
        return bool(question(estimator))
    except Exception:  # an estimator of another library, or an ONNX model, which has no tags
        return False


def _classes(package: Package) -> tuple[Label, ...]:
    outputs = {output.name: output for output in package.signature.offered}
    named = (outputs[name].classes for name in ("predict_proba", "predict") if name in outputs)
    return next((classes for classes in named if classes), ())


def _fits(package: Package, name: str, classes: int) -> bool:
    output = next((one for one in package.signature.offered if one.name == name), None)
    if output is None:
        return False
    return name != "predict_proba" or output.shape[1:] == (classes,)


def _target(package: Package, table: Table, task: Task, target: str | None) -> str | None:
    if target is not None:
        if table.named(target) is None:
            raise TableRefused(f"{table.source}: no column {target!r}; {nearest(target, list(table.columns))}")
        return target.strip() if target not in table.columns else target
    data = package.metadata.data
    recorded = data.target if data is not None else None
    if recorded is not None and table.named(recorded) is not None:
        return recorded if recorded in table.columns else recorded.strip()
    signature = package.signature
    inputs = {column.name.strip() for column in signature.columns or ()}
    others = [name for name in table.columns if name not in inputs]
    if len(others) == 1 and (signature.named or signature.columns is not None):
        return others[0]
    if task == "anomaly":
        return None
    if not others:
        was = f" ({recorded!r} when it was trained)" if recorded is not None else ""
        raise TableRefused(
            f"{table.source}: every column is an input of the model; the one with the truth is missing{was}"
        )
    raise TableRefused(f"{table.source}: which column holds the truth? Name it with --target: {listed(others)}")


def _truth(
    package: Package, table: Table, column: str, task: Task, classes: Sequence[Label]
) -> tuple[list[Any], tuple[str, ...]]:
    """The truth of every row, None where it is missing; and what is to be said of it."""
    if column in {one.name for one in package.signature.columns or ()} and package.signature.named:
        raise TableRefused(f"{table.source}: {column!r} is an input of the model, and cannot be its target")
    if task == "regression":
        truth: list[Any] = [None if value != value else value for value in numbers_in(table, column).tolist()]
    elif task == "anomaly":
        truth = anomalies_in(table, column)
    else:
        truth = labels_in(table, column, classes)
    missing = sum(one is None for one in truth)
    notes = []
    if missing:
        rows = "1 row without" if missing == 1 else f"{missing:,} rows without"
        notes.append(f"{rows} {column!r} left out: {table.rows - missing:,} of {table.rows:,} remain")
    return truth, tuple(notes)


def anomalies_in(table: Table, column: str) -> list[Any]:
    written = labels_in(table, column, ())
    found = {str(one).lower() for one in written if one is not None}
    if found <= {"1", "-1", "1.0", "-1.0"} and found & {"-1", "-1.0"}:
        return [None if one is None else int(float(str(one))) for one in written]
    whole = {word: word.removesuffix(".0") for word in found}
    odd = sorted(word for word, bare in whole.items() if bare not in _ANOMALIES | _NORMALS)
    if odd:
        told = f"{odd[0]!r} says neither normal nor anomaly"
        raise TableRefused(f"{table.source}: column {column!r}: {told}; write 1 for anomalies and 0 for the rest")
    return [None if one is None else OUTLIER if whole[str(one).lower()] in _ANOMALIES else INLIER for one in written]


def _array(truth: Sequence[Any], task: Task) -> Array:
    if task == "regression":
        return np.array(truth, dtype=np.float64)
    if task == "anomaly":
        return np.array(truth, dtype=np.int64)
    array: Array = np.empty(len(truth), dtype=object)
    array[:] = truth
    return array
