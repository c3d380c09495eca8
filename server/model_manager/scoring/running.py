"""A source, a version and outputs → the source's rows with answers beside them: the flow of bulk scoring.

Place in the flow: the door of this room. Pieces are read in order, several are asked at once, and they are written in
order. A version is a package in this process or one of a running server; both are asked alike.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from model_manager.errors import InvalidInput, PredictionFailed, ServerRefused, TableRefused
from model_manager.scoring.added import AddedColumn
from model_manager.scoring.sources import Piece, Source, Values
from model_manager.scoring.unfinished import Progress
from model_manager.signature import Array, Rows, Signature
from model_manager.tables.table_files import Table
from model_manager.tables.typed_rows import typed_rows

_OF_ROWS: Final = (400, 413, 422, 500, 504)
"""Statuses by which a server refuses some rows, and may take others."""
_MOST_TOLD: Final = 5


class Version(Protocol):
    """What answers."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        ...

    def predict(self, rows: Rows, outputs: tuple[str, ...], place: Callable[[int], str] = ...) -> dict[str, Array]:
        """Answer rows. Raises PredictionFailed or ServerRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of every row. `keep_going`: rows that are refused are told of in a column, and end nothing."""

    outputs: tuple[str, ...]
    added: tuple[AddedColumn, ...]
    keep_going: bool = False
    at_once: int = 1_000
    concurrency: int = 1


@dataclass(slots=True)
class Scored:
    """What became of a run's rows. `told` are the first refusals, in words."""

    rows: int = 0
    refused: int = 0
    told: list[str] = field(default_factory=list)


def score(
    source: Source,
    version: Version,
    wanted: Wanted,
    write: Callable[[bytes, Progress], None],
    *,
    done: Progress | None = None,
) -> Scored:
    """Answer every row that is not `done` yet, and hand over what is to be written, a piece at a time.

    Raises TableRefused, PredictionFailed or ServerRefused for the first row that is refused, unless asked to keep
    going: then only where no row of the first piece is answered.
    """
    scored = Scored(done.rows, done.refused) if done is not None else Scored()
    began = scored.rows
    if not began:
        write(source.head(wanted.added), Progress())
    for piece, (values, errors) in _answered(source, version, wanted, skip=began):
        if not scored.rows and len(errors) == piece.table.rows:
            more = f" (and none of the first {len(errors):,} rows is answered)" if len(errors) > 1 else ""
            raise InvalidInput(f"{errors[0]}{more}")
        scored.told += list(errors.values())[: _MOST_TOLD - len(scored.told)]
        scored.rows += piece.table.rows
        scored.refused += len(errors)
        write(source.body(piece, wanted.added, values), Progress(scored.rows, scored.refused))
    return scored


def _answered(
    source: Source, version: Version, wanted: Wanted, *, skip: int
) -> Iterator[tuple[Piece, tuple[Values, Mapping[int, str]]]]:
    """Ask for pieces, several at once, and give them in order."""
    pieces = source.pieces(wanted.at_once, skip=skip)
    waiting: deque[tuple[Piece, Future[tuple[Values, Mapping[int, str]]]]] = deque()
    with ThreadPoolExecutor(wanted.concurrency, "scoring") as threads:
        try:
            while True:
                for piece in itertools.islice(pieces, 2 * wanted.concurrency - len(waiting)):
                    waiting.append((piece, threads.submit(_values, version, wanted, piece.table)))
                if not waiting:
                    return
                piece, future = waiting.popleft()
                yield piece, future.result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _values(version: Version, wanted: Wanted, table: Table) -> tuple[Values, Mapping[int, str]]:
    parts: list[dict[str, Array]] = []
    errors: dict[int, str] = {}
    _ask(version, wanted, table, 0, parts, errors)
    answers = {
        name: np.concatenate([part[name] for part in parts]) if parts else np.empty((0, 0)) for name in wanted.outputs
    }
    return [column.values(answers, errors, table.rows) for column in wanted.added], errors


def _ask(
    version: Version,
    wanted: Wanted,
    table: Table,
    start: int,
    parts: list[dict[str, Array]],
    errors: dict[int, str],
) -> None:
    """Answer a table, by halves where some of its rows are refused and the others are wanted."""
    try:
        parts.append(version.predict(typed_rows(table, version.signature), wanted.outputs, table.place))
        return
    except (TableRefused, InvalidInput, PredictionFailed) as error:
        refused: Exception = error
    except ServerRefused as error:
        if error.status not in _OF_ROWS:
            raise
        refused = error
    if not wanted.keep_going:
        raise refused
    if table.rows == 1:
        errors[start] = str(refused)
        return
    half = table.rows // 2
    _ask(version, wanted, table.part(0, half), start, parts, errors)
    _ask(version, wanted, table.part(half, table.rows), start + half, parts, errors)
