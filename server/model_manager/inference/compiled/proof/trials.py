"""Rows of every kind → trials: what scikit-learn answers to them, batch after batch, for forms to be held to."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.form import NotCovered
from model_manager.inference.compiled.proof.rows import Group
from model_manager.inference.predictor import Predictor
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Rows

_BATCHES: Final = (1, 1, 1, 1, 1, 1, 2, 7, 64, 1000)
"""Sizes of the batches in which shuffled rows are asked for, the largest last."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows, and what scikit-learn answers to them by output: None where it refuses."""

    name: str
    rows: Rows
    expected: dict[str, Array | None]
    plain: bool


class OutOfTime(Exception):
    """The time set for proving is over."""


def make_trials(
    groups: Iterable[Group], sklearn: Predictor, outputs: tuple[str, ...], check_time: Callable[[], None]
) -> list[Trial]:
    """Ask scikit-learn about every batch: whole groups, then slices of plain rows, then slices of all rows mixed.

    Raises OutOfTime, from `check_time`, which is called between batches; NotCovered if there is nothing to compare.
    """
    trials: list[Trial] = []
    plain: list[Rows] = []
    mixed: list[Rows] = []
    for group in groups:
        check_time()
        trials.append(trial := _ask(group.name, group.rows, sklearn, outputs, plain=group.plain))
        if not group.apart and all(answer is not None for answer in trial.expected.values()):
            mixed.append(group.rows)
            if group.plain:
                plain.append(group.rows)
    if not plain:
        raise NotCovered("scikit-learn refuses the rows that were made up for the proof")
    for kind, rows in (("plain", _shuffled(plain)), ("mixed", _shuffled(mixed))):
        for batch in _slices(rows):
            check_time()
            trials.append(_ask(f"{len(batch)} {kind} rows", batch, sklearn, outputs, plain=kind == "plain"))
    return trials


def _shuffled(parts: list[Rows]) -> Rows:
    """Rows of all these kinds, as many as the largest batch."""
    everything = Rows.concatenate(parts)
    order = np.resize(np.random.default_rng(1).permutation(len(everything)), _BATCHES[-1])
    return Rows(tuple(block[order] for block in everything.blocks))


def _slices(rows: Rows) -> Iterator[Rows]:
    start = 0
    for size in _BATCHES:
        start = start if start + size <= len(rows) else 0
        yield Rows(tuple(block[start : start + size] for block in rows.blocks))
        start += size


def _ask(name: str, rows: Rows, sklearn: Predictor, outputs: tuple[str, ...], *, plain: bool) -> Trial:
    # Edges are expected to upset estimators: warnings about made-up rows are no news to anyone.
    with warnings_dropped():
        try:
            return Trial(name, rows, dict(sklearn.predict(rows, outputs)), plain)
        except PredictionFailed:
            pass
        expected: dict[str, Array | None] = {}
        for output in outputs:
            try:
                expected[output] = sklearn.predict(rows, (output,))[output]
            except PredictionFailed:
                expected[output] = None
    return Trial(name, rows, expected, plain)
