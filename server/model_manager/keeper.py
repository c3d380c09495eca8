"""Keep one worker running: start it, notice when its event loop stands still, start it again when it ended.

In the flow: supervisor → **keeper** (one for each worker) → worker.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from model_manager.template import Forked
from model_manager.worker import Question, ask

logger = logging.getLogger(__name__)

FROZEN: Final = "frozen"
_LONGEST_BACKOFF_S: Final = 30.0
_HEALTHY_S: Final = 60.0
_IMPATIENT_S: Final = 0.25
_LAST_WORDS_S: Final = 3.0


class Keeper:
    """One of the workers. `start` starts its next process, on a thread.

    `died` is called with how a process ended that was not asked to, before the next is started: at once if it says that
    whatever ended it is kept out from now on. `heard` is called with every answer of a process, and how long that has
    run.
    """

    def __init__(
        self,
        number: int,
        report: Path,
        *,
        start: Callable[[int], Forked],
        frozen_after_s: float,
        died: Callable[[int, str], Awaitable[bool]],
        heard: Callable[[str, float], None],
    ) -> None:
        self.number = number
        self.report = report
        self._start = start
        self._frozen_after_s = frozen_after_s
        self._died = died
        self._heard = heard
        self.process: Forked | None = None
        self._former: Forked | None = None
        self.waiting_for: str | None = None
        """What it last said that it waits for before it can get traffic; None while it says nothing."""
        self.ready = asyncio.Event()
        self.resting = False
        self._leaving = False
        self._frozen = False

    async def keep(self, stopping: asyncio.Event) -> int:
        """Run the worker, again whenever it ends, until stopping; the exit code of the last process."""
        deaths = 0
        while True:
            began = monotonic()
            code = await self._run(stopping)
            if stopping.is_set():
                return 0 if code == -signal.SIGTERM else abs(code)  # which ends one that had not begun to serve
            if self._leaving:
                self._leaving = False
                continue
            how = FROZEN if self._frozen else _how(code)
            if await self._died(self.number, how):
                deaths = 0
            elif monotonic() - began >= _HEALTHY_S:
                deaths = 1
            else:
                deaths += 1
            delay = min(_LONGEST_BACKOFF_S, 2.0 ** (deaths - 1)) if deaths else 0.0
            logger.error("worker %d ended (%s) and is started again in %g s", self.number, how, delay)
            self.resting = True
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await stopping.wait()
                    return 0
            self.resting = False

    def leave(self, limit_s: float) -> None:
        """Let the process make room for another, which is started as soon as it has ended; killed after `limit_s`."""
        if self.process is not None and self.process.is_alive():
            self._leaving = True
            self.ready.clear()
            self.process.terminate()
            asyncio.get_running_loop().call_later(limit_s, self._kill, self.process)

    def terminate(self) -> None:
        """Ask the process to end."""
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End the process if it is still there: model code that never lets go of the interpreter hears no signal."""
        if self.process is not None:
            self._kill(self.process)

    def _kill(self, process: Forked) -> None:
        if process is self.process and process.is_alive():
            logger.error("worker %d does not end and is killed", self.number)
            process.kill()

    async def _run(self, stopping: asyncio.Event) -> int:
        self.waiting_for, self._frozen = None, False
        self.ready.clear()
        process = await asyncio.to_thread(self._start, self.number)
        self.process = process
        if stopping.is_set():  # the signal came while the process was being started
            process.terminate()
        watching = asyncio.create_task(self._watch(process))
        try:
            code = await process.ended()
        finally:
            watching.cancel()
            self.waiting_for = None
            self.ready.clear()
        self._forget_former()  # of two that ended before any was ready, the last is enough
        self.process, self._former = None, process
        return code

    async def _watch(self, process: Forked) -> None:
        """Ask the process how it is, and end it when its event loop has stood still, once it had begun to turn.

        Only time in which this process was awake counts, so that a machine that was suspended ends nobody.
        """
        pause_s = min(2.0, self._frozen_after_s / 4)
        began = last = monotonic()
        silent_s = 0.0
        while silent_s < self._frozen_after_s:
            await asyncio.sleep(pause_s if self.ready.is_set() else min(pause_s, _IMPATIENT_S))
            try:
                self.waiting_for = await ask(self.report, Question("readiness"), str, limit_s=pause_s)
            except (OSError, msgspec.DecodeError):
                if self.waiting_for is not None or silent_s:
                    silent_s += min(monotonic() - last, 2 * pause_s)
                    self.waiting_for = None
            else:
                silent_s = 0.0
                if not self.waiting_for and not self._leaving:
                    self.ready.set()
                    self._forget_former()
                self._heard(self.waiting_for, monotonic() - began)
            last = monotonic()
        await self._end(process)

    def _forget_former(self) -> None:
        """Let go of the process before this one. Should it live, since the template died and not it, it ends now."""
        if self._former is not None:
            self._former.close()
            self._former = None

    async def _end(self, process: Forked) -> None:
        logger.error("the event loop of worker %d stands still: its process is ended", self.number)
        self._frozen = True
        process.abort()  # upon which it writes down where it is
        await asyncio.sleep(_LAST_WORDS_S)
        if process.is_alive():
            process.kill()


def _how(code: int) -> str:
    """How a process ended, for people and for a metric's label."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
