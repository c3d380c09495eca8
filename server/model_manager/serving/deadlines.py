"""One timer for the earliest of many deadlines: a request that waits is told in time, whatever the model does.

In the flow: batcher → **deadlines** → those whose time is over.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf

from model_manager.errors import DeadlineExceeded
from model_manager.metrics import DropReason
from model_manager.serving.batch import Item, unanswered
from model_manager.serving.large import EXPIRED


class Deadlines:
    """Rings at the earliest deadline that it was told of.

    `expire` is called with the time of the loop, answers whose time is over, and gives the deadlines of the others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[float], Iterable[float]]) -> None:
        self._loop = loop
        self._expire = expire
        self._alarm: asyncio.TimerHandle | None = None
        self.due = inf
        """When it rings next, in loop time; infinite: not again."""

    def watch(self, deadline: float) -> None:
        """See that it rings by then, if that is before it is `due`."""
        if deadline < self.due:
            if self._alarm is not None:
                self._alarm.cancel()
            self.due, self._alarm = deadline, self._loop.call_at(deadline, self._ring)

    def stop(self) -> None:
        """Ring no more, and let go of whoever was to be told: a circle would keep a model until it is collected."""
        self._expire = lambda now: ()
        if self._alarm is not None:
            self._alarm.cancel()
        self.due, self._alarm = inf, None

    def _ring(self) -> None:
        self.due, self._alarm = inf, None
        earliest = min(self._expire(self._loop.time()), default=None)
        if earliest is not None:
            self.watch(earliest)


def expire(items: Iterable[Item], now: float, reason: DropReason, dropped: Callable[[DropReason], None]) -> list[float]:
    """Answer those whose time is over, and give the deadlines of those that go on waiting."""
    later = []
    for item in unanswered(items):
        if item.deadline > now:
            later.append(item.deadline)
        else:
            item.future.set_exception(DeadlineExceeded(EXPIRED))
            dropped(reason)
    return later
