"""Two versions, compared again and again by what Prometheus saw of them lately.

In the flow: stepping, after each wait → **judging** → evidence → comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model_manager.rollout.comparison import Comparison, Limits, compare
from model_manager.rollout.evidence import Question, gather
from model_manager.rollout.prometheus import Prometheus


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares a new version of a model with the stable one over the last `window_s`."""

    prometheus: Prometheus
    model: str
    stable: str
    new: str
    matchers: Sequence[str]
    window_s: int
    limits: Limits

    def compare(self) -> Comparison:
        """What is to be said of them now. Raises QueryFailed."""
        question = Question(
            model=self.model,
            label="model_version",
            matchers=tuple(self.matchers),
            window_s=self.window_s,
            at=self.prometheus.now(),
        )
        stable, new = (gather(self.prometheus, question, side) for side in (self.stable, self.new))
        return compare(stable, new, self.limits)
