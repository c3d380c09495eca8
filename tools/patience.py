"""How long to wait: limits are seconds of a quiet machine, and stretch while this one is slower.

A limit that strikes asks the machine first: it times what every server does when it starts, and if that takes longer
than on a quiet machine, there is that much more time. So a limit costs nothing where nothing is late, tells a crowded
machine from a condition that never comes true, and follows a crowd that came after the start.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

LIMIT_S: Final = 30.0
_WORK: Final = "import model_manager.process"
PAUSE_S: Final = 0.01
_TURN_S: Final = 0.002

quiet_s = 3.0
"""What the work may take on a quiet machine, with something to spare for coverage and a cold disk."""
_known: float | None = None


class Limit:
    """A limit that begins now."""

    def __init__(self, seconds: float = LIMIT_S) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._end = self._began + seconds

    def passed(self) -> bool:
        """Whether the time is up, by the measure of this machine as it is now."""
        if self.left() > 0:
            return False
        self._end = max(self._end, self._began + self._seconds * measure_slowness())
        return self.left() <= 0

    def left(self) -> float:
        """Seconds until it strikes, as far as is known."""
        return self._end - time.monotonic()

    @property
    def so_far(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began


def wait_until(condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S, pause_s: float = PAUSE_S) -> Any:
    """Return the first truthy value of `condition`. Raises AssertionError with `what` when none comes in time.

    `pause_s` is how long to wait before asking again: longer where to ask takes much of the machine.
    """
    limit = Limit(limit_s)
    while True:
        if value := condition():
            return value
        if limit.passed():
            raise AssertionError(f"still waiting for {what} after {limit.so_far:.0f} s")
        time.sleep(pause_s)


async def until(condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S) -> Any:
    """As `wait_until`, while the event loop goes on."""
    limit = Limit(limit_s)
    while not (value := condition()):
        if limit.passed():
            raise AssertionError(f"still waiting for {what} after {limit.so_far:.0f} s")
        await asyncio.sleep(_TURN_S)
    return value


def stretched(seconds: float) -> float:
    """So many seconds of a quiet machine, for limits that strike by themselves: measured once, and when one strikes."""
    return seconds * (measure_slowness() if _known is None else _known)


def measure_slowness() -> float:
    """How many times slower than a quiet machine this one is now, at least 1."""
    global _known
    with ThreadPoolExecutor(1) as thread:  # a limit may strike on an event loop, where nothing may block
        took = thread.submit(_time_the_work).result()
    crowd = os.getloadavg()[0] / (os.cpu_count() or 1)  # of the last minute: it may just have left
    _known = max(1.0, took / quiet_s, crowd)
    return _known


def _time_the_work() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _WORK], capture_output=True, check=False)
    return time.monotonic() - began
