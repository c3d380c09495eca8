"""What adds up over predictions and processes: counts and sums of scored rows, and the figures made of them. Pure.

In the flow: kept (a row whose time is over) → **sums** → tallies.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import exp, log, sqrt
from operator import add
from typing import Final

import msgspec

ERRORS: Final = (*(float(f"{digit}e{power}") for power in range(-6, 6) for digit in (1, 2, 5)), 1e6)
"""Bounds of absolute errors: the same for every version, so that two can be compared, and pods added up."""
LOSSES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
LAGS: Final = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0, 2592000.0)
_SCORES: Final = tuple(1 / (1 + exp(-step / 4)) for step in range(-28, 29))
"""Bounds of scores, even in their log-odds: most scores of a rare class lie close to 0."""
_LEAST_CHANCE: Final = 1e-15


def _none(bounds: Sequence[float]) -> list[int]:
    return [0] * (len(bounds) + 1)


class Sums(msgspec.Struct):
    """Rows whose time for labels is over, those of them with a label, and how those were answered.

    `errors` and `absolute`, `losses` and `loss`, `lags` and `lag`: a histogram and the sum of what it counts.
    `positives` and `negatives`: rows by the score of a binary model's second class, of the one truth and the other.
    """

    mature: int = 0
    labelled: int = 0
    right: int = 0
    wrong: int = 0
    errors: list[int] = msgspec.field(default_factory=lambda: _none(ERRORS))
    absolute: float = 0.0
    squared: float = 0.0
    losses: list[int] = msgspec.field(default_factory=lambda: _none(LOSSES))
    loss: float = 0.0
    lags: list[int] = msgspec.field(default_factory=lambda: _none(LAGS))
    lag: float = 0.0
    positives: list[int] = msgspec.field(default_factory=lambda: _none(_SCORES))
    negatives: list[int] = msgspec.field(default_factory=lambda: _none(_SCORES))

    def count_label(self, lag_s: float) -> None:
        """Count a row that has a label, which came so long after the answer."""
        self.labelled += 1
        self.lags[bisect_left(LAGS, lag_s)] += 1
        self.lag += lag_s

    def count_class(self, right: bool) -> None:
        """Count a class that was answered."""
        self.right += right
        self.wrong += not right

    def count_number(self, answer: float, truth: float) -> None:
        """Count a number that was answered."""
        off = abs(answer - truth)
        self.errors[bisect_left(ERRORS, off)] += 1
        self.absolute += off
        self.squared += off * off

    def count_chances(self, chances: Sequence[float], truth: int) -> None:
        """Count the probabilities of a row by class, of which the one at `truth` was the true one."""
        loss = -log(min(1.0, max(_LEAST_CHANCE, chances[truth])))
        self.losses[bisect_left(LOSSES, loss)] += 1
        self.loss += loss
        if len(chances) == 2:
            (self.positives if truth else self.negatives)[bisect_left(_SCORES, chances[1])] += 1

    def add(self, other: "Sums") -> None:
        """Add what another one counted."""
        for name in self.__struct_fields__:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, list(map(add, mine, its)) if isinstance(mine, list) else mine + its)

    @property
    def coverage(self) -> float | None:
        """The share of rows that have a label, of those whose time for one is over; None without any."""
        return self.labelled / self.mature if self.mature else None

    @property
    def figures(self) -> dict[str, float]:
        """The metrics that can be said of these rows, by name."""
        figures = {}
        if classes := self.right + self.wrong:
            figures["accuracy"] = self.right / classes
        if chances := sum(self.losses):
            figures["log_loss"] = self.loss / chances
        auc = _auc(self.negatives, self.positives)
        if auc is not None:
            figures["roc_auc"] = auc
        if numbers := sum(self.errors):
            figures["mae"] = self.absolute / numbers
            figures["rmse"] = sqrt(self.squared / numbers)
        return figures


def _auc(negatives: Sequence[int], positives: Sequence[int]) -> float | None:
    """How likely a row of the second class has the higher score of two; half for two of the same bin."""
    pairs = sum(negatives) * sum(positives)
    if not pairs:
        return None
    below = won = 0.0
    for negative, positive in zip(negatives, positives, strict=True):
        won += positive * (below + negative / 2)
        below += negative
    return won / pairs
