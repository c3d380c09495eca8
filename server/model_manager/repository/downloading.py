"""Bring the bytes of one artifact into a file: by many attempts while bytes come, by a few where none do.

Place in the flow: remote artifacts → **downloading** → store. What broke off goes on where it was. An attempt is given
so much time and a second more for each 64 KiB that came, so that a store that drips is given up like one that hangs.
"""

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO, Final, TypeVar

from model_manager.errors import LoadFailed, StoreFailed
from model_manager.repository.regular_files import Limit
from model_manager.repository.store import Incoming, Store

_T = TypeVar("_T")

ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 10.0
_LEAST_BYTES_A_SECOND: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Download:
    """One artifact on its way. `shown` is its URI as it may be told.

    `announced` is called with the bytes that will come, before any is read, and `came` with those of each part.
    """

    open: Callable[[], tuple[Store, str]]
    shown: str
    limit: Limit
    timeout_s: float
    stop: Event
    announced: Callable[[int], None]
    came: Callable[[int], None]

    def into(self, file: BinaryIO) -> None:
        """Read on from where the file stands, which is its end, until all is there.

        Raises StoreFailed, LoadFailed "too_large", and OSError of the file.
        """
        started, failures, before = time.monotonic(), 0, file.tell()
        while True:
            try:
                store, path = self.open()
                self._take(store.read(path, file.tell()), file, started)
                return
            except StoreFailed as error:
                failures = 1 if file.tell() > before else failures + 1
                before = file.tell()
                if not error.again or failures >= ATTEMPTS or self._late(before, started):
                    raise
            pause(failures, self.stop)

    def _take(self, incoming: Incoming, file: BinaryIO, started: float) -> None:
        with closing(incoming.chunks):
            if incoming.total > self.limit.bytes:
                message = f"{self.shown} has {incoming.total:,} bytes, and at most {self.limit.bytes:,} are read"
                raise LoadFailed("too_large", f"{message}: {self.limit.advice}")
            self.announced(incoming.total - incoming.start)
            file.seek(incoming.start)
            file.truncate()
            for chunk in incoming.chunks:
                if file.tell() + len(chunk) > incoming.total:
                    message = f"{self.shown}: more came than the {incoming.total:,} bytes that were announced"
                    raise StoreFailed("unreachable", message)
                file.write(chunk)
                self.came(len(chunk))
                if self.stop.is_set():
                    raise no_longer_wanted()
                if self._late(file.tell(), started):
                    message = f"{self.shown}: too slow, {file.tell():,} of {incoming.total:,} bytes came in time"
                    raise StoreFailed("unreachable", f"{message} (--fetch-timeout-s)")
        if file.tell() < incoming.total:
            message = f"{self.shown}: the connection ended after {file.tell():,} of {incoming.total:,} bytes"
            raise StoreFailed("unreachable", message, again=True)

    def _late(self, bytes: int, started: float) -> bool:
        return time.monotonic() - started > self.timeout_s + bytes / _LEAST_BYTES_A_SECOND


def repeatedly(ask: Callable[[], _T], *, attempts: int, stop: Event) -> _T:
    """Ask a store again while that may help, so many times in all. Raises the last StoreFailed."""
    for failures in range(1, attempts):
        try:
            return ask()
        except StoreFailed as error:
            if not error.again:
                raise
        pause(failures, stop)
    return ask()


def pause(failures: int, stop: Event) -> None:
    """Wait after so many failures: longer each time, and never the same for many pods at once."""
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**failures)
    if stop.wait(random.uniform(longest / 2, longest)):
        raise no_longer_wanted()


def no_longer_wanted() -> StoreFailed:
    """What ends a fetch that nobody waits for."""
    return StoreFailed("unreachable", "it is no longer wanted")
