"""How far what is served is from what is wanted, and since when: the figures behind the convergence metrics."""

import time
from collections.abc import Callable

from model_manager.metrics import Convergence


class Progress:
    """Counts wanted states, and notes which of them came into force. `clock` in seconds, for the lag."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wanted = 0
        self._in_force = 0
        self._behind_since: float | None = None
        self._last_in_force = 0.0

    def wanted_another(self) -> None:
        """Another wanted state was read."""
        self._wanted += 1

    def note(self, *, in_force: bool) -> None:
        """Note whether exactly what is wanted is served at this moment."""
        if in_force:
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
