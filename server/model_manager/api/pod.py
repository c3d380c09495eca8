"""What the admin port asks of the running system: of one process, or of all workers of a pod as one.

In the flow: system or supervisor → **pod** → app's routes of the admin port.
"""

from collections.abc import Sequence
from typing import Protocol

from model_manager.drift import Tally
from model_manager.feedback import AccuracyTally, Label, Status
from model_manager.ledger import GoodState
from model_manager.metrics import Family
from model_manager.serving.attempt import Attempt
from model_manager.serving.index import IndexRow
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.profile import Profile


class Pod(Protocol):
    """What the admin port asks: one process, or all workers of a pod as one."""

    async def waiting_for(self) -> str:
        """Why there should be no traffic; empty when there should."""
        ...

    async def not_alive(self) -> str:
        """Why it should be started again; empty while it works."""
        ...

    async def current_metrics(self) -> Sequence[Family]:
        """What a scrape shows now."""
        ...

    async def index(self) -> list[IndexRow]:
        """Every known version and its state."""
        ...

    async def load(self, model: str) -> bool:
        """Take up a model that was unloaded, and try again what failed of it; whether there is one."""
        ...

    async def unload(self, model: str) -> bool:
        """Stop serving a model until the folder wants it otherwise; whether there is one."""
        ...

    async def last_good(self) -> list[GoodState]:
        """The last wanted states that were in force, the newest first."""
        ...

    async def drift(self) -> list[Tally]:
        """How many sampled rows of the last hour fell into which bins, by version."""
        ...

    async def accuracy(self) -> list[AccuracyTally]:
        """How right each version was, by the labels that came."""
        ...

    async def join(self, model: str, labels: list[Label]) -> list[Status]:
        """Join labels with the answers that are here."""
        ...

    async def profiles(self, model: str) -> list[Profile]:
        """What the ready versions of a model say of themselves."""
        ...

    async def attempt(self, model: str, version: str, body: str) -> Attempt:
        """Ask one version for what a body of V1 asks for."""
        ...

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What each process is doing now."""
        ...
