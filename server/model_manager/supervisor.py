"""Several server processes as one: they share the API port, the supervisor has the admin port and speaks for all.

In the flow: cli → **supervisor** → N × worker. SIGTERM reaches every worker, each drains by itself, and the supervisor
ends when the last one has; one that cannot end is killed. What the admin port is asked, the workers are asked over a
Unix socket each, and nothing beside it: a probe of readiness costs them no metrics, and nothing has to be cleaned up
after a process that is gone.

A worker that dies is started again, later each time it dies soon; so is one whose event loop stands still, once it was
ended. Workers are forked from a process that has imported everything and does nothing (template.py), so that a new one
is there at once, and shares with the others what is the same in all of them. Of every death the journal is asked which
versions it ran (serving/quarantine.py); when that puts one in quarantine, the workers that still serve it make room,
one by one, for others that do not.

The pod is ready for the first time when all workers that run are, and from then on while any is. It is not alive when
nothing has worked for long although workers were started again: then the container may be.
"""

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import msgspec

from model_manager.api.credentials import Credentials
from model_manager.drift import Tally, add_up, families_of, is_of_drift
from model_manager.feedback import AccuracyTally, Label, Status, add_up_accuracy, better_of, families_of_accuracy
from model_manager.keeper import Keeper
from model_manager.ledger import GoodState
from model_manager.metrics import ACCURACY, READY, Family, LiveFamilies, Metrics, merge_families
from model_manager.process import (
    admin_app,
    admin_server,
    announce,
    bind,
    check_folder,
    event_loop_factory,
    grpc_port_kept,
    longest_stop_s,
)
from model_manager.records import RecordStream
from model_manager.serving.attempt import Attempt
from model_manager.serving.index import IndexRow, merge_indexes
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.keys import Keyring
from model_manager.serving.labelling import Labelling
from model_manager.serving.profile import Profile
from model_manager.serving.quarantine import Quarantine, kept
from model_manager.settings import Settings, opentelemetry_variables
from model_manager.template import Forked, Template
from model_manager.traces import start_tracing
from model_manager.version import __version__
from model_manager.worker import STOPPING, Post, Question, ask

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ANSWER_S: Final = 5.0
_SILENT_ANSWER_S: Final = 0.5  # of a worker that says nothing at the moment: the others' answers wait for it
_WORKED_S: Final = 30.0
_NOTHING_WORKS_S: Final = 120.0
_MAKE_ROOM_S: Final = 60.0


def run(settings: Settings) -> int:
    """Run `settings.workers` processes until SIGTERM or SIGINT; the exit code is the worst of theirs.

    Raises StartRefused like a single process does.
    """
    check_folder(settings)
    with Template.started() as template:  # first: what is forked has no threads and no sockets yet
        return _run(settings, template)


def _run(settings: Settings, template: Template) -> int:
    _check_what_workers_need(settings)
    credentials = Credentials(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.admin_host or settings.host, settings.admin_port, "admin_port") as admin,
        grpc_port_kept(settings) as settings,
        tempfile.TemporaryDirectory(prefix="model-manager-") as folder,
        _remembering(settings.state, Path(folder)) as quarantine,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        return runner.run(Supervisor(settings, api, Path(folder), quarantine, template).run(admin, credentials))


def _check_what_workers_need(settings: Settings) -> None:
    """Refuse once, before any worker starts, what each of them would refuse. Raises ConfigurationError."""
    if settings.api_keys is not None:
        Keyring(settings.api_keys, Metrics(), workers=settings.workers)
    RecordStream.from_settings(settings)
    Labelling.from_settings(settings, None)
    tracing = start_tracing(opentelemetry_variables())
    if tracing is not None:
        tracing.shutdown(0)


@contextmanager
def _remembering(state: str, folder: Path) -> Iterator[Quarantine]:
    """What is remembered of deaths: in the folder that settings name, else for as long as this process lives."""
    with kept(Path(state)) if state else nullcontext() as quarantine:
        if quarantine is not None:
            yield quarantine
            return
        with kept(folder / "state") as quarantine:
            assert quarantine is not None, "nobody else knows this folder"
            yield quarantine


