"""Whether a request could be answered before its deadline, judged by what batches took: one that could not is refused.

In the flow: batcher.submit → **admission** → waiting. A request that waits only to expire costs its caller the whole
deadline and the model a place in the queue; refused at once, it may still succeed elsewhere.
"""

from collections.abc import Callable
from math import ceil
from typing import Final

from model_manager.errors import Overloaded
from model_manager.metrics import DropReason
from model_manager.serving.pace import Pace, Paces
from model_manager.serving.waiting import Waiting

_MARGIN: Final = 1.25
"""So much longer than expected a wait may become with every deadline still kept."""
_LONGEST_RETRY_S: Final = 60


class Admission:
    """Judges requests by what waits and by the paces. `dropped` counts those that it refuses."""

    def __init__(self, waiting: Waiting, paces: Paces, max_rows: int, dropped: Callable[[DropReason], None]) -> None:
        self._waiting = waiting
        self._paces = paces
        self._max_rows = max_rows
        self._dropped = dropped

    def check(
        self, size: int, outputs: tuple[str, ...], priority: int, *, large: bool, remaining: float, left: float
    ) -> None:
        """Let a request pass that can be answered within the seconds `left`, or of which nothing is known.

        `remaining` are those for which the batch that runs is expected to run. Raises Overloaded.
        """
        pace = self._paces.of(outputs)
        if pace is None:
            return
        seconds = (self._of_large if large else self._of_others)(size, pace, outputs, priority)
        seconds = seconds * self._waiting.slowdown(priority) + remaining
        if seconds * _MARGIN > left:
            self._dropped("queue_full")
            raise Overloaded(
                f"too busy to answer in time: with what is waiting it would take about {seconds:.3g} s, and this "
                f"request has {max(left, 0.0):.3g} s left; try again later",
                retry_after_s=min(max(ceil(seconds), 1), _LONGEST_RETRY_S),
            )

    def shed_late(self, size: int, priority: int, now: float) -> None:
        """Refuse what waits at a lower priority, newest first, for which so many rows more leave no time."""
        waiting = self._waiting
        while (found := waiting.newest_below(priority)) is not None:
            level, item = found
            pace = self._paces.of(item.outputs)
            if pace is None:
                return
            seconds = self._paces.expected(pace, item.outputs, size, waiting.ahead(level)) * waiting.slowdown(level)
            if seconds <= item.deadline - now:
                return
            waiting.displace_newest(priority)

    def _of_large(self, size: int, pace: Pace, outputs: tuple[str, ...], priority: int) -> float:
        seconds = self._paces.expected(pace, outputs, size, self._waiting.large.ahead(priority))
        return 2 * seconds if self._waiting.held_rows else seconds  # others have every other turn

    def _of_others(self, size: int, pace: Pace, outputs: tuple[str, ...], priority: int) -> float:
        ahead = self._waiting.ahead(priority)
        seconds = self._paces.expected(pace, outputs, size, ahead)
        kind = self._waiting.large.contending(priority)
        if kind is None:
            return seconds
        turns = 1 + sum(rows for _, rows in ahead) // self._max_rows
        return seconds + turns * self._paces.seconds(kind, self._paces.rows_of_slice(kind))
