"""Watch over the event loop: model code that holds it is interrupted, and a loop that stays frozen ends the process.

In the flow: batcher → **loop watch**, told what is computed on the loop. Every turn of the loop puts an alarm
off; where none comes, the alarm's handler raises GivenUp in the model's code. That ends loops, sleeps and waits of
Python, and C code that looks for signals, such as a regular expression. What it does not reach keeps the process from
answering anything, so the process ends itself and says where every thread was. Who was suspended was not frozen: an
alarm that is overdue has to ring twice, and the long times are those of the processor, or counted in beats.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Final

from model_manager.serving.giving_up import GivenUp, place_in, place_of

logger = logging.getLogger(__name__)

HELD_S: Final = 1.0
"""A prediction that holds the loop longer is ended. What may run there was measured to take half a millisecond."""
FROZEN_S: Final = 20.0
"""A loop that did not turn for so long ends the process: time for the largest body to be read many times over."""

_TURN_S: Final = 0.25
_AGAIN_S: Final = 0.5
_BEAT_S: Final = 1.0


class LoopWatch:
    """What the event loop computes just now, and what became of it.

    `computing` is set to a batch while it is predicted there, and to None after it. `ended` is the last batch that was
    interrupted, and `where`. `cpus` are what the process may use.
    """

    def __init__(self, cpus: int = 1) -> None:
        self.ended: object = None
        self.where = ""
        self.computing: object = None
        self._suspect: object = None
        self._turns = 0
        self._cpus = cpus

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the running event loop, whose thread has to be the main one, while the body runs."""
        stopped, loop_thread = threading.Event(), threading.current_thread()
        before = signal.signal(signal.SIGALRM, self._ring)
        # Of code that holds the interpreter's lock, no Python code can tell: the handler of this one is written in C.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)
        watch = threading.Thread(target=self._watch, args=(stopped, loop_thread), name="loop watch", daemon=True)
        watch.start()
        turning = asyncio.create_task(self._turn(), name="loop watch")
        try:
            yield
        finally:
            turning.cancel()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGALRM, before)
            faulthandler.unregister(signal.SIGPROF)
            stopped.set()
            await asyncio.to_thread(watch.join)

    async def _turn(self) -> None:
        """Put the alarms off, again and again until cancelled: as long as this is done the loop turns."""
        while True:
            self._turns += 1
            signal.setitimer(signal.ITIMER_REAL, HELD_S, _AGAIN_S)
            signal.setitimer(signal.ITIMER_PROF, FROZEN_S * self._cpus)  # of all threads together
            await asyncio.sleep(_TURN_S)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the model's code that an earlier alarm met as well; called on the loop's thread, in that code."""
        computing, suspect = self.computing, self._suspect
        self._suspect = computing
        if computing is not None and computing is suspect:
            self.ended, self.where = computing, f"on the event loop, at {place_in(frame)}"
            raise GivenUp("it held the event loop too long")

    def _watch(self, stopped: threading.Event, loop_thread: threading.Thread) -> None:
        """End the process when the loop does not turn though Python code could run."""
        turns, frozen = self._turns, 0.0
        while not stopped.wait(_BEAT_S):
            frozen = frozen + _BEAT_S if self._turns == turns else 0.0
            turns = self._turns
            if frozen >= FROZEN_S:
                place = place_of(loop_thread)
                logger.critical("the event loop stood still for %g s: the process ends", frozen, extra={"at": place})
                faulthandler.dump_traceback(all_threads=True)
                os.abort()
