"""The workers of a pod as one: what the admin port is asked of the pod is asked of each of them, over a Unix socket.

In the flow: admin port → **workers** → worker, and the answers put together. Nothing is asked beside what the question
is about: a probe of readiness costs no metrics, and nothing has to be cleaned up after a process that is gone.

The pod is ready for the first time when all workers that run are, and from then on while any is. It is not alive when
nothing has worked for long although workers were started again: then the container may be.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, TypeVar

import msgspec

from model_manager.drift import Tally, add_up, families_of, is_of_drift
from model_manager.feedback import AccuracyTally, Label, Status, add_up_accuracy, better_of, families_of_accuracy
from model_manager.keeper import Keeper
from model_manager.ledger import GoodState
from model_manager.metrics import ACCURACY, READY, Family, LiveFamilies, merge_families
from model_manager.serving.attempt import Attempt
from model_manager.serving.index import IndexRow, merge_indexes
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.profile import Profile
from model_manager.serving.quarantine import Quarantine
from model_manager.version import __version__
from model_manager.worker import Question, ask

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ANSWER_S: Final = 5.0
_SILENT_ANSWER_S: Final = 0.5  # of a worker that says nothing at the moment: the others' answers wait for it
_WORKED_S: Final = 30.0
_NOTHING_WORKS_S: Final = 120.0


class Workers:
    """Answers the admin port for all workers (see api/pod.py), until `stopping`. `clock` in seconds."""

    def __init__(
        self,
        keepers: Sequence[Keeper],
        stopping: asyncio.Event,
        quarantine: Quarantine,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._keepers = keepers
        self._stopping = stopping
        self._quarantine = quarantine
        self._clock = clock
        self.were_ready = False
        """Whether the pod has been ready."""
        self._worked_at = clock()
        self._deaths_since = 0
        self._unanswered: dict[str, int] = {}

    def died(self) -> None:
        """Note that a worker died."""
        self._deaths_since += 1

    def heard(self, waiting_for: str, seconds: float) -> None:
        """Note the answer of a worker that has run for so many seconds."""
        if not waiting_for or seconds >= _WORKED_S:
            self._worked_at, self._deaths_since = self._clock(), 0

    async def _ask(self, question: Question, kind: type[T]) -> list[T]:
        """The answers of all workers that answer in time."""
        answers = await asyncio.gather(*(self._ask_one(keeper, question, kind) for keeper in self._keepers))
        return [answer for answer in answers if answer is not None]

    async def _ask_one(self, keeper: Keeper, question: Question, kind: type[T]) -> T | None:
        """The answer of one worker; None, which is counted, when there is none."""
        silent = keeper.process is not None and keeper.waiting_for is None
        try:
            limit_s = _SILENT_ANSWER_S if silent else _ANSWER_S
            return await ask(keeper.report, question, kind, limit_s=limit_s)
        except (OSError, msgspec.DecodeError) as error:
            self._unanswered[question.about] = self._unanswered.get(question.about, 0) + 1
            level = logging.DEBUG if silent or keeper.process is None else logging.WARNING
            logger.log(level, "worker %d did not answer about %s: %r", keeper.number, question.about, error)
            return None

    async def waiting_for(self) -> str:
        """Why there should be no traffic; empty while any worker is ready, once all that run have been."""
        if self._stopping.is_set():
            return "the server is stopping"
        asking = [asyncio.create_task(self._ask_one(keeper, Question("readiness"), str)) for keeper in self._keepers]
        reasons = []
        try:
            for answer in asyncio.as_completed(asking):
                reason = await answer
                if reason == "" and self.were_ready:
                    return ""
                if reason is not None:
                    reasons.append(reason)
        finally:
            for one in asking:
                one.cancel()
        if self._are_ready(reasons):
            self.were_ready = True
            return ""
        missing = f"{len(reasons)} of {len(self._keepers)} workers answer" if self._missing(reasons) else ""
        return "; ".join(dict.fromkeys(filter(None, [missing, *reasons])))

    def _missing(self, reasons: Sequence[str]) -> bool:
        return len(reasons) < max(1, sum(not keeper.resting for keeper in self._keepers))

    def _are_ready(self, reasons: Sequence[str]) -> bool:
        """Whether there should be traffic when the workers that answer wait for this."""
        if self._stopping.is_set():
            return False
        if self.were_ready:
            return "" in reasons
        return not any(reasons) and not self._missing(reasons)

    async def not_alive(self) -> str:
        """Why the whole should be started again: no worker has worked for long, and to start them again was in vain."""
        seconds = self._clock() - self._worked_at
        if not self._deaths_since or seconds < _NOTHING_WORKS_S:
            return ""
        return f"no worker has worked for {seconds:.0f} s, though {self._deaths_since} were started again"

    async def index(self) -> list[IndexRow]:
        """One view of every version: ready when it is ready in all workers."""
        return merge_indexes(await self._ask(Question("index"), list[IndexRow]))

    async def last_good(self) -> list[GoodState]:
        """The wanted states that are good in every worker that knows of any."""
        answers = [states for states in await self._ask(Question("last good"), list[GoodState]) if states]
        common = set.intersection(*({one.generation for one in states} for states in answers)) if answers else set()
        return [one for one in answers[0] if one.generation in common] if answers else []

    async def current_metrics(self) -> Sequence[Family]:
        """The sum of all workers' metrics, and what only their supervisor knows."""
        workers = await self._ask(Question("metrics"), list[Family])
        told = [[one for one in families if not _is_apart(one)] for families in workers]
        ready = [
            series.value
            for families in workers
            for one in families
            if one.description == READY
            for series in one.series
        ]
        live = LiveFamilies()
        live.add_process(
            ready=self._are_ready(["" if value else "not ready" for value in ready]),
            version=__version__,
            threads_given_up=0,
        )
        live.add_unclean_ends(self._quarantine.ends)
        live.add_unanswered_questions(self._unanswered)
        tallies = add_up(await self._ask(Question("drift counts"), list[Tally]))
        accuracy = families_of_accuracy(await self.accuracy())
        of_drift = await asyncio.to_thread(families_of, tallies)
        return [*merge_families([*told, live.families()]), *of_drift, *accuracy]

    async def drift(self) -> list[Tally]:
        """The counts of all workers, added up."""
        return add_up(await self._ask(Question("drift"), list[Tally]))

    async def profiles(self, model: str) -> list[Profile]:
        """What the ready versions of a model say of themselves, in the first worker that answers."""
        return next(iter(await self._ask(Question("profiles", model=model), list[Profile])), [])

    async def attempt(self, model: str, version: str, body: str) -> Attempt:
        """Ask one version for what a body of V1 asks for, in the first worker that answers."""
        question = Question("attempt", model=model, version=version, body=body)
        for keeper in self._keepers:
            found = await self._ask_one(keeper, question, Attempt)
            if found is not None:
                return found
        return Attempt(503, "no worker answers")

    async def accuracy(self) -> list[AccuracyTally]:
        """How right each version was in all workers, added up."""
        return add_up_accuracy(await self._ask(Question("accuracy"), list[AccuracyTally]))

    async def join(self, model: str, labels: list[Label]) -> list[Status]:
        """Join labels with the answers of every worker."""
        answers = await self._ask(Question("labels", model=model, labels=labels), list[Status])
        return better_of([["unknown"] * len(labels), *answers])

    async def load(self, model: str) -> bool:
        """Have every worker take up a model, or try it again; whether any knows it."""
        return any(await self._ask(Question("load", model=model), bool))

    async def unload(self, model: str) -> bool:
        """Have every worker let a model go; whether any knows it."""
        return any(await self._ask(Question("unload", model=model), bool))

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What each worker is doing now."""
        found = await self._ask(Question(topic, seconds), list[Inspection])
        return [inspection for inspections in found for inspection in inspections]


def _is_apart(family: Family) -> bool:
    """Whether a metric is not the sum of the workers': made of counts that add up, or said by the supervisor itself."""
    return family.description == READY or is_of_drift(family) or family.description in ACCURACY
