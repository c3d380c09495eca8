"""A table of labels → `:feedback` of a running server, some at a time: what became of each.

In the flow: commands/feedback → **telling** ⇒ the server.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import msgspec

from model_manager.errors import ServerRefused, TableRefused
from model_manager.evaluation.patient_requests import ask
from model_manager.tables.table_files import Table

_ID, _ROW, _LABEL = "id", "row", "label"
_IDS: Final = (_ID, "request_id")
AT_ONCE: Final = 500
_PAUSE_S: Final = 1.0
_MOST_TOLD: Final = 5


class Sent(msgspec.Struct, omit_defaults=True):
    """One label, as it is sent."""

    id: str
    label: str | int | float | bool
    row: int = 0


class _Answered(msgspec.Struct):
    status: str


class _Answer(msgspec.Struct):
    labels: list[_Answered]
    unanswered: int = 0


@dataclass(slots=True)
class Told:
    """What became of labels: how many of each status, the first that were not joined, and how many rows had none.

    `unanswered`: labels not joined of which some pod did not say whether it has the answer.
    """

    counts: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    empty: int = 0
    unanswered: int = 0

    @property
    def labels(self) -> int:
        """How many were sent."""
        return self.counts.total()


def labels_in(table: Table) -> tuple[list[Sent], list[str]]:
    """Read a table's labels, and where each stands.

    Its columns: id (or request_id), label, and row where requests had several; rows without a label are left out.
    Raises TableRefused for what cannot be read.
    """
    id = next((name for name in _IDS if table.named(name) is not None), None)
    if id is None or table.named(_LABEL) is None:
        missing = _ID if id is None else _LABEL
        raise TableRefused(f"{table.source}: there is no column {missing!r}; it has {', '.join(table.columns)}")
    rows: Sequence[object] = table.cells(_ROW) if table.named(_ROW) is not None else ["0"] * table.rows
    labels, places = [], []
    for position, (of, row, label) in enumerate(zip(table.cells(id), rows, table.cells(_LABEL), strict=True)):
        if label is None or label == "":
            continue
        try:
            number = int(str(row))
        except ValueError:
            number = -1
        if number < 0 or not of:
            told = f"row {row!r} is no whole number from 0 on" if of else "it has a label, and no id"
            raise TableRefused(f"{table.source}, {table.place(position)}: {told}")
        labels.append(Sent(str(of), label if isinstance(label, str | int | float | bool) else str(label), number))
        places.append(table.place(position))
    return labels, places


def tell(
    labels: Sequence[Sent],
    places: Sequence[str],
    url: str,
    model: str,
    api_key: str | None,
    *,
    patience_s: float,
    told: Callable[[int], None],
) -> Told:
    """Send labels to a server in order; `told` how many were sent so far. Raises ServerRefused."""
    found = Told()
    for start, answers, unanswered in _answers(labels, url, model, api_key, patience_s):
        for at, status in enumerate(answers, start):
            found.counts[status] += 1
            found.unanswered += unanswered > 0 and status != "joined"
            if status != "joined" and len(found.others) < _MOST_TOLD:
                found.others.append(
                    f"{places[at]}: id {labels[at].id!r}, row {labels[at].row}: {status.replace('_', ' ')}"
                )
        told(start + len(answers))
    return found


def _answers(
    labels: Sequence[Sent], url: str, model: str, api_key: str | None, patience_s: float
) -> Iterator[tuple[int, list[str], int]]:
    headers = {"content-type": "application/json"}
    if api_key is not None:
        headers["authorization"] = f"Bearer {api_key}"
    address = f"{url.rstrip('/')}/v1/models/{quote(model, safe='')}:feedback"
    for start in range(0, len(labels), AT_ONCE):
        part = labels[start : start + AT_ONCE]
        body, began = msgspec.json.encode({"labels": part}), time.monotonic()
        while True:
            said = ask(address, body, headers, place=url, patience_s=patience_s)
            try:
                answer = msgspec.json.decode(said, type=_Answer)
            except msgspec.DecodeError as error:
                raise ServerRefused(f"{url} does not answer as a model-manager does: {error}") from None
            if len(answer.labels) != len(part):
                raise ServerRefused(f"{url} answers {len(answer.labels)} of {len(part)} labels")
            statuses = [one.status for one in answer.labels]
            lost = answer.unanswered and any(status != "joined" for status in statuses)
            # a pod that was gone for a moment may have the answers: a label that comes twice is joined once
            if not lost or time.monotonic() - began >= patience_s:
                break
            time.sleep(_PAUSE_S)
        yield start, statuses, answer.unanswered
