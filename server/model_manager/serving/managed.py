"""One incarnation of one version in the manager's hands: its state, and a log line for each change, with why."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from weakref import ref

from model_manager.logs import STEPS
from model_manager.repository.lifecycle import Incarnation, State, check_move
from model_manager.repository.wanted import WantedVersion
from model_manager.serving.servable import Servable

logger = logging.getLogger(__name__)
_steps = logging.getLogger(STEPS)

_OUTCOMES: Final = (State.READY, State.FAILED, State.GONE)

_loads: Final = count(1)


@dataclass(eq=False, slots=True)
class ManagedVersion:
    """One incarnation of one version: it only moves forward; a retry is a new one.

    `moved` is told of every change of its state, with the one before: None at first. `load`: its number among all.
    """

    wanted: WantedVersion
    attempts: int
    state: State = State.WANTED
    reason: str = ""
    quarantined: bool = False
    retry_at: float = 0.0
    servable: Servable | None = None
    task: asyncio.Task[None] | None = None
    watched: tuple["ref[Any]", ...] = ()  # what should be gone from memory once the version is
    moved: Callable[["ManagedVersion", State | None], None] = lambda version, was: None
    load: int = field(default_factory=lambda: next(_loads))

    def incarnation(self) -> Incarnation:
        """What `next_action` is shown of it."""
        return Incarnation(self.wanted.id, self.wanted.fingerprint, self.state, self.attempts, self.retry_at)

    def move(self, to: State, why: str) -> None:
        """Change state along the arrows of the lifecycle; see `tell`. Only a failure keeps its reason for the index."""
        was = self.state
        check_move(was, to)
        self.state, self.reason = to, why if to is State.FAILED else ""
        self.tell(why)
        self.moved(self, was)

    def begin(self, why: str) -> None:
        """Tell that it is wanted: its first state."""
        self.tell(why)
        self.moved(self, None)

    def tell(self, why: str) -> None:
        """Log the state and why: one line for each change."""
        id, state = self.wanted.id, self.state
        level = logging.WARNING if state is State.FAILED else logging.INFO
        fields = {"model_name": id.model, "model_version": id.version, "state": state.value}
        told = logger if state in _OUTCOMES else _steps
        told.log(level, "%s is %s: %s", id, state.value, why, extra=fields)

    def tell_form(self) -> None:
        """Log how the version answers from now on."""
        if self.servable is None or self.state is not State.READY:
            return
        id, form = self.wanted.id, self.servable.form
        fields = {"model_name": id.model, "model_version": id.version}
        if form.reason is not None:
            again = form.properties().get("compiled_again_at")
            why = f"{form.reason}; tried again at {again}" if again is not None else form.reason
            _steps.info("%s is answered by scikit-learn itself: %s", id, why, extra=fields)
        elif form.speedup:
            gains = ", ".join(f"{gain:.0f} times as fast for {rows} rows" for rows, gain in form.speedup.items())
            _steps.info("%s is answered by %s, %s", id, form.name, gains, extra=fields)
