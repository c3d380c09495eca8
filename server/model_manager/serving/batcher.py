"""Gather concurrent requests of one version into numpy batches. Knows numpy and asyncio; not HTTP, not model names.

In the flow: servable.predict → **batcher** → predictor → slices back to each waiting request.

The contract, which is also its tests:

1. A request that finds the model idle leaves in the same turn of the loop, with whatever else arrived in that turn.
2. Requests that arrive while a batch runs leave together, up to `max_rows` rows, the moment it ends. Rows are counted,
   not requests; a single request larger than `max_rows` is a batch of its own.
3. Requests for different outputs, or of different widths or dtypes, never share a batch.
4. A queue that is full refuses at once. Items that expired or were cancelled never reach the model.
5. A batch that raises, or comes back with the wrong number of rows, is retried item by item, once.
6. `close()` answers everything queued.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from time import perf_counter
from typing import Final, Literal, TypeAlias

from model_manager.errors import DeadlineExceeded, Overloaded, PredictionFailed, VersionNotReady
from model_manager.metrics import ServableMetrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Finished, Item, Predict, Ran, Results, Watch, run
from model_manager.signature import Rows

_Key: TypeAlias = tuple[object, ...]
Watched: TypeAlias = Callable[[Sequence[Watch], int, int], None]

_REMEMBERED: Final = 32


class Batcher:
    """Batch calls of `predict` for one version.

    `inline_rows`: batches of at most this many rows are computed on the event loop, because they were measured to cost
    less than handing them to a thread; larger ones run on `executor`, one at a time. `shapes_vary`: rows come in
    different widths or dtypes, because the version's signature does not say which it takes. `watched` is told of every
    batch that holds requests with a watch: these, and the rows and requests of the whole batch.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        batching: Batching,
        inline_rows: int,
        executor: Executor,
        metrics: ServableMetrics,
        shapes_vary: bool = True,
        watched: Watched | None = None,
    ) -> None:
        self._predict = predict
        self._batching = batching
        self._inline_rows = inline_rows
        self._executor = executor
        self._metrics = metrics
        self._shapes_vary = shapes_vary
        self._watched = watched
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._queues: dict[_Key, deque[Item]] = {}
        self.arrivals = 0
        self._running: list[Item] = []
        self._started = 0.0
        self._wakeup: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.closed = False
        self.queued_rows = 0
        self.recent: deque[Finished] = deque(maxlen=_REMEMBERED)

    @property
    def limit_rows(self) -> int:
        """The rows that may wait before requests are refused."""
        return self._batching.max_queue_rows

    @property
    def running_rows(self) -> int:
        """The rows of the batch that runs on a thread."""
        return sum(item.size for item in self._running)

    @property
    def queued_requests(self) -> int:
        """The requests that wait."""
        return sum(map(len, self._queues.values()))

    @property
    def busy(self) -> bool:
        """Whether a batch is running on a thread, so that a new request would have to wait."""
        return bool(self._running)

    def use(self, predict: Predict, *, inline_rows: int) -> None:
        """Call another function from the next batch on; a batch that runs ends with the old one."""
        self._predict = predict
        self._inline_rows = inline_rows

    def submit(
        self, rows: Rows, outputs: tuple[str, ...], deadline: float, watch: Watch | None = None
    ) -> asyncio.Future[Results]:
        """Queue rows and return the future of their results, one array per output with as many rows.

        `deadline` is in loop time. `watch` is told when the batch left and ended. Raises Overloaded when the queue is
        full. The future raises DeadlineExceeded or PredictionFailed; cancelling it takes the rows out of the queue, or
        drops the answer if they already run.
        """
        if self.closed:
            self._metrics.dropped("unloaded")
            raise VersionNotReady("this version is draining; ask again")
        self.arrivals += 1
        item = Item(rows, outputs, deadline, self._loop.create_future(), self.arrivals, watch)
        if self.queued_rows and self.queued_rows + item.size > self._batching.max_queue_rows:
            self._metrics.dropped("queue_full")
            raise Overloaded(
                f"the queue is full: {self.queued_rows} rows are waiting (max_queue_rows is "
                f"{self._batching.max_queue_rows}); try again later"
            )
        key = (outputs, rows.shape_key) if self._shapes_vary else outputs
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        queue.append(item)
        self.queued_rows += item.size
        if not self._running:
            self._wake()
        self._watch(deadline)
        return item.future

    def close(self) -> None:
        """Refuse new requests, and answer queued ones with VersionNotReady. What already runs is still answered."""
        self.closed = True
        for item in self._queued():
            if not item.future.done():
                self._metrics.dropped("unloaded")
                item.future.set_exception(VersionNotReady("this version was unloaded; ask again"))
        self._queues.clear()
        self.queued_rows = 0
        self._metrics.fold()
        for handle in (self._wakeup, self._alarm):
            if handle is not None:
                handle.cancel()

    def _queued(self) -> list[Item]:
        return [item for queue in self._queues.values() for item in queue]

    def _wake(self) -> None:
        """See that a batch leaves: at the end of this turn of the loop, or after max_delay_ms while there is room."""
        delay = self._batching.max_delay_ms / 1000
        if delay and self.queued_rows >= self._batching.max_rows:
            delay = 0.0
            if isinstance(self._wakeup, asyncio.TimerHandle):
                self._wakeup.cancel()
                self._wakeup = None
        if self._wakeup is None:
            self._wakeup = (
                self._loop.call_later(delay, self._dispatch) if delay else self._loop.call_soon(self._dispatch)
            )

    def _dispatch(self) -> None:
        """Take the next batch and run it: here if that is cheap, else on a thread. Then see to what is left."""
        self._wakeup = None
        batch = self._take()
        if not batch:
            return
        self._started = perf_counter()
        rows = sum([item.size for item in batch])
        if rows <= self._inline_rows:
            self._settle(batch, run(self._predict, batch), rows, "loop")
            if self._queues:
                self._wakeup = self._loop.call_soon(self._dispatch)
        else:
            self._running = batch
            running = self._loop.run_in_executor(self._executor, run, self._predict, batch)
            running.add_done_callback(self._thread_done)

    def _thread_done(self, running: asyncio.Future[Ran]) -> None:
        rows = self.running_rows
        batch, self._running = self._running, []
        error = running.exception()
        if error is not None:  # not an Exception subclass, or the executor is gone: run contains everything else
            ran = Ran([PredictionFailed(f"{type(error).__name__}: {error}")] * len(batch))
        else:
            ran = running.result()
        self._settle(batch, ran, rows, "thread")
        if self._queues and not self.closed:
            self._dispatch()

    def _take(self) -> list[Item]:
        """Take the oldest item still wanted, and those behind it that may share its batch, up to max_rows rows."""
        now = self._loop.time()
        batch: list[Item] = []
        rows = 0
        while self._queues and not batch:
            key = min(self._queues, key=lambda key: self._queues[key][0].order)
            queue = self._queues[key]
            while queue and (not batch or rows + queue[0].size <= self._batching.max_rows):
                item = queue.popleft()
                self.queued_rows -= item.size
                if item.future.done():
                    if item.future.cancelled():
                        self._metrics.dropped("cancelled_in_queue")
                    continue
                if item.deadline <= now:
                    self._metrics.dropped("expired_in_queue")
                    item.future.set_exception(_expired())
                    continue
                batch.append(item)
                rows += item.size
            if not queue:
                del self._queues[key]
        return batch

    def _settle(self, batch: list[Item], ran: Ran, rows: int, on: Literal["loop", "thread"]) -> None:
        """Answer every item that still waits, each from its own outcome, and count what was done."""
        started, ended = self._started, perf_counter()
        waits = (started - item.queued_at for item in batch)
        self._metrics.ran(waits, ended - started, ran.seconds, ran.calls)
        watches = [item.watch for item in batch if item.watch is not None]
        if watches:
            for watch in watches:
                watch.batch_started, watch.batch_ended = started, ended
            if self._watched is not None:
                self._watched(watches, rows, len(batch))
        failed = 0
        for item, answer in zip(batch, ran.answers, strict=True):
            future = item.future
            if future.done():
                if future.cancelled():
                    self._metrics.dropped("cancelled_in_batch")
            elif isinstance(answer, PredictionFailed):
                failed += 1
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self.recent.append(
            Finished(time.time(), rows, len(batch), (ended - started) * 1e3, ran.seconds * 1e3, on, failed)
        )

    def _watch(self, deadline: float) -> None:
        """Keep one timer for the earliest deadline: a request that waits is told in time, whatever the model does."""
        if self._alarm is None or deadline < self._alarm.when():
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._alarm = None
        now = self._loop.time()
        later = []
        running = len(self._running)
        for position, item in enumerate((*self._running, *self._queued())):
            if item.future.done():
                continue
            if item.deadline > now:
                later.append(item.deadline)
            else:
                self._metrics.dropped("expired_in_batch" if position < running else "expired_in_queue")
                item.future.set_exception(_expired())
        if later:
            self._watch(min(later))


def _expired() -> DeadlineExceeded:
    return DeadlineExceeded("the time allowed for this request passed before the model answered")
