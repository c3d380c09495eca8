"""How late the event loop runs what is due: what every request waits for before any of its own work is done."""

import asyncio
from time import perf_counter
from typing import Final

from model_manager.metrics.instruments import Series

_PERIOD_S: Final = 0.1


async def measure_loop_lag(lag: Series) -> None:
    """Observe, ten times a second until cancelled, how much longer than asked a sleep took."""
    while True:
        due = perf_counter() + _PERIOD_S
        await asyncio.sleep(_PERIOD_S)
        lag.observe(max(0.0, perf_counter() - due))
