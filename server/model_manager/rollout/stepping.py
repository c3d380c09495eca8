"""A rollout step by step: weights → wait → verdict → the next weights, or back. Pure but for what it is given to call.

In the flow: `model-manager rollout` → **stepping** → reads and writes weights, asks for comparisons. Where a rollout
is, the weights themselves say, so what was interrupted at any moment is gone on with by starting it again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from model_manager.errors import ConfigurationError, QueryFailed
from model_manager.rollout.comparison import Comparison

Outcome = Literal["done", "worse", "cannot tell", "changed"]
EXIT_CODES: Final[dict[Outcome, int]] = {"done": 0, "worse": 1, "changed": 2, "cannot tell": 3}

LONGEST_BEAT_S: Final = 30.0
"""So often at the least a step is looked at, so that a bad version is taken back before its interval is over."""
_TRIES: Final = 12
_TROUBLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """From one version to another by steps, in percent.

    Each is held for `interval_s`, and then until its verdict is clear, which may take `patience_s` more.
    """

    stable: str
    new: str
    steps: Sequence[int]
    interval_s: float
    patience_s: float


class Weights(Protocol):
    """Where the weights of a model are, in percent by version."""

    def read(self) -> Mapping[str, int]:
        """What they are now."""

    def write(self, weights: Mapping[str, int]) -> None:
        """Change them, if nobody else did since they were read."""


def weights_at(weights: Mapping[str, int], plan: Plan, percent: int) -> dict[str, int]:
    """The weights with so many percent for the new version, at the cost of the stable one; others keep theirs."""
    together = weights.get(plan.stable, 0) + weights.get(plan.new, 0)
    share = min(percent, together)
    return {**weights, plan.stable: together - share, plan.new: share}


def walk(
    plan: Plan,
    place: Weights,
    *,
    compare: Callable[[], Comparison],
    wait: Callable[[float], None],
    entered: Callable[[int], None],
    left: Callable[[int, Comparison | None], None],
) -> Outcome:
    """Go on from where the weights are until the last step, or back to nothing when the new version is worse.

    `entered` is told of each weight that the new version gets, `left` of what was found of one that was held; there is
    no comparison where Prometheus gave no answer. What leaves the stable version without traffic needs none.
    """
    while True:
        weights = place.read()
        at = weights.get(plan.new, 0)
        if at and weights.get(plan.stable, 0):
            held = _hold(plan, place, at, compare=compare, wait=wait)
            if held == "changed":
                return "changed"
            left(at, held)
            if held is not None and held.verdict == "worse":
                _back(plan, place, wait, entered)
                return "worse"
            if held is None or held.verdict == "not enough data":
                return "cannot tell"
        step = min((step for step in plan.steps if step > at), default=None)
        if step is None or not weights.get(plan.stable, 0):
            return "done"
        _step(plan, place, step, entered)


def _step(plan: Plan, place: Weights, percent: int, entered: Callable[[int], None]) -> None:
    weights = weights_at(place.read(), plan, percent)
    place.write(weights)
    entered(weights[plan.new])


def _back(plan: Plan, place: Weights, wait: Callable[[float], None], entered: Callable[[int], None]) -> None:
    """Take the traffic from the new version, however often it takes: this must not fail for a moment's trouble."""
    for _ in range(_TRIES):
        try:
            return _step(plan, place, 0, entered)
        except ConfigurationError:
            wait(_TROUBLE_S)
    return _step(plan, place, 0, entered)


def _hold(
    plan: Plan, place: Weights, at: int, *, compare: Callable[[], Comparison], wait: Callable[[float], None]
) -> Comparison | Literal["changed"] | None:
    """Wait until a step's verdict is clear, or patience ends; what is worse is not held any longer."""
    waited, beat = 0.0, min(plan.interval_s, LONGEST_BEAT_S)
    while True:
        wait(beat)
        waited += beat
        if place.read().get(plan.new, 0) != at:
            return "changed"
        try:
            found = compare()
        except QueryFailed:  # it may be there again at the next beat
            found = None
        if found is not None and found.verdict == "worse":
            return found
        clear = found is not None and found.verdict == "no worse"
        if (clear and waited >= plan.interval_s) or waited >= plan.interval_s + plan.patience_s:
            return found
