"""The fixed bins of one column, made of its baseline, and which of them a value falls into.

In the flow: counting → **bins** → a bin's number for each value. What a model answers is foreign: nothing raises here.
"""

from itertools import pairwise
from typing import Final

import numpy as np

from model_manager.repository.metadata import Histogram
from model_manager.signature import Array

MISSING: Final = "missing"
_LONGEST: Final = 80


class Bins:
    """The bins of a column: numbers by interval, below and above all of them; or values, and any other one; missing.

    `baseline` has the rows of the training data in each. `rows`: those of the whole baseline, where a column
    may list the values of some only.
    """

    def __init__(self, known: Histogram, rows: int) -> None:
        self._known = known
        self._edges: Array | None = None
        self._values: dict[object, int] = {}
        if known.edges is not None:
            self._edges = np.asarray(known.edges, dtype=np.float64)
            counts = [0, *known.counts, 0, known.missing]
        else:
            self._values = {value: number for number, value in enumerate(known.values or ())}
            # of few rows each, which a baseline does not list; where there were none, it was never seen
            counts = [*known.counts, max(0, rows - sum(known.counts) - known.missing), known.missing]
        self.baseline: Array = np.array(counts, dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """What each bin is called, for people."""
        known = self._known
        if known.edges is not None:
            inner = [f"{low:.6g} – {high:.6g}" for low, high in pairwise(known.edges)]
            return [f"below {known.edges[0]:.6g}", *inner, f"above {known.edges[-1]:.6g}", MISSING]
        others = "others" if self.baseline[-2] else "unseen"
        return [*(str(value)[:_LONGEST] for value in known.values or ()), others, MISSING]

    @property
    def is_usable(self) -> bool:
        """Whether counts and bins fit together: metadata is written by anybody."""
        edges, bins = self._edges, len(self.baseline) - 2
        if edges is None:
            return bins == len(self._values) and bool(self.baseline.any())
        rising = len(edges) > 1 and np.isfinite(edges).all() and (np.diff(edges) > 0).all()
        return bool(rising) and bins == len(edges) and bool(self.baseline.any())

    def place(self, values: Array) -> Array:
        """The bins' numbers of a one-dimensional array; what cannot be told is any other value, or above."""
        return self._by_value(values) if self._edges is None else self._by_interval(values, self._edges)

    def _by_interval(self, values: Array, edges: Array) -> Array:
        unknown, missing = len(edges), len(edges) + 1
        if values.dtype.kind not in "fiub":
            values = np.array([_number(value) for value in values.tolist()], dtype=np.float64)
        numbers = values.astype(np.float64, copy=False)
        placed = np.searchsorted(edges, numbers, side="right")
        placed[numbers == edges[-1]] = unknown - 1
        placed[~np.isfinite(numbers)] = missing
        return placed

    def _by_value(self, values: Array) -> Array:
        others = len(self.baseline) - 2
        return np.array([self._number_of(value, others) for value in values.tolist()], dtype=np.intp)

    def _number_of(self, value: object, others: int) -> int:
        try:
            if value is None or value != value:
                return others + 1
            return self._values.get(value, others)
        except Exception:  # the model's own class, or nothing that can be looked up
            return others


def _number(value: object) -> float:
    """A number in an array of Python objects; one that is missing, or no number, is NaN."""
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception:
        return np.nan
