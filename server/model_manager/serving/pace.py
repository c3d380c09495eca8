"""What batches cost, fitted to the last ones that were computed: seconds a batch and seconds a row.

Beside the batcher, which tells of every batch; admission and the slices of large requests go by it.
"""

from collections.abc import Iterable
from math import ceil
from typing import Final, TypeAlias

_SHARE: Final = 0.1
"""How much of what is known the newest batch is: a change is followed within some ten batches."""
_MOST_AT_ONCE: Final = 4.0
"""One batch counts as no more than so many times what was expected of it: a single slow one must not shut the door."""
_DOUBT: Final = 0.01
_SPREAD: Final = 0.01
"""Variance of batch sizes, in squares of their mean, from which on rows and batches are told apart in the cost."""
_MOST_PACES: Final = 64  # clients choose the outputs, and their order

SLICE_S: Final = 0.02
"""A slice of a large request takes about so long where that is more rows than a batch: others wait no longer."""
_UNMEASURED_ROWS: Final = 256
"""So many rows has a slice as long as nothing was measured, or as many as a batch."""
_LEAST_EACH_S: Final = 1e-8

Ahead: TypeAlias = tuple[tuple[str, ...], int]
"""Outputs, and rows of them."""


class Pace:
    """What batches of one kind cost: `fixed` seconds each, and `each` seconds a row, fitted to the last ones.

    As long as all had about the same size, nothing tells the two apart; then rows are taken to cost all of it, so that
    no more is promised than was seen.
    """

    __slots__ = ("_rows", "_rows_squared", "_seconds", "_seconds_rows", "_weight", "each", "fixed", "told_apart")

    def __init__(self) -> None:
        self._weight = self._rows = self._rows_squared = self._seconds = self._seconds_rows = 0.0
        self.fixed = self.each = 0.0
        self.told_apart = False

    def learn(self, rows: int, seconds: float) -> None:
        """Learn from a batch."""
        if self._weight:
            seconds = min(seconds, _MOST_AT_ONCE * max(self.seconds(rows), 0.001))
        keep = 1.0 - _SHARE
        weight = self._weight = self._weight * keep + 1.0
        self._rows = self._rows * keep + rows
        self._rows_squared = self._rows_squared * keep + rows * rows
        self._seconds = self._seconds * keep + seconds
        self._seconds_rows = self._seconds_rows * keep + seconds * rows
        size, took = self._rows / weight, self._seconds / weight
        variance = self._rows_squared / weight - size * size
        if variance > _SPREAD * size * size:
            slope = (self._seconds_rows / weight - size * took) / variance
            self.told_apart = True
        else:
            slope = self.each if self.told_apart else took / size
        self.each = min(max(slope, 0.0), took / size)
        self.fixed = took - self.each * size

    def doubt(self) -> None:
        """Let the next batches decide: what computes them has changed."""
        self._weight *= _DOUBT
        self._rows *= _DOUBT
        self._rows_squared *= _DOUBT
        self._seconds *= _DOUBT
        self._seconds_rows *= _DOUBT

    def seconds(self, rows: int) -> float:
        """What one batch of so many rows costs."""
        return self.fixed + self.each * rows

    def own(self, rows: int) -> float:
        """What a request of so many rows costs by itself: where rows and batches are not told apart, give it credit."""
        if self.told_apart or not self._weight:
            return self.each * rows
        return self.each * min(rows, self._rows / self._weight)

    def rows_within(self, seconds: float) -> int:
        """The most rows that one batch computes in so many seconds, or in as many as it costs without rows."""
        return int(max(seconds - self.fixed, self.fixed) / max(self.each, _LEAST_EACH_S))


class Paces:
    """What the batches of one version cost, by the outputs asked for; they hold up to `max_rows` rows."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._paces: dict[tuple[str, ...], Pace] = {}
        self.of = self._paces.get

    def learn(self, outputs: tuple[str, ...], rows: int, seconds: float) -> None:
        """Learn from a batch that was computed in one call."""
        pace = self._paces.get(outputs)
        if pace is None:
            if len(self._paces) >= _MOST_PACES:
                self._paces.clear()
            pace = self._paces[outputs] = Pace()
        pace.learn(rows, seconds)

    def doubt(self) -> None:
        """Trust what was learnt no more than the next batch."""
        for pace in self._paces.values():
            pace.doubt()

    def seconds(self, outputs: tuple[str, ...], rows: int) -> float:
        """What a batch costs; nothing, as long as none like it was measured."""
        pace = self._paces.get(outputs)
        return 0.0 if pace is None else pace.seconds(rows)

    def remaining(self, outputs: tuple[str, ...], rows: int, elapsed: float) -> float:
        """How much longer a batch runs. What is late by so much may be, for all that is known, by as much again."""
        return abs(self.seconds(outputs, rows) - elapsed)

    def expected(self, pace: Pace, outputs: tuple[str, ...], size: int, ahead: Iterable[Ahead]) -> float:
        """Seconds from the next batch on until a request is answered behind outputs and rows that go before it."""
        seconds, same = pace.own(size), size
        for kind, rows in ahead:
            if kind == outputs:
                same += rows
                seconds += rows * pace.each
            elif (other := self._paces.get(kind)) is not None:
                seconds += ceil(rows / self._max_rows) * other.fixed + rows * other.each
        return seconds + ceil(same / self._max_rows) * pace.fixed

    def rows_of_slice(self, outputs: tuple[str, ...]) -> int:
        """How many rows of a large request one batch takes."""
        pace = self._paces.get(outputs)
        return max(self._max_rows, _UNMEASURED_ROWS if pace is None else pace.rows_within(SLICE_S))
