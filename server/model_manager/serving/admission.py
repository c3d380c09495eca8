"""Whether a request could be answered before its deadline, judged by what batches took: one that could not is refused.

In the flow: batcher.submit → **admission** → waiting. A request that waits only to expire costs its caller the whole
deadline and the model a place in the queue; refused at once, it may still succeed elsewhere.
"""

from collections.abc import Callable, Sequence
from math import ceil
from time import perf_counter
from typing import Final

from model_manager.call import LOW
from model_manager.errors import Overloaded
from model_manager.metrics import DropReason
from model_manager.serving.batch import Item
from model_manager.serving.pace import Pace, Paces
from model_manager.serving.waiting import Waiting

_MARGIN: Final = 1.25
"""So much longer than expected a wait may become with every deadline still kept."""
_LONGEST_RETRY_S: Final = 60


class Admission:
    """Judges requests by what waits and by the paces. `dropped` counts those that it refuses; `now` is loop time.

    `running` is the batch that runs on a thread, empty if none does, and `started` when it left (perf_counter).
    """

    def __init__(
        self,
        waiting: Waiting,
        paces: Paces,
        max_rows: int,
        dropped: Callable[[DropReason], None],
        now: Callable[[], float],
    ) -> None:
        self._waiting = waiting
        self._paces = paces
        self._max_rows = max_rows
        self._dropped = dropped
        self._now = now

    def check_room(self, deadline: float, priority: int, *, running: Sequence[Item], started: float) -> None:
        """Raise Overloaded if not even one row could be queued, or answered in time."""
        self._check(1, running[0].outputs, deadline, priority, large=False, running=running, started=started)
        if self._waiting.held_rows >= self._waiting.most_rows:
            self._waiting.make_room(1, priority)

    def make_room(
        self,
        size: int,
        outputs: tuple[str, ...],
        deadline: float,
        priority: int,
        *,
        large: bool,
        running: Sequence[Item],
        started: float,
    ) -> None:
        """See that a request can be queued, and answered in time. Raises Overloaded."""
        waiting = self._waiting
        if running:
            self._check(size, outputs, deadline, priority, large=large, running=running, started=started)
        if large:
            waiting.large.make_room(size, priority)
        elif waiting.held_rows and waiting.held_rows + size > waiting.most_rows:
            waiting.make_room(size, priority)
        if priority < LOW and running:
            self._shed_late(size, priority, self._now())

    def _check(
        self,
        size: int,
        outputs: tuple[str, ...],
        deadline: float,
        priority: int,
        *,
        large: bool,
        running: Sequence[Item],
        started: float,
    ) -> None:
        """Let a request pass that can be answered before its deadline, or of which nothing is known."""
        pace = self._paces.of(outputs)
        if pace is None:
            return
        elapsed, left = perf_counter() - started, deadline - self._now()
        remaining = self._paces.remaining(running[0].outputs, sum(item.size for item in running), elapsed)
        seconds = (self._of_large if large else self._of_others)(size, pace, outputs, priority)
        seconds = seconds * self._waiting.slowdown(priority) + remaining
        if seconds * _MARGIN > left:
            self._dropped("queue_full")
            raise Overloaded(
                f"too busy to answer in time: with what is waiting it would take about {seconds:.3g} s, and this "
                f"request has {max(left, 0.0):.3g} s left; try again later",
                retry_after_s=min(max(ceil(seconds), 1), _LONGEST_RETRY_S),
            )

    def _shed_late(self, size: int, priority: int, now: float) -> None:
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
