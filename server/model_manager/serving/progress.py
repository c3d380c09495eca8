"""How far what is served is from what is wanted, and since when: the figures behind readiness and convergence.

Models that are not there yet are kept by name, so that a change of one model costs the same however many there are.
"""

import time
from collections.abc import Callable, Mapping

from model_manager.metrics import Convergence
from model_manager.serving.views import Standing


class Progress:
    """Counts wanted states, and notes which of them came into force. `clock` in seconds, for the lag."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unfinished: set[str] = set()
        self._unsettled: set[str] = set()
        self._behind: set[str] = set()
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

    def wanted_another(self) -> None:
        """Another wanted state was read."""
        self._wanted += 1

    def note(self, standings: Mapping[str, Standing]) -> None:
        """Note how far these models are at this moment; all others are where they were."""
        for model, standing in standings.items():
            (self._unfinished.discard if standing.ended else self._unfinished.add)(model)
            (self._unsettled.discard if standing.settled else self._unsettled.add)(model)
            (self._behind.discard if standing.in_force else self._behind.add)(model)
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
