"""Say when to look at the models folder again: at once on a file event, and on a slow beat in any case."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

logger = logging.getLogger(__name__)

_SETTLE_MS = 10  # events that follow each other closer than this are one change
_SETTLE_LIMIT_MS = 200  # a folder that never rests is looked at this often


async def changes(folder: Path, *, poll_interval_s: float) -> AsyncIterator[None]:
    """Yield at the start, after every change below `folder`, and at least every `poll_interval_s` seconds.

    Ends never by itself: a folder that vanishes or a watch that breaks leaves the beat going, and is watched again when
    it is back. Cancellation ends the watch and its thread.
    """
    yield
    warned = False
    while True:
        events = awatch(
            folder,
            watch_filter=None,
            step=_SETTLE_MS,
            debounce=_SETTLE_LIMIT_MS,
            rust_timeout=max(1, int(poll_interval_s * 1000)),
            yield_on_timeout=True,
        )
        try:
            async with aclosing(events):
                async for _ in events:
                    yield
                    if not await asyncio.to_thread(folder.is_dir):
                        break  # the watch holds the deleted folder and would never see its successor
        except (OSError, RuntimeError) as error:
            if not warned:
                logger.warning("cannot watch %s, polling it instead: %s", folder, error)
            warned = True
        await asyncio.sleep(poll_interval_s)
        yield
