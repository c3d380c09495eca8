"""Requests of more rows than a batch takes: answered in slices, between which others have their turn.

In the flow: batcher.submit → waiting → **large** → one slice after another as batches of their own → the whole answer.
The first in line is worked on to its end, so that the one behind it does not make both of them late.
"""

import asyncio
from bisect import insort
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final, TypeAlias

import numpy as np

from model_manager.errors import DeadlineExceeded, Overloaded, PredictionFailed
from model_manager.metrics import DropReason
from model_manager.serving.batch import Item, Results
from model_manager.signature import Rows

EXPIRED: Final = "the time allowed for this request passed before the model answered"

RowsOfSlice: TypeAlias = Callable[[tuple[str, ...]], int]
"""How many rows the next batch of these outputs may take."""


class Large:
    """One large request: `item` is the whole of it, of which `taken` rows are answered or being answered."""

    __slots__ = ("answers", "item", "priority", "taken")

    def __init__(self, item: Item, priority: int) -> None:
        self.item = item
        self.priority = priority
        self.taken = 0
        self.answers: list[Results] = []

    def __lt__(self, other: "Large") -> bool:
        return (self.priority, self.item.order) < (other.priority, other.item.order)

    @property
    def rest(self) -> int:
        """The rows that no batch took yet."""
        return self.item.size - self.taken

    def next_slice(self, rows: int) -> Item:
        """Take the next rows as an item of their own, with a future of its own."""
        whole, start = self.item, self.taken
        stop = self.taken = min(start + rows, whole.size)
        part = Rows(tuple(block[start:stop] for block in whole.rows.blocks))
        future: asyncio.Future[Results] = whole.future.get_loop().create_future()
        queued_at = whole.queued_at if not start else perf_counter()
        return Item(part, stop - start, whole.outputs, whole.deadline, future, whole.order, whole.observed, queued_at)

    def answer(self) -> Results:
        """The answers to all slices, in order."""
        return {name: np.concatenate([part[name] for part in self.answers]) for name in self.answers[0]}


class LargeRequests:
    """The large requests of one version. Behind the one that is worked on, `most_rows` rows may wait, or one request.

    `again` is called with the next in line when a slice has ended. `dropped` counts what leaves without a prediction.
    """

    def __init__(
        self,
        most_rows: int,
        dropped: Callable[[DropReason], None],
        rows_of_slice: RowsOfSlice,
        again: Callable[[Item], None],
    ) -> None:
        self._most_rows = most_rows
        self._dropped = dropped
        self._rows_of_slice = rows_of_slice
        self._again = again
        self._line: list[Large] = []
        self._running: Large | None = None
        self._slice: asyncio.Future[Results]

    def __bool__(self) -> bool:
        """Whether a slice could leave now: of one request at a time."""
        return self._running is None and bool(self._line)

    def __iter__(self) -> Iterator[Item]:
        """Every request that waits for its first or its next slice."""
        return iter([one.item for one in self._line])

    @property
    def priority(self) -> int:
        """How urgent the first in line is."""
        return self._line[0].priority

    @property
    def rows(self) -> int:
        """The rows that wait, those of requests of which a slice is running among them."""
        return sum(one.rest for one in self._live())

    @property
    def requests(self) -> int:
        """The requests that wait, as a whole or in part."""
        return sum(1 for one in self._live() if one.rest)

    def contending(self, priority: int) -> tuple[str, ...] | None:
        """The outputs of slices that take turns with batches of this priority, or go before them; None if none do."""
        return next((one.item.outputs for one in self._live() if one.rest and one.priority <= priority), None)

    def ahead(self, priority: int) -> Iterator[tuple[tuple[str, ...], int]]:
        """Outputs and rows of those that go before a large request of this priority."""
        return ((one.item.outputs, one.rest) for one in self._live() if one.priority <= priority)

    def make_room(self, size: int, priority: int) -> None:
        """See that a request may wait; newer ones of lower priority give their place. Raises Overloaded."""
        self.purge()
        behind = self._line if self._running is not None else self._line[1:]
        rows = sum(one.rest for one in behind)
        kept = [one for one in behind if one.priority <= priority]
        if kept and sum(one.rest for one in kept) + size > self._most_rows:
            self._dropped("queue_full")
            raise Overloaded(
                f"the queue is full: {rows} rows of large requests are waiting (max_queue_rows is "
                f"{self._most_rows}); try again later, or send fewer rows at a time"
            )
        for last in reversed(behind[len(kept) :]):
            if rows + size <= self._most_rows:
                break
            rows -= last.rest
            self._line.remove(last)
            displace(last.item, self._dropped)

    def add(self, item: Item, priority: int) -> None:
        """Let a request wait behind those that came before."""
        insort(self._line, Large(item, priority))
        item.future.add_done_callback(self._is_over)

    def take(self, now: float) -> Item | None:
        """Take the next slice of the first request that is still wanted."""
        self.purge()
        while self._line and self._running is None:
            one = self._line.pop(0)
            if one.item.deadline <= now:
                one.item.future.set_exception(DeadlineExceeded(EXPIRED))
                self._dropped("expired_in_queue")
                continue
            part = one.next_slice(self._rows_of_slice(one.item.outputs))
            self._running = one
            self._slice = part.future
            part.future.add_done_callback(self._sliced)
            return part
        return None

    def purge(self) -> None:
        """Take out what is over."""
        if any(one.item.future.done() for one in self._line):
            for one in self._line:
                if one.item.future.cancelled():
                    self._dropped("cancelled_in_queue")
            self._line = [one for one in self._line if not one.item.future.done()]

    def clear(self) -> list[Item]:
        """Take everything out for good, and return what is still wanted: a slice that runs is not the whole answer."""
        self._again = lambda item: None  # a circle with whoever is called would keep a model until it is collected
        wanted = [one.item for one in self._live() if one.rest]
        for one in self._line:
            if one.item.future.cancelled():
                self._dropped("cancelled_in_queue")
        self._line.clear()
        return wanted

    def _live(self) -> Iterator[Large]:
        if self._running is not None and not self._running.item.future.done():
            yield self._running
        for one in self._line:
            if not one.item.future.done():
                yield one

    def _sliced(self, part: asyncio.Future[Results]) -> None:
        """Keep the answer to a slice, and let its request wait for the next, or be answered."""
        one, self._running = self._running, None
        assert one is not None
        whole = one.item.future
        error = None if part.cancelled() else part.exception()
        if not whole.done():
            if error is not None:
                whole.set_exception(error)
            else:
                one.answers.append(part.result())
                if one.rest:
                    insort(self._line, one)
                else:
                    _settle(whole, one)
        if self._line:
            self._again(self._line[0].item)

    def _is_over(self, whole: asyncio.Future[Results]) -> None:
        """Let go of the slice that runs for a request that was given up, or refused while it ran."""
        if self._running is None or self._running.item.future is not whole or self._slice.done():
            return
        if whole.cancelled():
            self._slice.cancel()
        elif (error := whole.exception()) is not None:  # which was counted when it was refused
            self._slice.set_exception(error)


def _settle(whole: asyncio.Future[Results], one: Large) -> None:
    try:
        whole.set_result(one.answer())
    except ValueError as error:  # they cannot be put one behind the other
        failure = PredictionFailed("the model answered the rows of one request in shapes that differ")
        failure.__cause__ = error
        whole.set_exception(failure)


def displace(item: Item, dropped: Callable[[DropReason], None]) -> None:
    """Refuse a request that waited, for one of higher priority."""
    dropped("queue_full")
    item.future.set_exception(
        Overloaded("the queue is full: a request of higher priority took the place of this one; try again later")
    )
