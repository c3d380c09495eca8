"""The event loop of a process that serves, and Ctrl-C, which neither its start nor its end is to be torn by.

In the flow: process, supervisor, worker → **event loop** → everything that they serve.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def event_loop() -> Iterator[asyncio.Runner]:
    """Have an event loop for the body: uvloop's where it exists, else asyncio's own.

    Ctrl-C waits until `on_interrupt` says what it does: an exception raised while a loop starts would leave it half
    made. Once the body is over it waits for ever, since what is left takes a moment and is to be whole.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with asyncio.Runner(loop_factory=_factory()) as runner:
        try:
            yield runner
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def on_interrupt(interrupt: Callable[[], None]) -> None:
    """Let Ctrl-C call this on the running event loop, from now on."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
