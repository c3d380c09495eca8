"""A and B as people write them, and a table → what both answer to the same rows, beside the truth.

Place in the flow: the door of comparing. A side is a package, by its path, or a version of a running server, by its
address. A pickle is code, which runs in this process: compare only packages of people who may run code here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from model_manager.errors import PackageRefused, TableRefused
from model_manager.evaluation.answers import Label, Task, anomalies_in, task_of
from model_manager.evaluation.comparison_latency import Latency, measure
from model_manager.evaluation.comparison_pairs import Answered, Pairs
from model_manager.evaluation.comparison_server import ServedVersion
from model_manager.evaluation.opening import open_package
from model_manager.signature import Array, Layout, Output, Rows, Signature
from model_manager.tables.table_files import Table
from model_manager.tables.typed_rows import labels_in, listed, nearest, numbers_in, typed_rows

_TASKS: Final[Mapping[Task, str]] = {
    "classification": "answers labels",
    "multiclass": "answers labels",
    "regression": "answers quantities",
    "anomaly": "tells anomalies",
}
_SCORES: Final = ("decision_function", "score_samples")


class _Predicts(Protocol):
    @property
    def signature(self) -> Signature: ...

    def predict(self, rows: Rows, outputs: tuple[str, ...], place: Callable[[int], str] = ...) -> dict[str, Array]: ...


@dataclass(frozen=True, slots=True)
class Side:
    """A or B (its `letter`): one version, opened. `target` is what it was trained to predict, where that is known.

    `bytes` is the size of its artifact; None where a server has it.
    """

    letter: str
    name: str
    written: str
    task: Task
    classes: tuple[Label, ...]
    version: _Predicts
    served: bool = False
    target: str | None = None
    bytes: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.letter}, {self.name}"

    @property
    def offered(self) -> dict[str, Output]:
        """Its outputs, by name."""
        return {output.name: output for output in self.version.signature.offered}


@dataclass(frozen=True, slots=True)
class Asked:
    """What both sides were asked and answered, and how long it took them."""

    sides: tuple[Side, Side]
    target: str | None
    pairs: Pairs
    latency: Latency


def open_side(letter: str, written: str, api_key: str | None = None) -> Side:
    """Open a side: http://host:port/model/version, or the path of a package.

    Raises PackageRefused, LoadFailed or ServerRefused with what stands in the way.
    """
    if "://" in written:
        served = ServedVersion(written, api_key)
        task, classes = _task_of_outputs(f"{letter}, {served}", served.signature)
        return Side(letter, str(served), written, task, classes, served, served=True)
    package = open_package(Path(written))
    return Side(
        letter,
        str(package),
        written,
        task_of(package),
        _classes_of(package.signature),
        package,
        target=package.metadata.data.target if package.metadata.data is not None else None,
        bytes=package.artifact_bytes,
        notes=() if package.library_warning is None else (f"{letter}: {package.library_warning}",),
    )


def ask(a: Side, b: Side, table: Table, target: str | None = None) -> Asked:
    """Ask both sides for every row of a table, or where there is a truth for every row whose truth is known.

    `target` is the column of the truth; without it the one that a side was trained to predict, or the only column that
    is no input of either. Raises PackageRefused where the two are not of one kind, TableRefused for a table that does
    not fit, PredictionFailed and ServerRefused for rows that are not answered.
    """
    task, classes = _common(a, b)
    column = _target(a, b, table, target, () if task == "anomaly" else classes)
    besides = () if column is None else (column,)
    rows = {side.letter: _rows(side, table, besides) for side in (a, b)}
    truth = None if column is None else _truth(table, column, task, classes)
    kept = np.arange(table.rows) if truth is None else np.flatnonzero([one is not None for one in truth])
    if not len(kept):
        raise TableRefused(f"{table.source}: column {column!r} is missing in every row; there is no truth")
    rows = {letter: _chosen(each, kept) for letter, each in rows.items()}
    outputs = {side.letter: _answers(side, rows[side.letter], table, kept) for side in (a, b)}
    if not classes and task == "multiclass":
        found = {one for answers in outputs.values() for one in answers["predict"].tolist()}
        classes = tuple(sorted(found, key=lambda one: (str(type(one)), one)))
    pairs = Pairs(
        task=task,
        a=_answered(a, outputs["A"], task, classes),
        b=_answered(b, outputs["B"], task, classes),
        truth=None if truth is None else _array([truth[at] for at in kept], task),
        positions=kept,
        classes=classes,
        same_classes=set(a.classes) == set(b.classes),
        notes=(*a.notes, *b.notes, *_notes(a, b, table, column, kept), *_unknown_labels(truth, classes, task)),
    )
    calls = [_call(side, rows[side.letter]) for side in (a, b)]
    return Asked((a, b), column, pairs, measure(*calls, rows=len(kept), comparable=a.served is b.served))


def _task_of_outputs(name: str, signature: Signature) -> tuple[Task, tuple[Label, ...]]:
    """What a served version is asked for, by what it says of its outputs."""
    outputs = {output.name: output for output in signature.offered}
    if "predict" not in outputs or outputs["predict"].shape[1:] not in ((), (1,)):
        told = f"answers {', '.join(outputs)}"
        raise PackageRefused(f"{name}: it {told}; what is compared is one prediction a row, called predict")
    classes = _classes_of(signature)
    if classes:
        return "classification" if len(classes) == 2 else "multiclass", classes
    whole = outputs["predict"].datatype.startswith("INT")
    if whole and any(score in outputs for score in _SCORES):
        return "anomaly", ()
    return ("multiclass" if outputs["predict"].datatype in ("BYTES", "BOOL") else "regression"), ()


def _classes_of(signature: Signature) -> tuple[Label, ...]:
    outputs = {output.name: output for output in signature.offered}
    named = (outputs[name].classes for name in ("predict_proba", "predict") if name in outputs)
    return next((classes for classes in named if classes), ())


def _common(a: Side, b: Side) -> tuple[Task, tuple[Label, ...]]:
    """The task of both, and the classes that either answers."""
    if _TASKS[a.task] != _TASKS[b.task]:
        raise PackageRefused(
            f"{a}, {_TASKS[a.task]}, and {b}, {_TASKS[b.task]}: they are no two answers to one question"
        )
    classes = (*a.classes, *(one for one in b.classes if one not in a.classes))
    if a.classes and b.classes and len(classes) == len(a.classes) + len(b.classes):
        told = f"{a}, answers {_some(a.classes)}, and {b}, {_some(b.classes)}"
        raise PackageRefused(
            f"{told}: they have no answer in common; train one of them again on the labels of the other"
        )
    if a.task == "anomaly":
        return "anomaly", (-1, 1)
    if a.task == "regression":
        return "regression", ()
    return ("classification" if len(classes) == 2 else "multiclass"), classes


def _some(labels: Sequence[object]) -> str:
    return ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")


def _target(a: Side, b: Side, table: Table, target: str | None, classes: Sequence[Label]) -> str | None:
    inputs = {column.name.strip() for side in (a, b) for column in side.version.signature.columns or ()}
    if target is not None:
        if table.named(target) is None:
            raise TableRefused(f"{table.source}: no column {target!r}; {nearest(target, list(table.columns))}")
        target = target if target in table.columns else target.strip()
        if target in inputs:
            raise TableRefused(f"{table.source}: {target!r} is an input of the model, and cannot be its target")
        return target
    recorded = [side.target for side in (a, b) if side.target is not None]
    if recorded:  # and where the table has no such column, no other one is the truth
        found = [name for name in recorded if table.named(name) is not None]
        return None if not found else found[0] if found[0] in table.columns else found[0].strip()
    others = [name for name in table.columns if name not in inputs]
    named = all(side.version.signature.named or side.version.signature.columns is not None for side in (a, b))
    if len(others) != 1 or not named:
        return None
    guessed = others[0]
    return guessed if not classes or any(one in classes for one in labels_in(table, guessed, classes)) else None


def _rows(side: Side, table: Table, besides: Sequence[str]) -> Rows:
    try:
        return typed_rows(table, side.version.signature, besides=besides)
    except TableRefused as refused:
        by_name = side.version.signature.named or side.version.signature.layout is Layout.FRAME
        hint = "" if by_name or besides else "; the column of the truth, if there is one, is named with --target"
        raise TableRefused(f"{side}: {refused}{hint}") from refused


def _truth(table: Table, column: str, task: Task, classes: tuple[Label, ...]) -> list[Any]:
    if task == "regression":
        return [None if value != value else value for value in numbers_in(table, column).tolist()]
    return anomalies_in(table, column) if task == "anomaly" else labels_in(table, column, classes)


def _answers(side: Side, rows: Rows, table: Table, kept: Array) -> dict[str, Array]:
    offered = side.offered
    wanted = ["predict"]
    if side.task != "regression":
        probabilities = offered.get("predict_proba")
        if probabilities is not None and probabilities.shape[1:] == (len(side.classes),):
            wanted.append("predict_proba")
        elif side.task != "multiclass":
            wanted += [name for name in _SCORES if name in offered][:1]
    outputs = side.version.predict(rows, tuple(wanted), lambda at: table.place(int(kept[at])))
    for name, answer in outputs.items():
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            at = int(np.flatnonzero(~np.isfinite(answer).reshape(len(answer), -1).all(1))[0])
            raise TableRefused(
                f"{side}: {name} of {table.place(int(kept[at]))} is no finite number; leave that row out"
            )
    return outputs


def _answered(side: Side, outputs: Mapping[str, Array], task: Task, classes: tuple[Label, ...]) -> Answered:
    predicted = outputs["predict"].reshape(len(outputs["predict"]))
    scores = next((outputs[name] for name in _SCORES if name in outputs), None)
    if scores is not None and scores.ndim > 1:
        scores = None
    if task == "regression":
        return Answered(predicted.astype(np.float64))
    if task == "anomaly":
        return Answered(predicted.astype(np.int64), scores=scores)
    into = {label: label for label in classes}
    answers = _array([into.get(one, one) for one in predicted.tolist()], task)
    if (given := outputs.get("predict_proba")) is None:
        turned = side.classes[::-1] == classes  # a score is for the second class, and here the other is the second
        return Answered(answers, scores=-scores if scores is not None and turned else scores)
    probabilities = np.zeros((len(given), len(classes)))
    probabilities[:, [classes.index(one) for one in side.classes]] = given
    return Answered(answers, probabilities)


def _array(values: Sequence[Any], task: Task) -> Array:
    if task == "regression":
        return np.array(values, dtype=np.float64)
    array: Array = np.empty(len(values), dtype=np.int64 if task == "anomaly" else object)
    array[:] = values
    return array


def _notes(a: Side, b: Side, table: Table, target: str | None, kept: Array) -> list[str]:
    notes = []
    if len(kept) < table.rows:
        missing = table.rows - len(kept)
        rows = "1 row has" if missing == 1 else f"{missing:,} rows have"
        notes.append(f"{rows} no {target!r} and were left out: {len(kept):,} of {table.rows:,} remain")
    if set(a.classes) != set(b.classes):
        for side, other in ((a, b), (b, a)):
            if unknown := [one for one in other.classes if one not in side.classes]:
                notes.append(f"{side.letter} never answers {_some(unknown)}, which {other.letter} does")
    takes = [{column.name for column in side.version.signature.columns or ()} for side in (a, b)]
    if a.version.signature.named and b.version.signature.named:
        for letter, more in (("A", takes[0] - takes[1]), ("B", takes[1] - takes[0])):
            if more:
                notes.append(f"only {letter} takes {listed(sorted(more))}")
    if target is None and (others := [name for name in table.columns if not any(name in each for each in takes)]):
        notes.append(f"no column is known to hold the truth; if one does, name it with --target: {listed(others)}")
    return notes


def _unknown_labels(truth: list[Any] | None, classes: tuple[Label, ...], task: Task) -> list[str]:
    if truth is None or task == "regression":
        return []
    unknown = [one for one in truth if one is not None and one not in classes]
    if not unknown:
        return []
    rows = "1 row is" if len(unknown) == 1 else f"{len(unknown):,} rows are"
    return [f"{rows} of labels that neither A nor B knows ({_some(sorted(set(map(str, unknown))))}): wrong for both"]


def _chosen(rows: Rows, kept: Array) -> Rows:
    return Rows(tuple(block[kept] for block in rows.blocks))


def _call(side: Side, rows: Rows) -> Callable[[int, int], object]:
    def call(start: int, end: int) -> object:
        return side.version.predict(Rows(tuple(block[start:end] for block in rows.blocks)), ("predict",))

    return call
