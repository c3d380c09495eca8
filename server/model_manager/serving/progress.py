"""How far what is served is from what is wanted, and since when: the figures behind readiness and convergence.

What is not there yet is kept by name, so that a change of one version costs the same however many there are.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from model_manager.metrics import Convergence
from model_manager.serving.views import Standing

Part: TypeAlias = tuple[str, str]
"""A model and one of its versions, or AS_A_WHOLE."""


class Progress:
    """Counts wanted states, and notes which of them came into force. `clock` in seconds, for the lag."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unfinished: set[Part] = set()
        self._unsettled: set[Part] = set()
        self._behind: set[Part] = set()
        self._wanted = 0
        self._in_force = 0
        self._behind_since: float | None = None
        self._last_in_force = 0.0

    @property
    def settled(self) -> bool:
        """Whether every wanted version is ready or has failed, and every wanted model has one that answers."""
        return self._wanted > 0 and not self._unsettled

    @property
    def ended(self) -> bool:
        """Whether every wanted version is ready or has failed, whatever answers."""
        return self._wanted > 0 and not self._unfinished

    @property
    def in_force(self) -> bool:
        """Whether exactly what is wanted is ready, and nothing else is left."""
        return self._wanted > 0 and not self._behind

    def wanted_another(self, changed: Iterable[Part]) -> None:
        """Another wanted state was read. What changed counts as not there until the next note of it."""
        self._wanted += 1
        parts = set(changed)
        self._unfinished |= parts
        self._unsettled |= parts
        self._behind |= parts
        self._look()

    def note(self, standings: Mapping[Part, Standing]) -> None:
        """Note how far these are at this moment; all others are where they were."""
        for part, standing in standings.items():
            (self._unfinished.discard if standing.ended else self._unfinished.add)(part)
            (self._unsettled.discard if standing.settled else self._unsettled.add)(part)
            (self._behind.discard if standing.in_force else self._behind.add)(part)
        self._look()

    def _look(self) -> None:
        if not self._behind:
            self._in_force = self._wanted
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._clock()
            self._last_in_force = time.time() if self._in_force else 0.0

    def now(self) -> Convergence:
        """The figures at this moment."""
        since = self._behind_since
        lag = 0.0 if since is None else self._clock() - since
        last = time.time() if self._wanted and since is None else self._last_in_force
        return Convergence(self._wanted, self._in_force, lag, last)
