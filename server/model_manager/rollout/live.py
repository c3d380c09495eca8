"""Whether the canary was right less often, by labels that came, or drifts where stable does not. Pure.

In the flow: evidence → **live** → comparison. Both checks are made only where somebody counts: a server that takes no
labels has none. Answers are counted when their time for a label is over (metrics.catalogue.feedback), so what either
side counted within a window had as long for its labels to come.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from model_manager.rollout.distribution import Histogram

DRIFTED: Final = 0.2
"""The PSI from which a column has drifted, where chance would not make as much; as the server has it."""


@dataclass(frozen=True, slots=True)
class Live:
    """Answered rows of one side that matured within the window, those with a label by outcome, and what drifts now.

    `off`: how far answered numbers were from their labels, and `absolute` the sum of that. `coverage` is told, and
    judged by nobody: labels that come for some kinds of rows alone come so for both sides. `psi`: of every column that
    is told of, and `noise` what chance may show; the largest of any pod.
    """

    mature: int = 0
    right: int = 0
    wrong: int = 0
    off: Histogram = field(default_factory=Histogram)
    absolute: float = 0.0
    psi: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """The rows with a label that a class was answered to, or a number."""
        return self.right + self.wrong + round(self.off.total)

    @property
    def accuracy(self) -> float:
        """The share of right answers among those of a class; NaN without any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else math.nan

    @property
    def mean_error(self) -> float:
        """How far numbers were from their labels on average; NaN without any."""
        return self.absolute / self.off.total if self.off.total else math.nan

    @property
    def coverage(self) -> float:
        """The share of mature rows with a label; NaN without any."""
        return self.labelled / self.mature if self.mature else math.nan

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns whose shift is a major one, and more than chance would make."""
        return tuple(
            sorted(name for name, psi in self.psi.items() if psi > DRIFTED and psi > self.noise.get(name, 0.0))
        )
