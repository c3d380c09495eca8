"""Feedback of every version of one process: one thread that takes answers up, and who joins labels with them.

In the flow: loader (a Kept for each version) → **watching** ← labels; → scrape and admin port.
"""

import itertools
import logging
import secrets
import threading
import weakref
from collections.abc import Sequence
from time import perf_counter, sleep
from typing import Final

from model_manager.errors import one_line
from model_manager.feedback.kept import Bounds, Kept
from model_manager.feedback.labels import Label, Status, better_of
from model_manager.feedback.tallies import AccuracyTally
from model_manager.settings import Settings
from model_manager.signature import Signature

logger = logging.getLogger(__name__)

_PERIOD_S: Final = 0.5
_MOST_OF_A_WINDOW: Final = 0.1


class Feedback:
    """Keeps answers for labels, off the event loop, within bounds that hold for each version."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._kept: list[weakref.ref[Kept]] = []
        self._adding = threading.Lock()
        self._looking = threading.Lock()  # never held by the event loop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._process, self._numbers = secrets.token_hex(8), itertools.count()

    @classmethod
    def from_settings(cls, settings: Settings) -> "Feedback | None":
        """What the settings ask for; None where they ask for none. Starts nothing."""
        if not settings.feedback_window_s:
            return None
        return cls(
            Bounds(
                settings.feedback_window_s,
                settings.feedback_entries,
                settings.feedback_mb << 20,
                settings.feedback_share,
            )
        )

    def watch(self, version: tuple[str, str], signature: Signature) -> Kept:
        """Keep a version's answers for as long as whoever asked keeps what is given back."""
        kept = Kept(signature, version, self._bounds, self._new_id)
        with self._adding:
            self._kept = [one for one in self._kept if one() is not None]
            self._kept.append(weakref.ref(kept))
        return kept

    def _new_id(self) -> str:
        return f"{self._process}-{next(self._numbers):x}"

    def start(self) -> None:
        """Begin to take answers up."""
        self._thread.start()

    def close(self) -> None:
        """Take no more up; nothing waits for the thread."""
        self._over.set()

    def join(self, model: str, labels: Sequence[Label]) -> list[Status]:
        """Join labels with the answers of a model's versions here. Blocks: call it on a thread."""
        answers: list[list[Status]] = [["unknown"] * len(labels)]
        for kept in self._alive():
            if kept.version[0] == model:
                with self._looking:
                    kept.fold(perf_counter())
                    now = perf_counter()
                    answers.append([kept.join(label, now) for label in labels])
                sleep(0)
        return better_of(answers)

    def tallies(self) -> list[AccuracyTally]:
        """What is known of each version; of the newest that has its name. Blocks: call it on a thread."""
        found = {}
        for kept in self._alive():
            with self._looking:
                kept.fold(perf_counter())
                found[kept.version] = kept.tally(perf_counter())
            sleep(0)
        return list(found.values())

    def _alive(self) -> list[Kept]:
        return [kept for one in self._kept if (kept := one()) is not None]

    def _run(self) -> None:
        period = min(_PERIOD_S, self._bounds.window_s * _MOST_OF_A_WINDOW)
        while not self._over.wait(period):
            for kept in self._alive():
                try:
                    with self._looking:
                        kept.fold(perf_counter())
                except Exception as error:  # our own bug, which must not end the thread
                    logger.exception("%s/%s: answers were not kept: %s", *kept.version, one_line(error))
                sleep(0)  # other threads wait for the interpreter, the event loop among them
