"""The requests that wait for a batch: in order of arrival, those that may share one together, counted in rows.

In the flow: batcher.submit → **waiting** → the next batch. A request that is over (cancelled, expired) keeps no place:
it is taken out when its place is asked for, when time runs out for another, or when its turn comes, whichever is first.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, TypeAlias

from model_manager.errors import DeadlineExceeded, Overloaded
from model_manager.metrics import DropReason
from model_manager.serving.batch import Item

Key: TypeAlias = tuple[object, ...]
"""What must be equal for requests to share a batch."""

EXPIRED: Final = "the time allowed for this request passed before the model answered"


class Waiting:
    """Queues of requests, at most `most_rows` rows of them; `dropped` counts those that leave without a prediction."""

    def __init__(self, most_rows: int, dropped: Callable[[DropReason], None]) -> None:
        self.most_rows = most_rows
        self._dropped = dropped
        self._queues: dict[Key, deque[Item]] = {}
        self.held_rows = 0
        """The rows in the queues, those of requests that are over and still to be taken out among them."""
        self._newest = 0
        self._listening_to = 0  # requests up to this arrival tell when they are over
        self._some_are_over = False

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Item]:
        """Every request in the queues, those that are over among them."""
        return chain.from_iterable(self._queues.values())

    @property
    def rows(self) -> int:
        """The rows that wait."""
        return sum(item.size for item in self if not item.future.done())

    @property
    def requests(self) -> int:
        """The requests that wait."""
        return sum(not item.future.done() for item in self)

    def make_room(self, size: int) -> None:
        """Take out what is over, for more rows than fit. Raises Overloaded when they still do not, and others wait.

        A queue that stays full is not looked through for every request that it refuses, only when one of its own said
        that it is over, or when others were let in.
        """
        if self._some_are_over or self._newest > self._listening_to:
            self.purge()
        if self.held_rows and self.held_rows + size > self.most_rows:
            self._dropped("queue_full")
            raise Overloaded(
                f"the queue is full: {self.held_rows} rows are waiting (max_queue_rows is {self.most_rows}); "
                "try again later"
            )

    def add(self, key: Key, item: Item) -> None:
        """Let a request wait behind those that came before."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(item)
        self.held_rows += item.size
        self._newest = item.order

    def take(self, now: float, most_rows: int) -> list[Item]:
        """Take the oldest request still wanted, and others that may share its batch, up to `most_rows` rows."""
        batch: list[Item] = []
        rows = 0
        while self._queues and not batch:
            key, queue = next(iter(self._queues.items())) if len(self._queues) == 1 else self._oldest()
            while queue:
                item = queue[0]
                if item.future.done():
                    self._leave(queue.popleft())
                elif item.deadline <= now:
                    item.future.set_exception(DeadlineExceeded(EXPIRED))
                    self._dropped("expired_in_queue")
                elif batch and rows + item.size > most_rows:
                    break
                else:
                    batch.append(queue.popleft())
                    rows += item.size
            if not queue:
                del self._queues[key]
        self.held_rows -= rows
        return batch

    def _oldest(self) -> tuple[Key, deque[Item]]:
        return min(self._queues.items(), key=lambda queue: queue[1][0].order)

    def purge(self) -> None:
        """Take out what is over, and listen to what stays.

        Worth it only for a queue that is full, or in which time ran out: a callback for every request would be paid for
        by all of them.
        """
        self._some_are_over = False
        for key, queue in list(self._queues.items()):
            live: deque[Item] = deque()
            for item in queue:
                if item.future.done():
                    self._leave(item)
                else:
                    live.append(item)
                    if item.order > self._listening_to:
                        item.future.add_done_callback(self._one_is_over)
            if live:
                self._queues[key] = live
            else:
                del self._queues[key]
        self._listening_to = self._newest

    def clear(self) -> list[Item]:
        """Take everything out, and return what is still wanted."""
        self.purge()
        wanted = list(self)
        self._queues.clear()
        self.held_rows = 0
        return wanted

    def _leave(self, item: Item) -> None:
        self.held_rows -= item.size
        if item.future.cancelled():  # those that expired were counted when they did
            self._dropped("cancelled_in_queue")

    def _one_is_over(self, future: Any) -> None:
        self._some_are_over = True
