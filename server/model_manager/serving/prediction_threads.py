"""The threads that predict: a limit on how many compute at once, which no model that hangs or is slow can use up.

In the flow: batcher → its version's lane → **a thread** → batch. A thread that is held longer than HELD_S no longer
counts against the limit, so that quick models find one; one whose prediction is overdue is given up: another takes its
place, and it ends when it comes back. Ages are counted in beats of the event loop, not by a clock: a process that was
suspended, or got no turn, has not been kept waiting by a model.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from model_manager.inference.threads import limit_native_threads, restore_library_settings
from model_manager.serving.giving_up import DoesNotReturn, GivenUp, end_code_of

logger = logging.getLogger(__name__)

BEAT_S: Final = 0.1
HELD_S: Final = 0.1
"""A thread that is held so long is lent: it no longer counts against the limit."""
NAME: Final = "predict"

_LENT_FOR_EACH: Final = 2  # threads lent for each that the limit allows: so many more batches in memory, at the most
_LENT_AT_LEAST: Final = 4
_MOST_GIVEN_UP: Final = 64  # which only a dozen of hanging versions reach, since each is failed after a few

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Job:
    """A call, the thread that runs it, and for how many beats it has."""

    lane: "Lane"
    future: Future[Any]
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    thread: threading.Thread | None = None
    beats: int = 0
    lent: bool = False
    given_up: bool = False


class PredictionThreads:
    """Threads for the batches of all versions, at most `most` of them computing what began less than HELD_S ago.

    `beat` is to be called every BEAT_S, on any one thread. Threads are started when they are needed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_lent = max(_LENT_AT_LEAST, _LENT_FOR_EACH * most)
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._running: set[_Job] = set()
        self._given_up: list[_Job] = []
        self._waiting = 0  # jobs that no thread has taken yet
        self._idle = 0
        self._threads = 0  # those that were not given up
        self._lent = 0
        self._closed = False
        self._numbers = count()

    def lane(self, name: str, overdue_s: float) -> "Lane":
        """Where one version's batches are submitted; each is given up when it runs longer than `overdue_s`."""
        return Lane(self, name, overdue_s)

    async def keep(self) -> None:
        """Call `beat` until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            self.beat()

    def beat(self) -> None:
        """Lend threads that are held, give up those whose prediction is overdue, and start others in their place."""
        if not self._running and not self._given_up:
            return
        with self._lock:
            for job in self._running:
                job.beats += 1
            held = [job for job in self._running if not job.lent and job.beats * BEAT_S > HELD_S]
            for job in held[: self._most_lent - self._lent]:
                job.lent = True
                self._lent += 1
            self._given_up = [job for job in self._given_up if _is_there(job)]
            overdue = [job for job in self._running if _is_overdue(job)][: _MOST_GIVEN_UP - len(self._given_up)]
            errors = [self._give_up(job) for job in overdue]
            self._start_threads()
        for job, error in zip(overdue, errors, strict=True):
            job.future.set_exception(error)

    @property
    def given_up(self) -> int:
        """The threads that were given up and have not come back yet."""
        return sum(map(_is_there, self._given_up))

    def unfinished(self) -> list[str]:
        """The names of the lanes whose calls have not come back, those given up among them."""
        with self._lock:
            return sorted({job.lane.name for job in (*self._running, *self._given_up) if _is_there(job)})

    def lost(self) -> str:
        """Why nothing can be computed on a thread any more; empty as long as something can."""
        with self._lock:
            stuck = sum(map(_is_overdue, self._running))
        if stuck < self._most + self._most_lent:
            return ""
        return f"all {stuck + self.given_up} prediction threads are held by predictions that do not return"

    def shutdown(self) -> None:
        """Take no more calls, cancel those that wait, and let the threads end; what runs goes on."""
        with self._lock:
            self._closed = True
            try:
                while (job := self._jobs.get_nowait()) is not None:
                    job.future.cancel()
            except Empty:
                pass
            for _ in range(self._threads):
                self._jobs.put(None)

    def submit(self, lane: "Lane", call: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """See Lane.submit."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the prediction threads were ended")
            self._waiting += 1
            self._jobs.put(_Job(lane, future, call, arguments))
            try:
                self._start_threads()
            except RuntimeError:  # the system grants no more
                if not self._threads:
                    future.cancel()
                    raise
        return future

    def _start_threads(self) -> None:
        """Start threads while calls wait for them and the limit allows."""
        while self._idle < self._waiting and self._threads - self._lent < self._most and not self._closed:
            thread = threading.Thread(target=self._run, name=f"{NAME}_{next(self._numbers)}", daemon=True)
            thread.start()
            self._threads += 1
            self._idle += 1

    def _give_up(self, job: _Job) -> DoesNotReturn:
        """Count a thread no longer, and raise in its code."""
        assert job.thread is not None, "it runs"
        job.given_up = True
        self._running.discard(job)
        self._lent -= job.lent
        self._threads -= 1
        self._given_up.append(job)
        error = DoesNotReturn(job.thread)
        end_code_of(job.thread)
        return error

    def _run(self) -> None:
        """What a thread does; raised in one that was given up, GivenUp may come at any point of it."""
        with suppress(GivenUp):
            self._work()

    def _work(self) -> None:
        """Run calls, until there are to be fewer threads, or its call was given up."""
        limit_native_threads()
        context, thread = copy_context(), threading.current_thread()
        while True:
            job = self._jobs.get()
            if job is None:
                return
            with self._lock:
                self._idle -= 1
                self._waiting -= 1
                job.thread = thread
                wanted = job.future.set_running_or_notify_cancel()
                if wanted:
                    self._running.add(job)
            result, failure = None, None
            if wanted:
                try:
                    result = context.copy().run(job.call, *job.arguments)
                except BaseException as error:
                    failure = error
            if job.given_up:  # nothing is done for others here, since GivenUp may come at any point: a lock might stay
                return
            stays = self._settle(job)
            if failure is not None and not job.given_up:
                job.future.set_exception(failure)
            elif wanted and not job.given_up:
                job.future.set_result(result)
            if not stays:
                return
            del job, result, failure

    def _settle(self, job: _Job) -> bool:
        """Count a call as ended; whether its thread stays, which it does not when what was lent to others came back."""
        if changed := restore_library_settings():
            fields = {"changed": ", ".join(changed)}
            logger.warning("%s changed settings of scikit-learn in predict; restored", job.lane.name, extra=fields)
        with self._lock:
            if job.given_up:
                return False
            self._running.discard(job)
            self._lent -= job.lent
            stays = self._threads - self._lent <= self._most or self._closed
            self._idle += stays
            self._threads -= not stays
            return stays


class Lane(Executor):
    """Where one version's batches are run, one at a time.

    A call that is given up ends with DoesNotReturn. One that no thread has begun when the threads end is cancelled.
    """

    def __init__(self, threads: PredictionThreads, name: str, overdue_s: float) -> None:
        self.name = name
        self.overdue_s = overdue_s
        self._threads = threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a thread. Raises RuntimeError when there is none and none can be started."""
        assert not kwargs, "the batcher has none"
        return self._threads.submit(self, fn, args)


def _is_overdue(job: _Job) -> bool:
    return job.beats * BEAT_S > job.lane.overdue_s


def _is_there(job: _Job) -> bool:
    return job.thread is not None and job.thread.is_alive()
