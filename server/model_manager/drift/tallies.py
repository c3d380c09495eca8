"""Counts of one version as plain values: they add up over processes and pods, and become metrics and a report.

In the flow: counting, in each process → **tallies** → divergence → scrape and admin port, of one process or of a pod.
"""

from collections.abc import Iterable, Sequence
from operator import add
from time import sleep
from typing import Any, Final, Literal, TypeAlias

import msgspec

from model_manager.drift.divergence import MIN_ROWS, THRESHOLD, Divergence, divergences
from model_manager.metrics import DRIFT, DriftedColumn, Family, LiveDrift, LiveFamilies

SHOWN: Final = 5
"""Features of a version, and outputs, with series of their own: those that have drifted most."""

_NAMES: Final = frozenset(description.name for description in DRIFT)

Origin = Literal["package", "learning", "learned"]
"""Where a baseline comes from: the package, or the first rows that the process answered, which may still gather."""


class ColumnTally(msgspec.Struct):
    """One feature or output: its bins' names, and the rows in each, of the baseline and of the window."""

    kind: str
    name: str
    bins: list[str]
    baseline: list[int]
    window: list[int]


Ranked: TypeAlias = Sequence[tuple[ColumnTally, Divergence]]


class Tally(msgspec.Struct):
    """One version: the sampled rows in the window; those that a baseline is learned from, where it is; its columns."""

    model: str
    version: str
    origin: Origin
    rows: int
    learned_rows: int
    columns: list[ColumnTally]


def add_up(processes: Iterable[Iterable[Tally]]) -> list[Tally]:
    """Add the tallies of several processes up, version by version. Changes what it is given.

    Those that learned their baseline by themselves have bins of their own: the process with the most rows speaks.
    """
    known: dict[tuple[str, str], Tally] = {}
    for tallies in processes:
        for tally in tallies:
            whole = known.setdefault((tally.model, tally.version), tally)
            if whole is tally:
                continue
            if _are_alike(whole, tally):
                whole.rows += tally.rows
                for one, other in zip(whole.columns, tally.columns, strict=True):
                    one.window = list(map(add, one.window, other.window))
            elif (tally.rows, tally.learned_rows) > (whole.rows, whole.learned_rows):
                known[tally.model, tally.version] = tally
    return list(known.values())


def _are_alike(one: Tally, other: Tally) -> bool:
    return one.origin == other.origin == "package" and [
        (column.kind, column.name, column.bins, column.baseline) for column in one.columns
    ] == [(column.kind, column.name, column.bins, column.baseline) for column in other.columns]


def families_of(tallies: Iterable[Tally]) -> list[Family]:
    """The metrics of tallies: of each version the columns that have drifted most, and how many have."""
    live = LiveFamilies()
    for tally in tallies:
        sleep(0)  # other threads wait for the interpreter, the event loop among them
        ranked = _ranked(tally)
        shown = [*_worst(ranked, "feature"), *_worst(ranked, "output")]
        live.add_drift(
            LiveDrift(
                tally.model,
                tally.version,
                tally.origin,
                tally.rows,
                sum(found.drifted for _, found in ranked),
                [DriftedColumn(column.kind, column.name, *found) for column, found in shown],
            )
        )
    return live.families()


def report(tally: Tally) -> dict[str, Any]:
    """Everything that is known of a version's drift, fit for JSON; columns in order, those that drifted most first."""
    ranked = _ranked(tally)
    told = [column for column, _ in ranked]
    silent = [column for column in tally.columns if column not in told]
    return {
        "model_name": tally.model,
        "model_version": tally.version,
        "baseline": tally.origin,
        "learned_rows": tally.learned_rows,
        "window_rows": tally.rows,
        "min_rows": MIN_ROWS,
        "threshold": THRESHOLD,
        "drifted": [column.name for column, found in ranked if found.drifted],
        "columns": [*(_shown(*one) for one in ranked), *(_shown(column, None) for column in silent)],
    }


def _shown(column: ColumnTally, found: Divergence | None) -> dict[str, Any]:
    return {
        "kind": column.kind,
        "column": column.name,
        "rows": sum(column.window),
        "psi": None if found is None else round(found.psi, 4),
        "js_distance": None if found is None else round(found.js, 4),
        "noise": None if found is None else round(found.noise, 4),
        "drifted": None if found is None else found.drifted,
        "bins": column.bins,
        "baseline": column.baseline,
        "window": column.window,
    }


def _worst(ranked: Ranked, kind: str) -> Ranked:
    return [one for one in ranked if one[0].kind == kind][:SHOWN]


def _ranked(tally: Tally) -> Ranked:
    """The columns of which something can be said, the one that drifted most first."""
    found = divergences([(column.baseline, column.window) for column in tally.columns])
    known = [(column, one) for column, one in zip(tally.columns, found, strict=True) if one is not None]
    return sorted(known, key=lambda one: -one[1].rank)


def is_of_drift(family: Family) -> bool:
    """Whether a metric is one of drift, which is made of counts that add up, and does not add up itself."""
    return family.description.name in _NAMES
