"""Watch over the event loop, on a thread: model code that holds it is interrupted; a loop that stays frozen is the end.

In the flow: batcher (says what it computes on the loop) ← **loop watch** → a signal to the loop's thread, whose handler
raises GivenUp in the model's code: it ends loops, sleeps and waits of Python, and whatever C code looks for signals.
What it does not reach keeps the process from answering anything, its own probes among that, so the process ends itself
and says where every thread was. Like the threads' ages, times are counted in beats: who was suspended was not frozen.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, Final

from model_manager.cpus import allowed_cpus
from model_manager.serving.batch import Item, Predict, Ran, given_up, run
from model_manager.serving.giving_up import GivenUp, place_in, place_of

logger = logging.getLogger(__name__)

HELD_S: Final = 1.0
"""A prediction that holds the loop longer is ended. What may run there was measured to take a half millisecond."""
FROZEN_S: Final = 20.0
"""A loop that did not turn for so long ends the process: time for the largest body to be read many times over."""
INTERRUPT: Final = getattr(signal, "SIGRTMIN", signal.SIGUSR2)  # a signal that nobody has a meaning for

_BEAT_S: Final = 0.25


class LoopWatch:
    """What the event loop computes just now, and what became of it.

    `ended` is the last batch that was interrupted, and `where`.
    """

    def __init__(self) -> None:
        self.ended: object = None
        self.where = ""
        self._computing: object = None
        self._overdue: object = None
        self._turns = 0

    def run(self, predict: Predict, batch: Sequence[Item]) -> Ran:
        """Run a batch here, on the loop's thread: see `batch.run`."""
        try:
            self._computing = batch
            ran = run(predict, batch)
            self._computing = None
        except GivenUp:  # it came when the batch had just ended by itself
            self._computing = None
            ran = Ran([given_up() for _ in batch])
        return ran

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the running event loop, whose thread has to be the main one, while the body runs."""
        stopped, loop_thread = threading.Event(), threading.current_thread()
        before = signal.signal(INTERRUPT, self._interrupt)
        # Of a thread that holds the interpreter's lock and computes, only the processor's own clock still tells.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)
        watch = threading.Thread(target=self._watch, args=(stopped, loop_thread), name="loop watch", daemon=True)
        watch.start()
        turning = asyncio.create_task(self._turn(), name="loop watch")
        try:
            yield
        finally:
            turning.cancel()
            signal.setitimer(signal.ITIMER_PROF, 0)
            stopped.set()
            watch.join()
            faulthandler.unregister(signal.SIGPROF)
            signal.signal(INTERRUPT, before)

    async def _turn(self) -> None:
        """Say again and again, until cancelled, that the loop turns."""
        cpus = allowed_cpus()
        while True:
            self._turns += 1
            signal.setitimer(signal.ITIMER_PROF, FROZEN_S * cpus)  # of all threads together
            await asyncio.sleep(_BEAT_S)

    def _watch(self, stopped: threading.Event, loop_thread: threading.Thread) -> None:
        computing: object = None
        turns, held, frozen = self._turns, 0, 0
        while not stopped.wait(_BEAT_S):
            held = held + 1 if self._computing is computing is not None else 0
            computing = self._computing
            if held * _BEAT_S >= HELD_S:
                self._overdue = computing
                signal.pthread_kill(loop_thread.ident or 0, INTERRUPT)
            frozen = frozen + 1 if self._turns == turns else 0
            turns = self._turns
            if frozen * _BEAT_S >= FROZEN_S:
                _end_process(place_of(loop_thread))

    def _interrupt(self, signum: int, frame: FrameType | None) -> Any:
        """Raise in the model's code if it is still that which is overdue: runs on the loop's thread, between others."""
        if self._computing is not None and self._computing is self._overdue:
            self.ended, self.where = self._computing, f"on the event loop, at {place_in(frame)}"
            raise GivenUp("it held the event loop too long")


def _end_process(place: str) -> None:
    logger.critical("the event loop stood still for %g s: the process ends", FROZEN_S, extra={"at": place})
    faulthandler.dump_traceback(all_threads=True)
    os.abort()
