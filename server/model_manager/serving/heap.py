"""The heap of this process: kept out of the garbage collector's way while it serves, and given back when versions go.

In the flow: manager, when a version went, failed or was improved → **heap**, on a thread → the operating system.

A version that nobody holds is freed at once: nothing of ours makes a circle through it. What others make (conversion to
ONNX, an estimator that points to itself) is found by collecting, the young objects first; every object is looked at
only when a version is known to be in memory still, since that holds the interpreter for as long as half a second where
a thousand models are. What was freed lies in the allocator's hands after that: glibc returns it when it is asked to.
"""

import asyncio
import ctypes
import gc
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any, Final
from weakref import ref

logger = logging.getLogger(__name__)

_MAPPED_FROM: Final = 4 << 20
"""Bytes: arrays as large as that lie outside the heap, which are a model's. A batch's are smaller, and reused."""
_KEPT_FREE: Final = 8 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h

PAUSE_S: Final = 0.5
"""What happened within this time is given back together: a burst of changes costs as much as one."""
_SPARE: Final = 50
"""So many times as long as the last one took there is none: collecting takes no more than a fiftieth of the time."""
_YOUNG: Final = 1  # the generations that were there for a while are left alone


def keep_large_arrays_apart() -> None:
    """Have glibc map every large array by itself, as it does in a young process; nothing where the C library has none.

    Else it puts them into the heap once some were freed, up to 32 MB each, and what was read of a model before it was
    shared with other processes stays there as a hole: 20 models of 10 MB took half as much again in each of them.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
        mallopt(_TRIM_THRESHOLD, _KEPT_FREE)


def settle_heap() -> None:
    """Take everything that was imported and loaded so far out of the garbage collector's sight, before traffic comes.

    Its walks over that heap are otherwise the longest pauses a request meets. Requests leave no cycles behind, so the
    young generation may also grow larger before it is looked at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def watched(*things: object) -> tuple["ref[Any]", ...]:
    """Weak references to these, so that it can be told whether they are gone; to those that allow it."""
    references = []
    for thing in things:
        try:
            references.append(ref(thing))
        except TypeError:  # of some libraries' own types
            continue
    return tuple(references)


class Heap:
    """Gives memory back a moment after it was asked to, on a thread. Used on the event loop only."""

    def __init__(self, trim: Callable[[], object] | None = None) -> None:
        self._trim = trim if trim is not None else _trim_of_the_allocator()
        self._gone: list[ref[Any]] = []
        self._asked = asyncio.Event()

    def give_back(self, gone: Iterable["ref[Any]"] = ()) -> None:
        """See that what is free goes back to the operating system soon; `gone` are references to what should be."""
        self._gone.extend(gone)
        self._asked.set()

    async def run(self) -> None:
        """Give back until cancelled; a step that runs ends by itself, on its thread."""
        while True:
            await self._asked.wait()
            await asyncio.sleep(PAUSE_S)
            self._asked.clear()
            gone, self._gone = self._gone, []
            started = perf_counter()
            await asyncio.to_thread(give_back, gone, self._trim)
            await asyncio.sleep(_SPARE * (perf_counter() - started))


def give_back(gone: Iterable["ref[Any]"], trim: Callable[[], object]) -> None:
    """Free what is unreachable, looking no further than needed for `gone` to be gone, then trim. Blocking.

    What is still held afterwards (by a batch that does not end) is not looked for again.
    """
    gc.collect(_YOUNG)
    if any(one() is not None for one in gone):
        gc.collect()
    if any(one() is not None for one in gone):  # it was there when the heap was settled
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    trim()


def _trim_of_the_allocator() -> Callable[[], object]:
    """glibc's malloc_trim over all arenas; nothing where the C library has none. Others may run Python meanwhile."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)
