"""Labels of a caller reach whoever holds the answer: this process, the others of its pod, and other pods.

In the flow: api/feedback → **labelling** → feedback, here and elsewhere → what became of each label.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from model_manager.feedback import STATUSES, Feedback, Label, Status, better_of
from model_manager.serving.peers import Peers
from model_manager.settings import Settings

Answers: TypeAlias = tuple[list[list[Status]], int]
"""What others said became of the same labels, in order, and how many did not say."""


class Given(NamedTuple):
    """What became of each label; how many processes and pods did not say, so that it may yet be there."""

    statuses: list[Status]
    unanswered: int


class Labelling:
    """Gives labels to everybody who may hold their answers. `feedback`: None where this server takes none.

    `beside`, to be set, asks the other processes of the pod.
    """

    def __init__(self, feedback: Feedback | None, peers: Peers | None) -> None:
        self._feedback = feedback
        self._peers = peers
        self.beside: Callable[[str, list[Label]], Awaitable[Answers]] | None = None
        self._counts: Counter[Status] = Counter()

    @classmethod
    def from_settings(cls, settings: Settings, feedback: Feedback | None) -> "Labelling":
        """What the settings ask for. Raises StartRefused for an address that is none."""
        url = settings.feedback_peers
        peers = Peers(url, settings.admin_token) if url else None
        return cls(feedback, peers)

    @property
    def is_on(self) -> bool:
        """Whether labels are taken."""
        return self._feedback is not None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many labels came, by what became of them; nothing where none are taken."""
        return {status: self._counts[status] for status in STATUSES} if self.is_on else {}

    async def join(self, model: str, labels: Sequence[Label]) -> list[Status]:
        """Join labels with the answers of this process."""
        if self._feedback is None:
            return ["unknown"] * len(labels)
        return await asyncio.to_thread(self._feedback.join, model, labels)

    async def give(self, model: str, labels: list[Label]) -> Given:
        """Join labels with the answers of everybody."""
        asking: list[Awaitable[Answers]] = []
        if self.beside is not None:
            asking.append(self.beside(model, labels))
        if self._peers is not None:
            asking.append(self._peers.tell(model, labels))
        here, *elsewhere = await asyncio.gather(self._here(model, labels), *asking)
        statuses = better_of([one for answers, _ in (here, *elsewhere) for one in answers])
        self._counts.update(statuses)
        return Given(statuses, sum(unanswered for _, unanswered in elsewhere))

    async def _here(self, model: str, labels: list[Label]) -> Answers:
        return [await self.join(model, labels)], 0
