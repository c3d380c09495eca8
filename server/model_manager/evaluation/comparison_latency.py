"""How long A and B take, one after the other again and again, so that what else the machine does hits both alike.

Place in the flow: beside the answers; shown, and judged only where a limit is given.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from model_manager.signature import Array

_LEAST_ROUNDS: Final = 7
"""So many that chance is ruled out where B is slower in all of them, whatever else is judged."""
_LONGEST_S: Final = 60.0
"""After which (s) no more rounds are begun, though they be fewer."""
_ONE_ROW: Final = (200, 1.5)
_ALL_ROWS: Final = (30, 3.0)
"""The most rounds, and the seconds (s) after which no more than the least are begun."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations (s) of A and of B, one of each a round."""

    a: Array
    b: Array

    @property
    def ratio(self) -> float:
        """How many times as long as A B takes, by the medians."""
        return float(np.median(self.b) / np.median(self.a))


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations of answering one row, and all rows. Not `comparable` where one side alone is asked over a network."""

    one: Timing
    all: Timing
    rows: int
    comparable: bool


def measure(
    a: Callable[[int, int], object], b: Callable[[int, int], object], *, rows: int, comparable: bool
) -> Latency:
    """Time two sides. Each is asked for the rows from one position to another."""
    one = _alternating(lambda at: a(at % rows, at % rows + 1), lambda at: b(at % rows, at % rows + 1), *_ONE_ROW)
    all_rows = _alternating(lambda _: a(0, rows), lambda _: b(0, rows), *_ALL_ROWS)
    return Latency(one, all_rows, rows, comparable)


def _alternating(a: Callable[[int], object], b: Callable[[int], object], most: int, limit_s: float) -> Timing:
    a(0), b(0)  # what is done once, is done
    began = time.perf_counter()
    durations: list[tuple[float, float]] = []
    while (at := len(durations)) < most:
        took = time.perf_counter() - began
        if took > (limit_s if at >= _LEAST_ROUNDS else _LONGEST_S) and at:
            break
        if at % 2:
            took_b, took_a = _seconds(b, at), _seconds(a, at)
        else:
            took_a, took_b = _seconds(a, at), _seconds(b, at)
        durations.append((took_a, took_b))
    return Timing(*np.array(durations).T)


def _seconds(call: Callable[[int], object], at: int) -> float:
    began = time.perf_counter()
    call(at)
    return time.perf_counter() - began
