"""Gather concurrent requests of one version into numpy batches. Knows numpy and asyncio; not HTTP, not model names.

In the flow: servable.predict → **batcher** (waiting → batch) → predictor → slices back to each waiting request.

The contract, which is also its tests:

1. A request that finds the model idle leaves in the same turn of the loop, with whatever else arrived in that turn.
   Where the last requests were all alone in theirs, the next one leaves in the very call that brings it, if that is
   computed on the loop; what else arrives in that turn leaves at its end, together.
2. Requests that arrive while a batch runs leave together, up to `max_rows` rows, the moment it ends, the more urgent
   first. Rows are counted, not requests. A single request larger than `max_rows` leaves in slices, each a batch of its
   own, in turns with the batches of others as urgent; it is answered whole, or fails alone.
3. Requests for different outputs, or of different widths or dtypes, never share a batch.
4. Refused at once is what finds the queue full, large requests and others each by themselves; what could not be
   answered before its deadline, as far as batches were measured, unless the model is idle; and, newest first, what
   waits at a lower priority, where a more urgent request needs its place or its time. Items that expired or were
   cancelled never reach the model, and keep no place.
5. A batch that raises, whatever it raises, or comes back with the wrong number of rows, is retried item by item, once.
6. `close()` answers everything queued; what runs is still answered, or told that its time is over. A large request of
   which a slice runs is queued as long as it has rows that no batch took.

Nothing is kept from starving but by its deadline: while more urgent requests take all there is, others are refused when
they come, or when those come that take their time.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from time import perf_counter
from typing import Final, Literal, TypeAlias

from model_manager.call import LOW, NORMAL
from model_manager.drift import NOT_COUNTED, Taking
from model_manager.errors import DeadlineExceeded, VersionNotReady
from model_manager.inference.cost import NOTHING_INLINE, InlineLimits
from model_manager.metrics import ServableMetrics
from model_manager.repository.wanted import Batching
from model_manager.serving.admission import Admission
from model_manager.serving.batch import (
    Finished,
    Item,
    Observed,
    Predict,
    Ran,
    Results,
    answer,
    answered,
    given_up,
    run,
    told_when,
    unanswered,
)
from model_manager.serving.deadlines import Deadlines, expire
from model_manager.serving.giving_up import DoesNotReturn, GivenUp, Hangs
from model_manager.serving.large import EXPIRED, LargeRequests
from model_manager.serving.loop_watch import LoopWatch
from model_manager.serving.pace import Paces
from model_manager.serving.pending import Pending
from model_manager.serving.waiting import Waiting
from model_manager.signature import Rows

TellBatch: TypeAlias = Callable[[Sequence[Observed], int, int], None]

_REMEMBERED: Final = 32
_ALONE: Final = 8  # so many batches of one request each, one after the other, make the next one be expected alone
_COPIES_WAIT_S: Final = 3600.0  # a version that takes longer is given up; what is over earlier would be counted


class Batcher:
    """Batch calls of `predict` for one version.

    `inline`: batches that it allows are computed on the event loop, because their like was measured to cost less than
    handing them to a thread; all others run on `executor`, one at a time. `shapes_vary`: rows come in different widths
    or dtypes, because the version's signature does not say which it takes. `tell_batch` is called for every batch that
    holds observed requests, with these, and the rows and requests of the whole batch. `watch` ends what holds the loop.
    `drift` is handed what was answered whenever it is due.
    `hung`, to be set, is called when a prediction does not return: with where it was, and why they are too many, if so;
    `lost` when it cost the process in which its version predicts: with how, and the same. `finished` is called once it
    is closed and nothing runs.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        batching: Batching,
        inline: InlineLimits,
        executor: Executor,
        metrics: ServableMetrics,
        shapes_vary: bool = True,
        tell_batch: TellBatch | None = None,
        watch: LoopWatch | None = None,
        drift: Taking = NOT_COUNTED,
    ) -> None:
        self._predict = predict
        self._batching = batching
        self._inline = inline
        self._executor = executor
        self._metrics = metrics
        self._shapes_vary = shapes_vary
        self._tell_batch = tell_batch
        self._watch = watch or LoopWatch()
        self.drift = drift
        self._hangs = Hangs()
        self._off_the_loop = False
        self.hung: Callable[[str, str], None] = lambda where, too_many: None
        self.lost: Callable[[str, str], None] = lambda how, too_many: None
        self.finished: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        most = batching.max_queue_rows
        self._paces = Paces(batching.max_rows)
        large = LargeRequests(most, metrics.dropped, self._paces.rows_of_slice, self._next_slice)
        self._waiting = Waiting(most, metrics.dropped, large)
        self._admission = Admission(self._waiting, self._paces, batching.max_rows, metrics.dropped, self._loop.time)
        self.arrivals = 0
        self.running: list[Item] = []
        """The batch that runs on a thread; empty where none does."""
        self._started = 0.0
        self._wakeup: asyncio.Handle | None = None
        self._in_a_row = 0  # batches of one request that nothing else came with
        self._deadlines = Deadlines(self._loop, self._expire)
        self.closed = False
        self.recent: deque[Finished] = deque(maxlen=_REMEMBERED)

    @property
    def limit_rows(self) -> int:
        """The rows that may wait before requests are refused."""
        return self._batching.max_queue_rows

    @property
    def most_rows(self) -> int:
        """The most rows of one batch."""
        return self._batching.max_rows

    @property
    def running_rows(self) -> int:
        """The rows of the batch that runs on a thread."""
        return sum(item.size for item in self.running)

    @property
    def queued_rows(self) -> int:
        """The rows that wait."""
        return self._waiting.rows

    @property
    def queued_requests(self) -> int:
        """The requests that wait."""
        return self._waiting.requests

    @property
    def last_started(self) -> float:
        """When the last batch left, in perf_counter seconds; 0 before the first."""
        return self._started

    @property
    def busy(self) -> bool:
        """Whether a batch is running on a thread, so that a new request would have to wait."""
        return bool(self.running) or bool(self._waiting.large)

    @property
    def idle(self) -> bool:
        """Whether nothing runs on a thread, and nothing waits."""
        return not self.running and not self._waiting

    @property
    def has_backlog(self) -> bool:
        """Whether requests wait for a batch that runs to end."""
        return bool(self.running) and self._waiting.held_rows > 0

    def use(self, predict: Predict, *, inline: InlineLimits) -> None:
        """Call another function from the next batch on; a batch that runs ends with the old one.

        What once held the event loop stays on threads, whatever `inline` allows.
        """
        self._predict = predict
        self._inline = NOTHING_INLINE if self._off_the_loop else inline
        self._paces.doubt()

    def submit(
        self,
        rows: Rows,
        outputs: tuple[str, ...],
        deadline: float,
        observed: Observed | None = None,
        priority: int = NORMAL,
    ) -> asyncio.Future[Results]:
        """Queue rows and return the future of their results, one array per output with as many rows.

        `deadline` is in loop time. `observed` learns when the batch left and ended. Raises Overloaded when the queue is
        full, or too long for the deadline. The future raises DeadlineExceeded or PredictionFailed, and Overloaded where
        a more urgent request took the place; cancelling it takes the rows out of the queue, or drops the answer if they
        already run.
        """
        if self.closed:
            self._metrics.dropped("unloaded")
            raise VersionNotReady("this version is draining; ask again")
        waiting = self._waiting
        size = len(rows)
        large = size > self._batching.max_rows
        if large or self.running or waiting.held_rows + size > waiting.most_rows:
            running, started = self.running, self._started
            self._admission.make_room(size, outputs, deadline, priority, large=large, running=running, started=started)
        self.arrivals += 1
        future: Pending[Results] = Pending(loop=self._loop)
        item = Item(rows, size, outputs, deadline, future, self.arrivals, observed, perf_counter())
        if large:
            waiting.large.add(item, priority)
        elif self._in_a_row >= _ALONE and self._leaves_at_once(item):
            return future
        else:
            waiting.add((outputs, rows.shape_key) if self._shapes_vary else outputs, item, priority)
        if not self.running and (self._wakeup is None or self._batching.max_delay_ms):
            self._wake()
        if deadline < self._deadlines.due:
            self._deadlines.watch(deadline)
        return future

    def submit_copies(self, copies: Sequence[tuple[Rows, tuple[str, ...]]]) -> list[asyncio.Future[Results]]:
        """Predict rows that nobody waits for, in batches without any that somebody does; they count for nothing.

        Only while it is `idle`, and each of no more rows than `most_rows`. Whoever comes in the same turn goes first.
        """
        futures = []
        for rows, outputs in copies:
            self.arrivals += 1
            future = self._loop.create_future()
            deadline = self._loop.time() + _COPIES_WAIT_S
            size = len(rows)
            item = Item(rows, size, outputs, deadline, future, self.arrivals, None, perf_counter(), copied=True)
            self._waiting.add(("copies", outputs, rows.shape_key), item, LOW)
            futures.append(future)
        self._wake()
        return futures

    def check_room(self, deadline: float, priority: int) -> None:
        """Raise Overloaded if not even one row could be queued, or answered in time: then decoding is of no use."""
        if self.running and not self.closed:
            self._admission.check_room(deadline, priority, running=self.running, started=self._started)

    def _next_slice(self, item: Item) -> None:
        """See that the next slice of a large request leaves, and that it is told in time if none does."""
        if not self.running:
            self._wake()
        self._deadlines.watch(item.deadline)

    def close(self) -> None:
        """Refuse new requests, and answer queued ones with VersionNotReady. What already runs is still answered."""
        self.closed = True
        for item in self._waiting.clear():
            self._metrics.dropped("unloaded")
            item.future.set_exception(VersionNotReady("this version was unloaded; ask again"))
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if not self.running:
            self._finish()

    def _finish(self) -> None:
        """What is left to do once the batcher is closed and nothing runs: nobody will ask again."""
        self._metrics.fold()
        self._deadlines.stop()
        self.finished()

    def _wake(self) -> None:
        """See that a batch leaves: at the end of this turn of the loop, or after max_delay_ms while there is room."""
        delay = self._batching.max_delay_ms / 1000
        most = self._batching.max_rows
        if delay and self._waiting.held_rows >= most and self._waiting.rows >= most:
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
        if not self._waiting:
            return
        batch = self._waiting.take(self._loop.time(), self._batching.max_rows)
        if not batch:
            return
        self._started = perf_counter()
        rows = sum([item.size for item in batch])
        if not batch[0].copied:
            alone = len(batch) == 1 and not self._waiting and self._in_a_row < _ALONE
            self._in_a_row = self._in_a_row + 1 if alone else 0
        if self._inline.allow(batch[0].outputs, rows, batch):
            try:
                self._compute(batch, rows)
            finally:
                self._go_on()
            return
        try:
            running = self._executor.submit(run, self._predict, batch)
        except RuntimeError as error:  # the threads were ended, or the system grants no more of them
            self._refuse(batch, error)
            self._go_on()
        else:
            self.running = batch
            running.add_done_callback(self._tell_loop)

    def _compute(self, batch: list[Item], rows: int) -> None:
        """Run a batch here and answer it."""
        watch = self._watch
        try:
            watch.computing = batch
            ran = run(self._predict, batch)
            watch.computing = None
        except GivenUp:  # raised when the batch had just ended by itself
            watch.computing, ran = None, Ran([given_up() for _ in batch])
        self._settle(batch, ran, rows, "loop")
        if watch.ended is batch:
            self._has_hung(watch.where)

    def _leaves_at_once(self, item: Item) -> bool:
        """Run a request that is expected to be alone in its turn of the loop, if nothing speaks against it."""
        if self.running or self._wakeup is not None or self._waiting or self._batching.max_delay_ms:
            return False
        if item.deadline <= self._loop.time() or not self._inline.allow(item.outputs, item.size, (item,)):
            return False
        self._wakeup = self._loop.call_soon(self._dispatch)  # for what else arrives in this turn
        self._started = perf_counter()
        try:
            self._compute([item], item.size)
        except Exception as error:  # of the counting, as in _dispatch: the answer is there
            self._loop.call_exception_handler({"message": "a batch was not counted", "exception": error})
        return True

    def _go_on(self) -> None:
        """See to what is left, in the next turn of the loop: what computes on the loop lets others have theirs."""
        if self._waiting and self._wakeup is None:
            self._wakeup = self._loop.call_soon(self._dispatch)

    def _tell_loop(self, running: Future[Ran]) -> None:
        """On the thread. By itself, since what asyncio makes of such a future takes two turns of the loop."""
        with suppress(RuntimeError):  # the loop has ended, and so has whoever waited
            self._loop.call_soon_threadsafe(self._thread_done, running)

    def _thread_done(self, running: Future[Ran]) -> None:
        rows = self.running_rows
        batch, self.running = self.running, []
        try:
            error = asyncio.CancelledError("it was cancelled") if running.cancelled() else running.exception()
            if error is None:
                ran = running.result()
                self._settle(batch, ran, rows, "thread")
                if ran.lost is not None:
                    self._has_lost(ran.lost.how, hung=ran.lost.hung)
            elif isinstance(error, DoesNotReturn):
                self._give_up(batch, error)
            else:  # no thread took it, since `run` raises nothing
                self._refuse(batch, error)
        finally:
            if self.closed:
                self._finish()
            elif self._waiting:
                self._dispatch()

    def _give_up(self, batch: list[Item], error: DoesNotReturn) -> None:
        """Answer those of a batch that does not return whose time is not over yet, if there are any."""
        for item in unanswered(batch):
            self._metrics.dropped("expired_in_batch")
            item.future.set_exception(DeadlineExceeded(EXPIRED))
        self._has_hung(str(error), error.thread)

    def _has_hung(self, where: str, thread: threading.Thread | None = None) -> None:
        if thread is None:  # it was on the loop, where it is not computed again
            self._inline, self._off_the_loop = NOTHING_INLINE, True
        self._metrics.gave_up()
        self.hung(where, self._hangs.add(self._loop.time(), thread))

    def process_ended(self, how: str, idle: bool) -> None:
        """Note that the process in which the version predicts ended and is started again, and whether it was idle."""
        self._metrics.process_ended()
        if idle:
            self._has_lost(how)

    def _has_lost(self, how: str, *, hung: bool = False) -> None:
        """Count a loss of that process: one for each batch, whatever it took to find the guilty request of it."""
        if hung:
            self._metrics.gave_up()
        self.lost(f"time it {how}", self._hangs.add(self._loop.time(), None, "ended it, or hung"))

    def _refuse(self, batch: list[Item], error: BaseException) -> None:
        """Answer a batch that no thread has computed."""
        for item in unanswered(batch):
            self._metrics.dropped("unloaded")
            item.future.set_exception(VersionNotReady(f"no thread computes this version now ({error}); ask again"))

    def _settle(self, batch: list[Item], ran: Ran, rows: int, on: Literal["loop", "thread"]) -> None:
        """Answer every item that still waits, each from its own outcome; then count what was done.

        In this order, so that what the model returned can trouble the counting and still be an answer.
        """
        started, ended = self._started, perf_counter()
        failed = answer(batch, ran, self._metrics.dropped)
        if len(ran.calls) == 1:
            self._paces.learn(batch[0].outputs, rows, ended - started)
        self.recent.append(
            Finished(time.time(), rows, len(batch), (ended - started) * 1e3, ran.seconds * 1e3, on, failed)
        )
        observed = told_when(batch, started, ended)
        if observed and self._tell_batch is not None:
            self._tell_batch(observed, rows, len(batch))
        if batch[0].copied:
            return
        waits = [started - item.queued_at for item in batch]
        self._metrics.ran(waits, ended - started, ran.seconds, ran.calls)
        if started >= self.drift.due:
            self.drift.take(answered(batch, ran))

    def _expire(self, now: float) -> list[float]:
        """Answer those whose time is over, and give the deadlines of the others."""
        dropped = self._metrics.dropped
        later = expire(self.running, now, "expired_in_batch", dropped)
        later += expire(self._waiting, now, "expired_in_queue", dropped)
        self._waiting.purge()
        return later
