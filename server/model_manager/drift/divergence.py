"""How far a window of counts lies from its baseline: effect sizes, and how much of one chance alone would make. Pure.

In the flow: tallies → **divergence** → metrics and report. No p-values: with enough rows those call every difference
significant, and with few rows none.
"""

from collections.abc import Sequence
from math import log, log2, sqrt
from typing import Final, NamedTuple

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


def divergence(baseline: Sequence[int], window: Sequence[int]) -> Divergence | None:
    """Compare counts of the same bins; None where one side has too few rows for anything to be said.

    A bin that was empty in the baseline counts as if half a row had been seen in it, so that its PSI is finite; the
    window leans on the baseline with the weight of one row, so that empty bins of a small window say nothing.
    """
    known, seen = sum(baseline), sum(window)
    if seen < MIN_ROWS or not known:
        return None
    whole = known + 0.5 * len(baseline)
    psi = js = 0.0
    for before, now in zip(baseline, window, strict=True):
        q = (before + 0.5) / whole
        p = (now + q) / (seen + 1)
        psi += (p - q) * log(p / q)
        middle = (p + q) / 2
        js += (p * log2(p / middle) + q * log2(q / middle)) / 2
    free = max(1, sum(count > 0 for count in baseline) - 1)
    # n·m/(n+m) times PSI is about chi-squared with `free` degrees of freedom when nothing has changed; less so with few
    # rows a bin, whose logarithms are skewed: the second factor grows with the relative variance of a bin
    few = 1 / seen + 1 / known
    noise = (free + _DEVIATIONS * sqrt(2 * free)) * few * (1 + _SKEW * (free + 1) * few)
    return Divergence(psi, sqrt(max(0.0, js)), noise)
