"""Stored prediction records and labels that came later → how right each version was, on equally mature predictions.

Place in the flow: records (files of JSON lines, of any number of pods) and a table of labels → **live_accuracy** →
`model-manager score-labels`. Labels are joined by request id and the row's number within the request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from model_manager.errors import TableRefused
from model_manager.feedback import is_same, number_in
from model_manager.tables.table_files import Table

_TYPE: Final = "model-manager.prediction.v1"
_ID, _ROW, _LABEL, _AT = "request_id", "row", "label", "at"


class _Data(msgspec.Struct):
    request_id: str | None
    model: str
    version: str
    status: int
    outputs: dict[str, list[Any]] | None
    shadow: bool = False


class _Event(msgspec.Struct):
    type: str
    time: datetime
    data: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Predicted:
    """One answered row: of which version, when, the answer, and its probabilities by class where it has them."""

    version: str
    at: datetime
    answer: object
    chances: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Label:
    """What was true of a row, and when that became known, if that is told."""

    value: object
    at: datetime | None


@dataclass(slots=True)
class Predictions:
    """Answered rows by request id and row. `repeated` ids name several requests, so that no label can be joined."""

    rows: dict[tuple[str, int], Predicted] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)
    unusable: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """How right a version was. `predictions` are the mature ones; `lag_s` is the median time until a label came."""

    version: str
    predictions: int
    labelled: int
    metrics: Mapping[str, float]
    lag_s: float | None

    @property
    def coverage(self) -> float:
        """The share of mature predictions that have a label."""
        return self.labelled / self.predictions if self.predictions else 0.0


def read_predictions(files: Iterable[Path], model: str, classes: Sequence[str]) -> Predictions:
    """Read the answered rows of a model from files of prediction records. Raises TableRefused for no such file.

    Copies for shadows, requests without an answer or an id, and lines that are no records are left out; the last two
    are counted as unusable.
    """
    found, ids = Predictions(), set[str]()
    for data, at in _records(files, found):
        if data.model != model or data.shadow or data.status != 200 or data.outputs is None:
            continue
        answers = list(_answers(data.outputs, classes))
        if data.request_id is None or not answers:
            found.unusable += 1
            continue
        if data.request_id in ids:
            found.repeated.add(data.request_id)
        ids.add(data.request_id)
        for row, (answer, chances) in enumerate(answers):
            found.rows[data.request_id, row] = Predicted(data.version, at, answer, chances)
    found.rows = {key: one for key, one in found.rows.items() if key[0] not in found.repeated}
    return found


def _records(files: Iterable[Path], found: Predictions) -> Iterator[tuple[_Data, datetime]]:
    for path in files:
        try:
            with open(path, "rb") as lines:
                for line in lines:
                    try:
                        event = msgspec.json.decode(line, type=_Event)
                        if event.type == _TYPE:
                            yield msgspec.json.decode(event.data, type=_Data), event.time
                    except msgspec.DecodeError:
                        found.unusable += bool(line.strip())
        except OSError as error:
            raise TableRefused(f"{path}: {error.strerror}") from None


def _answers(
    outputs: Mapping[str, list[Any]], classes: Sequence[str]
) -> Iterator[tuple[object, Sequence[float] | None]]:
    """The answer to each row and its probabilities; where only those were asked for, the likeliest class."""
    tables = outputs.get("predict_proba")
    usable = tables is not None and all(isinstance(row, list) and len(row) == len(classes) for row in tables)
    chances = tables if usable and classes else None
    answers = outputs.get("predict")
    if answers is not None:
        yield from zip(answers, chances or [None] * len(answers), strict=False)
    elif chances is not None:
        for row in chances:
            yield classes[max(range(len(row)), key=row.__getitem__)], row


def labels_of(table: Table) -> dict[tuple[str, int], Label]:
    """Read labels: columns request_id and label; row where requests had several, and at where it is known.

    Of two labels of one row the last counts. Raises TableRefused, with the place, for what cannot be read.
    """
    for name in (_ID, _LABEL):
        if table.named(name) is None:
            raise TableRefused(f"{table.source}: there is no column {name!r}; it has {', '.join(table.columns)}")
    count = table.rows
    rows = table.cells(_ROW) if table.named(_ROW) is not None else ["0"] * count
    times = table.cells(_AT) if table.named(_AT) is not None else [None] * count
    labels = {}
    for position, (id, row, value, at) in enumerate(
        zip(table.cells(_ID), rows, table.cells(_LABEL), times, strict=True)
    ):
        if value is None or value == "":
            continue
        try:
            number = int(str(row))
            known = _time(str(at)) if at not in (None, "") else None
        except ValueError:
            place = table.place(position)
            told = f"row {row!r} is no whole number, or at {at!r} no time such as 2026-11-28T12:00:00Z"
            raise TableRefused(f"{table.source}, {place}: {told}") from None
        labels[str(id), number] = Label(value, known)
    return labels


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def score(
    predictions: Mapping[tuple[str, int], Predicted],
    labels: Mapping[tuple[str, int], Label],
    *,
    classes: Sequence[str],
    maturity: timedelta,
    now: datetime,
) -> list[Scored]:
    """Measure each version on its predictions that are as old as `maturity`, by labels that came within that time.

    So every version's predictions had as long for a label to come: labels of one kind often come sooner than others,
    and a version that began yesterday would be judged by those alone. With no maturity every label counts.
    """
    scored = []
    for version in sorted({one.version for one in predictions.values()}):
        mature = {key: one for key, one in predictions.items() if one.version == version and one.at <= now - maturity}
        pairs = [(one, labels[key]) for key, one in mature.items() if key in labels]
        if maturity:
            pairs = [(one, label) for one, label in pairs if label.at is None or label.at <= one.at + maturity]
        lags = [(label.at - one.at).total_seconds() for one, label in pairs if label.at is not None]
        metrics = _metrics(pairs, classes) if pairs else {}
        scored.append(Scored(version, len(mature), len(pairs), metrics, median(lags) if lags else None))
    return scored


def _metrics(pairs: Sequence[tuple[Predicted, Label]], classes: Sequence[str]) -> dict[str, float]:
    if all(isinstance(one.answer, float) for one, _ in pairs):
        return _of_numbers(pairs)
    found = {"accuracy": sum(is_same(one.answer, label.value) for one, label in pairs) / len(pairs)}
    known = [
        (one.chances, at)
        for one, label in pairs
        if one.chances is not None and (at := _class_of(label.value, classes)) is not None
    ]
    if known:
        chances, truth = np.array([row for row, _ in known], dtype=np.float64), np.array([at for _, at in known])
        found["log_loss"] = float(log_loss(truth, chances, labels=range(len(classes))))
        if len(classes) == 2 and len(set(truth.tolist())) == 2:
            found["roc_auc"] = float(roc_auc_score(truth, chances[:, 1]))
    return found


def _of_numbers(pairs: Sequence[tuple[Predicted, Label]]) -> dict[str, float]:
    try:
        off = np.array([float(str(one.answer)) - float(str(label.value)) for one, label in pairs])
    except ValueError:
        worst = next(label.value for _, label in pairs if number_in(label.value) is None)
        raise TableRefused(f"the model answers numbers, and the label {worst!r} is none") from None
    return {"mae": float(np.abs(off).mean()), "rmse": float(np.sqrt(np.square(off).mean()))}


def _class_of(label: object, classes: Sequence[str]) -> int | None:
    return next((at for at, one in enumerate(classes) if str(label).strip() == one), None)
