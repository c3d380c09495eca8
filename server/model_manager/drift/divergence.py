"""How far a window of counts lies from its baseline: effect sizes, and how much of one chance alone would make. Pure.

In the flow: tallies → **divergence** → metrics and report. No p-values: with enough rows those call every difference
significant, and with few rows none.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

MIN_ROWS: Final = 200
"""Rows of a column in the window before anything is said of it."""

THRESHOLD: Final = 0.2
"""The PSI from which a column has drifted, if chance would not make as much: the field's word for a major shift."""

_DEVIATIONS: Final = 10.0
"""So many, because a model has many columns, and looks at each all day."""

_SKEW: Final = 4.0


class Divergence(NamedTuple):
    """Of one column: PSI in nats, 0 for equal; the Jensen–Shannon distance in 0…1; the PSI that chance may make."""

    psi: float
    js: float
    noise: float

    @property
    def drifted(self) -> bool:
        """Whether the shift is a major one, and more than chance would make."""
        return self.psi > THRESHOLD and self.psi > self.noise

    @property
    def rank(self) -> float:
        """What columns are put in order by: above 1 it has drifted."""
        return self.psi / max(THRESHOLD, self.noise)


def divergences(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Divergence | None]:
    """Compare counts of the same bins, baseline and window of each column; None where one side has too few rows.

    A bin that was empty in the baseline counts as if half a row had been seen in it, so that its PSI is finite; the
    window leans on the baseline with the weight of one row, so that empty bins of a small window say nothing. No column
    is without bins. All at once: a version may have a thousand, and meanwhile others wait for the interpreter.
    """
    if not pairs:
        return []
    widths = np.array([len(baseline) for baseline, _ in pairs])
    before, now = (np.fromiter(chain.from_iterable(side), np.float64) for side in zip(*pairs, strict=True))
    starts = np.cumsum(widths) - widths
    known, seen = np.add.reduceat(before, starts), np.add.reduceat(now, starts)
    q = (before + 0.5) / np.repeat(known + 0.5 * widths, widths)
    p = (now + q) / np.repeat(seen + 1, widths)
    middle = (p + q) / 2
    psi = np.add.reduceat((p - q) * np.log(p / q), starts)
    js = np.add.reduceat((p * np.log2(p / middle) + q * np.log2(q / middle)) / 2, starts)
    free = np.maximum(1, np.add.reduceat((before > 0).astype(np.float64), starts) - 1)
    # n·m/(n+m) times PSI is about chi-squared with `free` degrees of freedom when nothing has changed; less so with few
    # rows a bin, whose logarithms are skewed: the second factor grows with the relative variance of a bin
    few = 1 / np.maximum(1, seen) + 1 / np.maximum(1, known)
    noise = (free + _DEVIATIONS * np.sqrt(2 * free)) * few * (1 + _SKEW * (free + 1) * few)
    figures = zip(psi.tolist(), np.sqrt(np.maximum(0, js)).tolist(), noise.tolist(), strict=True)
    told = ((seen >= MIN_ROWS) & (known > 0)).tolist()
    return [Divergence(*each) if says else None for each, says in zip(figures, told, strict=True)]
