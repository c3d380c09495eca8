"""Drift of every version of one process: one thread that counts what is handed over, and what it found so far.

In the flow: loader (a Counting for each version) → **watching** → scrape and admin port.
"""

import logging
import threading
import weakref
from time import monotonic, perf_counter, sleep
from typing import Final, NamedTuple

from model_manager.drift.counting import Counting
from model_manager.drift.divergence import MIN_ROWS
from model_manager.drift.tallies import Tally, families_of
from model_manager.errors import one_line
from model_manager.metrics import Family, LiveFamilies
from model_manager.repository.metadata import Baseline
from model_manager.settings import Settings
from model_manager.signature import Signature

logger = logging.getLogger(__name__)

_PERIOD_S: Final = 1.0
_SHARE: Final = 0.05
"""The most of one processor that counting takes: with many versions it comes round less often."""


class _Shown(NamedTuple):
    """What scrapes show of a version, and the changes of its counts that are in it."""

    changes: int
    families: list[Family]


class Drift:
    """Counts what versions are asked and answer, and compares it with baselines, off the event loop.

    `rows_per_s`: the most of each version. `several`: other processes count the same versions, so that of few rows here
    there may be enough in all, and whoever adds them up makes the metrics.
    """

    def __init__(self, rows_per_s: float, *, several: bool = False) -> None:
        self._rows_per_s = rows_per_s
        self._several = several
        self._countings: list[weakref.ref[Counting]] = []
        self._shown: weakref.WeakKeyDictionary[Counting, _Shown] = weakref.WeakKeyDictionary()
        self._adding = threading.Lock()
        self._looking = threading.Lock()  # held for one version at a time; never by the event loop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Drift | None":
        """What the settings ask for; None where they ask for none. Starts nothing."""
        if not settings.drift_rows_per_s:
            return None
        return cls(settings.drift_rows_per_s, several=settings.workers > 1)

    def watch(self, version: tuple[str, str], signature: Signature, baseline: Baseline | None) -> Counting:
        """Count a version's rows for as long as whoever asked keeps what is given back."""
        counting = Counting(signature, baseline, rows_per_s=self._rows_per_s, version=version)
        with self._adding:
            self._countings = [one for one in self._countings if one() is not None]
            self._countings.append(weakref.ref(counting))
        return counting

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def close(self) -> None:
        """Count no more; nothing waits for the thread."""
        self._over.set()

    def families(self) -> list[Family]:
        """The metrics of every version, the newest of a version: what the counting thread made of its counts last. None
        where several processes count.

        A scrape computes nothing but of versions that were not looked at yet. Blocks for a moment: call it on a thread.
        """
        found: dict[tuple[str, str], list[Family]] = {}
        for counting in () if self._several else self._alive():
            with self._looking:
                shown = self._shown.get(counting) or self._renew(counting)
            found[counting.version] = shown.families
        live = LiveFamilies()
        for families in found.values():
            live.add_families(families)
        return live.families()

    def tallies(self, *, named: bool = True) -> list[Tally]:
        """What the window of each version holds now; the newest of a version. With the names of bins, if asked for,
        and what was just handed over; without, as it was counted last.

        Blocks for as long as counting takes: call it on a thread.
        """
        found: dict[tuple[str, str], Tally] = {}
        for counting in self._alive():
            with self._looking:
                if named:
                    counting.fold(monotonic())
                least = 1 if self._several else MIN_ROWS
                found[counting.version] = counting.tally(monotonic(), least=None if named else least)
            sleep(0)
        return list(found.values())

    def _alive(self) -> list[Counting]:
        return [counting for one in self._countings if (counting := one()) is not None]

    def _renew_if_changed(self, counting: Counting) -> None:
        shown = self._shown.get(counting)
        if shown is None or shown.changes != counting.changes:
            self._renew(counting)

    def _renew(self, counting: Counting) -> "_Shown":
        families = families_of([counting.tally(monotonic(), least=MIN_ROWS)])
        shown = self._shown[counting] = _Shown(counting.changes, families)
        return shown

    def _run(self) -> None:
        pause = _PERIOD_S
        while not self._over.wait(pause):
            began = perf_counter()
            for counting in self._alive():
                try:
                    with self._looking:
                        counting.fold(monotonic())
                        if not self._several:
                            self._renew_if_changed(counting)
                except Exception as error:  # our own bug, which must not end the thread
                    logger.exception("%s/%s: drift was not counted: %s", *counting.version, one_line(error))
                sleep(0)  # other threads wait for the interpreter, the event loop among them
            pause = max(_PERIOD_S, (perf_counter() - began) / _SHARE)
