"""The rows of a table by the values of a column: for whom a model is better, and for whom worse.

Place in the flow: after answers; every segment is measured as all rows are.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from model_manager.errors import TableRefused
from model_manager.signature import Array
from model_manager.tables.columns import RawColumn, is_missing
from model_manager.tables.table_files import Table
from model_manager.tables.typed_rows import nearest, numbers_in

MISSING: Final = "(missing)"
OTHERS: Final = "(others)"
MOST_SEGMENTS: Final = 20
"""The values of a column that are told apart: the most frequent; the rest is one segment."""
MOST_NUMBERS: Final = 12
"""A column of more different numbers than this is cut into quarters."""
TOO_FEW: Final = 30
"""Of a segment of fewer rows the figures say little."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its value for people, and the positions of its rows among those that were answered."""

    value: str
    at: Array


def segments_of(table: Table, column: str, kept: Array) -> list[Segment]:
    """Part rows by a column: by its values, the most frequent first, or numbers by their quarters, in order.

    `kept` are the positions in the table of the rows that were answered. Raises TableRefused where there is no such
    column.
    """
    given = table.named(column)
    if given is None:
        raise TableRefused(f"{table.source}: no column {column!r} to part by; {nearest(column, list(table.columns))}")
    cells = [given.cells[at] for at in kept.tolist()]
    names = [MISSING if one is None or (isinstance(one, str) and is_missing(one)) else _shown(one) for one in cells]
    if _is_quantity(table, column, names):
        return _quarters(numbers_in(table, column)[kept])
    return _by_value(names)


def _shown(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _is_quantity(table: Table, column: str, names: list[str]) -> bool:
    given = table.named(column)
    if len({*names} - {MISSING}) <= MOST_NUMBERS or given is None:
        return False
    if isinstance(given, RawColumn):
        return given.kind == "number"
    return all(one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in given.cells)


def _quarters(values: Array) -> list[Segment]:
    present = values[~np.isnan(values)]
    edges = np.unique(np.quantile(present, [0.25, 0.5, 0.75], method="lower"))
    part = np.searchsorted(edges, values, side="left")  # a value equal to an edge belongs below it
    part[np.isnan(values)] = -1
    segments = []
    for number in range(len(edges) + 1):
        at = np.flatnonzero(part == number)
        if len(at):
            inside = values[at]
            segments.append(Segment(f"{inside.min():.6g} – {inside.max():.6g}", at))
    if len(absent := np.flatnonzero(part == -1)):
        segments.append(Segment(MISSING, absent))
    return segments


def _by_value(names: list[str]) -> list[Segment]:
    places: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        places.setdefault(name, []).append(at)
    ordered = sorted(places.items(), key=lambda one: (-len(one[1]), one[0]))
    if len(ordered) <= MOST_SEGMENTS + 1:
        return [Segment(name, np.array(at)) for name, at in ordered]
    rest = [at for _, places_of in ordered[MOST_SEGMENTS:] for at in places_of]
    return [
        *(Segment(name, np.array(at)) for name, at in ordered[:MOST_SEGMENTS]),
        Segment(f"{OTHERS}: {len(ordered) - MOST_SEGMENTS:,} values", np.sort(np.array(rest))),
    ]