class Supervisor:
    """Keeps the workers running and answers the admin port for all of them. `clock` in seconds."""

    def __init__(
        self,
        settings: Settings,
        api: socket.socket,
        folder: Path,
        quarantine: Quarantine,
        template: Template,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._api = api
        self._stopping_sign = folder / STOPPING
        self._quarantine = quarantine
        self._template = template
        self._clock = clock
        self._keepers = [
            Keeper(
                number,
                folder / f"worker-{number}.sock",
                start=self._start,
                frozen_after_s=settings.frozen_after_s,
                died=self._died,
                heard=self._heard,
            )
            for number in range(settings.workers)
        ]
        self._stopping = asyncio.Event()
        self._was_ready = False
        self._worked_at = clock()
        self._deaths_since = 0
        self._unanswered: dict[str, int] = {}
        self._remembering = asyncio.Lock()
        self._making_room: set[asyncio.Task[None]] = set()

    async def run(self, admin_socket: socket.socket, credentials: Credentials) -> int:
        """Start everything, wait for a signal, and stop in order: workers drain first, the admin port goes last."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        server = admin_server(admin_app(self, self._settings, credentials), self._settings, credentials.admin_tls)
        admin_task = asyncio.create_task(server.serve(sockets=[admin_socket]))
        announce(self._settings, self._api, admin_socket)
        try:
            async with credentials.followed():
                codes = await asyncio.gather(*(keeper.keep(self._stopping) for keeper in self._keepers))
        finally:
            for task in self._making_room:
                task.cancel()
            server.should_exit = True
            await admin_task
        await asyncio.to_thread(
            self._quarantine.forget_journals
        )  # of those who had to be killed: this stop was asked for
        return max(codes)

    def _stop(self) -> None:
        if not self._stopping.is_set():
            asyncio.get_running_loop().call_later(longest_stop_s(self._settings), self._kill)
        self._stopping.set()
        self._stopping_sign.touch()
        for keeper in self._keepers:
            keeper.terminate()

    def _kill(self) -> None:
        for keeper in self._keepers:
            keeper.kill()

    # deaths

    def _start(self, number: int) -> Forked:
        report, state = self._keepers[number].report, self._quarantine.folder
        post = Post(number, self._settings, state, report, replaces=self._was_ready)
        return self._template.fork(post, self._api)

    async def _died(self, number: int, how: str) -> bool:
        """Find out who is to blame, and see that nobody serves it any more. Whether that was found out."""
        self._deaths_since += 1
        async with self._remembering:
            journals = [self._quarantine.journal(number)]
            condemned = await asyncio.to_thread(self._quarantine.died, journals, how, f"worker {number}")
        if condemned:
            task = asyncio.create_task(self._make_room(number))
            self._making_room.add(task)
            task.add_done_callback(self._making_room.discard)
        return bool(condemned)

    async def _make_room(self, number: int) -> None:
        """Let every other worker end, and be started again without what is quarantined: one by one, so others serve."""
        with suppress(TimeoutError):  # the one that died serves again before the next leaves
            async with asyncio.timeout(_MAKE_ROOM_S):
                await self._keepers[number].ready.wait()
        for keeper in self._keepers:
            if keeper.number == number or keeper.resting:
                continue
            logger.info("worker %d makes room for one that does not serve what is quarantined", keeper.number)
            keeper.leave(longest_stop_s(self._settings))
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAKE_ROOM_S):
                    await keeper.ready.wait()

    def _heard(self, waiting_for: str, seconds: float) -> None:
        """Note the answer of a worker that has run for so many seconds."""
        if not waiting_for or seconds >= _WORKED_S:
            self._worked_at, self._deaths_since = self._clock(), 0

    # what the admin port is asked

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
                if reason == "" and self._was_ready:
                    return ""
                if reason is not None:
                    reasons.append(reason)
        finally:
            for one in asking:
                one.cancel()
        if self._are_ready(reasons):
            self._was_ready = True
            return ""
        missing = f"{len(reasons)} of {self._settings.workers} workers answer" if self._missing(reasons) else ""
        return "; ".join(dict.fromkeys(filter(None, [missing, *reasons])))

    def _missing(self, reasons: Sequence[str]) -> bool:
        return len(reasons) < max(1, sum(not keeper.resting for keeper in self._keepers))

    def _are_ready(self, reasons: Sequence[str]) -> bool:
        """Whether there should be traffic when the workers that answer wait for this."""
        if self._stopping.is_set():
            return False
        if self._was_ready:
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
