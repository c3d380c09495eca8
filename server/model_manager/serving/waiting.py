"""The requests that wait for a batch: the more urgent first, then in order of arrival, counted in rows.

In the flow: batcher.submit → **waiting** → the next batch. A request that is over (cancelled, expired) keeps no place:
it is taken out when its place is asked for, when time runs out for another, or when its turn comes, whichever is first.
Those of more rows than a batch takes wait in a line of their own (large.py), and leave in turns with the others.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

from model_manager.call import NORMAL, PRIORITIES
from model_manager.errors import DeadlineExceeded, Overloaded
from model_manager.metrics import DropReason
from model_manager.serving.batch import Item
from model_manager.serving.large import EXPIRED, LargeRequests, displace

Key: TypeAlias = tuple[object, ...]
"""What must be equal for requests to share a batch."""

_SHARE_OF_NEWEST: Final = 0.1
_LEAST_LEFT: Final = 0.1  # of the rows that leave, to the less urgent, when their time is judged
_LEVELS: Final = range(len(PRIORITIES))


class Queue(deque[Item]):
    """Requests that may share a batch, and the rows of all of them, those that are over among them."""

    __slots__ = ("rows",)

    def __init__(self, items: Iterable[Item] = ()) -> None:
        super().__init__(items)
        self.rows = sum(item.size for item in self)


class Waiting:
    """Queues of requests, at most `most_rows` rows of them; `dropped` counts those that leave without a prediction.

    `large` are those of more rows than a batch takes, which count by themselves.
    """

    def __init__(self, most_rows: int, dropped: Callable[[DropReason], None], large: LargeRequests) -> None:
        self.most_rows = most_rows
        self.large = large
        self._dropped = dropped
        self._levels: tuple[dict[Key, Queue], ...] = tuple({} for _ in _LEVELS)
        self.held_rows = 0
        """The rows in the queues, those of requests that are over and still to be taken out among them."""
        self._newest = 0
        self._listening_to = 0  # requests up to this arrival tell when they are over
        self._some_are_over = False
        self._was_large = False
        self._differ = False  # whether a priority other than the normal was ever asked for
        self._shares = [0.0 for _ in _LEVELS]
        """Of the rows that left lately, the share of each level."""

    def __bool__(self) -> bool:
        """Whether a batch could leave now."""
        return self.held_rows > 0 or bool(self.large)

    def __iter__(self) -> Iterator[Item]:
        """Every request that waits, those that are over among them."""
        return chain(chain.from_iterable(self._queues()), self.large)

    @property
    def rows(self) -> int:
        """The rows that wait."""
        return sum(item.size for queue in self._queues() for item in queue if not item.future.done()) + self.large.rows

    @property
    def requests(self) -> int:
        """The requests that wait."""
        waiting = sum(not item.future.done() for queue in self._queues() for item in queue)
        return waiting + self.large.requests

    def ahead(self, priority: int) -> list[tuple[tuple[str, ...], int]]:
        """Outputs and rows of what goes before a request of this priority, the large ones left out."""
        return [(queue[0].outputs, queue.rows) for level in self._levels[: priority + 1] for queue in level.values()]

    def is_full(self, priority: int) -> bool:
        """Whether not even one row of this priority could find a place, as far as is known without looking through."""
        if self.held_rows < self.most_rows or self._some_are_over or self._newest > self._listening_to:
            return False
        return sum(rows for _, rows in self.ahead(priority)) >= self.most_rows

    def make_room(self, size: int, priority: int = NORMAL) -> None:
        """Take out what is over, for more rows than fit, then the newest of lower priority.

        Raises Overloaded when they still do not fit, and others wait. A queue that stays full is not looked through for
        every request that it refuses, only when one of its own said that it is over, or when others were let in.
        """
        if self._some_are_over or self._newest > self._listening_to:
            self.purge()
        if not self.held_rows or self.held_rows + size <= self.most_rows:
            return
        lower = sum(queue.rows for level in self._levels[priority + 1 :] for queue in level.values())
        kept = self.held_rows - lower
        if kept and kept + size > self.most_rows:
            self._dropped("queue_full")
            raise Overloaded(
                f"the queue is full: {self.held_rows} rows are waiting (max_queue_rows is {self.most_rows}); "
                "try again later"
            )
        while self.held_rows and self.held_rows + size > self.most_rows:
            self.displace_newest(priority)

    def slowdown(self, priority: int) -> float:
        """How many times longer than the rows ahead tell a request waits, for more urgent ones still to come."""
        return 1 / max(1 - sum(self._shares[:priority]), _LEAST_LEFT) if self._differ else 1.0

    def newest_below(self, priority: int) -> tuple[int, Item] | None:
        """The request that would be shed first for one of this priority: the newest of the lowest, and its level."""
        for level in reversed(_LEVELS[priority + 1 :]):
            if self._levels[level]:
                return level, max((queue[-1] for queue in self._levels[level].values()), key=lambda item: item.order)
        return None

    def displace_newest(self, priority: int) -> None:
        """Refuse the newest request below this priority, of which there is one."""
        found = self.newest_below(priority)
        assert found is not None
        level, item = found
        key, queue = next(pair for pair in self._levels[level].items() if pair[1][-1] is item)
        queue.pop()
        queue.rows -= item.size
        self.held_rows -= item.size
        if not queue:
            del self._levels[level][key]
        if not item.future.done():
            displace(item, self._dropped)
        elif item.future.cancelled():
            self._dropped("cancelled_in_queue")

    def add(self, key: Key, item: Item, priority: int = NORMAL) -> None:
        """Let a request wait behind those that came before."""
        if priority != NORMAL:
            self._differ = True
        queues = self._levels[priority]
        queue = queues.get(key)
        if queue is None:
            queue = queues[key] = Queue()
        queue.append(item)
        queue.rows += item.size
        self.held_rows += item.size
        self._newest = item.order

    def take(self, now: float, most_rows: int) -> list[Item]:
        """Take the most urgent and oldest request still wanted, and others that may share its batch, up to `most_rows`.

        Or a slice of a large one, which is then the whole batch: in turns with the others where both are as urgent.
        """
        batch: list[Item] = []
        if self.large and self._is_turn_of_large():
            part = self.large.take(now)
            if part is not None:
                self._was_large = True
                return [part]
        rows = 0
        key: Key = ()
        for level, queues in enumerate(self._levels):
            if self._differ:
                self._shares[level] *= 1 - _SHARE_OF_NEWEST
            if not queues:
                continue
            before = rows
            while queues and not batch:
                key, queue = next(iter(queues.items())) if len(queues) == 1 else _oldest(queues)
                rows = self._fill(batch, queue, now, rows, most_rows)
                if not queue:
                    del queues[key]
            if rows < most_rows and key in queues:  # what is less urgent may come along
                rows = self._fill(batch, queues[key], now, rows, most_rows)
                if not queues[key]:
                    del queues[key]
            if self._differ:
                self._shares[level] += _SHARE_OF_NEWEST * (rows - before) / most_rows
        self._was_large = False
        return batch

    def purge(self) -> None:
        """Take out what is over, and listen to what stays.

        Worth it only for a queue that is full, or in which time ran out: a callback for every request would be paid for
        by all of them.
        """
        self._some_are_over = False
        for queues in self._levels:
            for key, queue in list(queues.items()):
                live = []
                for item in queue:
                    if item.future.done():
                        self._leave(item)
                    else:
                        live.append(item)
                        if item.order > self._listening_to:
                            item.future.add_done_callback(self._one_is_over)
                if live:
                    queues[key] = Queue(live)
                else:
                    del queues[key]
        self._listening_to = self._newest
        self.large.purge()

    def clear(self) -> list[Item]:
        """Take everything out, and return what is still wanted."""
        self.purge()
        wanted = [item for queue in self._queues() for item in queue]
        for queues in self._levels:
            queues.clear()
        self.held_rows = 0
        return wanted + self.large.clear()

    def _queues(self) -> Iterator[Queue]:
        return chain.from_iterable([level.values() for level in self._levels])

    def _is_turn_of_large(self) -> bool:
        most_urgent = next((level for level in _LEVELS if self._levels[level]), None)
        if most_urgent is None or self.large.priority < most_urgent:
            return True
        return self.large.priority == most_urgent and not self._was_large

    def _fill(self, batch: list[Item], queue: Queue, now: float, rows: int, most_rows: int) -> int:
        """Move what is still wanted from a queue to a batch that holds so many rows; return how many it holds then."""
        taken = 0
        while queue:
            item = queue[0]
            if item.future.done():
                taken += item.size
                self._leave(queue.popleft())
            elif item.deadline <= now:
                item.future.set_exception(DeadlineExceeded(EXPIRED))
                self._dropped("expired_in_queue")
            elif batch and rows + item.size > most_rows:
                break
            else:
                batch.append(queue.popleft())
                taken += item.size
                rows += item.size
                self.held_rows -= item.size
        queue.rows -= taken
        return rows

    def _leave(self, item: Item) -> None:
        self.held_rows -= item.size
        if item.future.cancelled():  # those that expired were counted when they did
            self._dropped("cancelled_in_queue")

    def _one_is_over(self, future: Any) -> None:
        self._some_are_over = True


def _oldest(queues: dict[Key, Queue]) -> tuple[Key, Queue]:
    return min(queues.items(), key=lambda pair: pair[1][0].order)
