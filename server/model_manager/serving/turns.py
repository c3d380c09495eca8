"""Turns for what is loaded: a few at a time, and one that takes long makes room for the next to go on beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

PATIENCE_S: Final = 2.0
"""Most versions are loaded in less. One that is not may take as long as it likes, and no other version waits for it."""


class Turn:
    """One of those turns; `when_slow` is called when it is given away."""

    def __init__(self) -> None:
        self.when_slow: Callable[[], None] = lambda: None


class Turns:
    """So many steps at once, not counting those that have taken longer than `patience_s`."""

    def __init__(self, count: int, *, patience_s: float = PATIENCE_S) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_s = patience_s

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a turn and hold it for the body, but no longer than the patience."""
        await self._free.acquire()
        turn = Turn()
        held = True

        def give_away() -> None:
            nonlocal held
            held = False
            self._free.release()
            turn.when_slow()

        timer = asyncio.get_running_loop().call_later(self._patience_s, give_away)
        try:
            yield turn
        finally:
            timer.cancel()
            if held:
                self._free.release()
