"""The running system as one value: settings, metrics, registry and manager, started and stopped in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from model_manager.cpus import allowed_cpus
from model_manager.drift import Drift, Tally
from model_manager.feedback import AccuracyTally, Feedback, Label, Status, families_of_accuracy
from model_manager.inference.threads import limit_native_threads
from model_manager.ledger import GoodState, Ledger
from model_manager.metrics import (
    Family,
    LiveFamilies,
    Metrics,
    ProcessMetrics,
    measure_loop_lag,
)
from model_manager.records import RecordStream
from model_manager.repository.policy import Policy
from model_manager.repository.remote_artifacts import RemoteArtifacts
from model_manager.repository.source import Source
from model_manager.serving.answering import Answering
from model_manager.serving.attempt import Attempt, attempt
from model_manager.serving.attribution import Attribution
from model_manager.serving.chronicle import Chronicle
from model_manager.serving.explaining import Explaining
from model_manager.serving.following import Follower
from model_manager.serving.heap import Heap, keep_large_arrays_apart, settle_heap
from model_manager.serving.improving import Improver
from model_manager.serving.index import IndexRow, index_of
from model_manager.serving.inspection import Inspection, Topic, inspect
from model_manager.serving.keys import Keyring
from model_manager.serving.labelling import Labelling
from model_manager.serving.loading import Loader
from model_manager.serving.loop_watch import LoopWatch
from model_manager.serving.manager import Manager
from model_manager.serving.mounted_files import follow
from model_manager.serving.nursery import Nursery
from model_manager.serving.observation import Observer
from model_manager.serving.prediction_threads import PredictionThreads
from model_manager.serving.process_state import ProcessState
from model_manager.serving.profile import Profile, profiles_of
from model_manager.serving.registry import Registry
from model_manager.serving.shadowing import Shadowing
from model_manager.serving.shared_copies import SharedCopies
from model_manager.serving.suspects import suspects
from model_manager.serving.trying import Children
from model_manager.serving.turns import Turns
from model_manager.serving.version_metrics import VersionMetrics
from model_manager.settings import Settings, opentelemetry_variables
from model_manager.traces import start_tracing
from model_manager.version import __version__

logger = logging.getLogger(__name__)

_LOADERS: Final = 2  # loading holds the interpreter for long stretches: more threads would slow what serves
_MOST_LOADER_THREADS: Final = 64  # with those of versions that take long, which the others do not wait for

FLUSH_S: Final = 2.0
"""The longest that handing over what waits of records, or of spans, may take when the system stops."""
_LOOK_S: Final = 0.02


class System:
    """Everything one server process runs, wired by hand. `attribution`: what it does about deaths, if anything.

    Made on the thread that will run the event loop, before it runs.
    """

    def __init__(
        self,
        settings: Settings,
        attribution: Attribution | None = None,
        nursery: Nursery | None = None,
        copies: SharedCopies | None = None,
    ) -> None:
        """`nursery`: where versions are tried before they are loaded; without one they are loaded here alone.

        `copies`: what is shared with other processes, if anything.
        """
        self.settings = settings
        self.attribution = attribution or Attribution()
        policy = Policy.from_settings(settings)
        self.metrics = Metrics()
        self.tracing = start_tracing(opentelemetry_variables())
        self.records = RecordStream.from_settings(settings)
        self._drift = Drift.from_settings(settings)
        self._feedback = Feedback.from_settings(settings)
        self.labelling = Labelling.from_settings(settings, self._feedback)
        self._process_metrics = ProcessMetrics()
        self.registry = Registry()
        self._version_metrics = VersionMetrics(self.registry)
        keys = settings.api_keys
        self.keyring = None if keys is None else Keyring(keys, self.metrics, workers=settings.workers)
        self.registry.names_told = keys is None
        self._observer = self._choose_observer()
        self.explaining = Explaining(
            self.registry, most_rows=settings.explain_queue_rows, budget=settings.explain_budget
        )
        shadowing = Shadowing(self.registry, self.metrics, self.records)
        self.answering = Answering(self.registry, self.metrics, self._observer, shadowing, self.explaining)
        self.unfinished: list[str] = []
        """The versions whose code had not come back from a thread when all had been drained."""
        keep_large_arrays_apart()
        limit_native_threads()  # cheap batches run on this thread
        self._loading = ThreadPoolExecutor(_MOST_LOADER_THREADS, "loader", initializer=limit_native_threads)
        self._reading = ThreadPoolExecutor(1, "models folder")
        self._predicting = PredictionThreads(settings.threads)
        self.watch = LoopWatch(allowed_cpus())
        self._compiling = ThreadPoolExecutor(1, "compile", initializer=limit_native_threads)
        self.process_state = ProcessState(self.metrics, partial(suspects, self.registry))
        children = None if nursery is None else Children.from_settings(settings, nursery)
        self._remote = RemoteArtifacts.from_settings(settings)
        loader = Loader(
            metrics=self.metrics,
            loading=self._loading,
            predicting=self._predicting,
            watch=self.watch,
            policy=policy,
            remote=self._remote,
            library_mismatch=settings.library_mismatch,
            max_rows=settings.max_rows_per_request,
            timeout_s=settings.timeout_ms / 1000,
            compile=settings.compile == "auto",
            attribution=self.attribution,
            tracing=self.tracing,
            children=children,
            turns=Turns(_LOADERS),
            check_process=self.process_state.check,
            drift=self._drift,
            copies=copies,
            feedback=self._feedback,
        )
        improver = Improver(
            self._compiling,
            stopped=lambda: self.registry.stopping,
            children=children,
            check_process=self.process_state.check,
        )
        source = Source(settings.models, policy.files, policy.artifact_limit)
        follower = Follower(
            source,
            self.metrics,
            reading=self._reading,
            poll_interval_s=settings.poll_interval_s,
            changed=self._remote.keep,
        )
        self._heap = Heap()
        self.ledger = Ledger.from_settings(settings)
        signed_by = settings.signature_key or settings.signature_certificate or None
        self.chronicle = Chronicle(self.metrics, self.ledger, self.records, signed_by=signed_by)
        self.manager = Manager(
            follower,
            loader,
            improver,
            self.registry,
            self.metrics,
            drain_timeout_s=settings.drain_timeout_s,
            any_model=settings.ready_when == "any-model",
            reached=settle_heap,
            let_go=self._heap.give_back,
            chronicle=self.chronicle,
        )

    def switch_observation(self, on: bool) -> None:
        """Count and observe requests, or let them pass, from the next one on.

        For what weighs the cost of observing; no setting does this, since nobody should run blind for a few percent.
        """
        self.metrics.switch(on)
        self.answering.observer = self._observer if on else None

    def _choose_observer(self) -> Observer | None:
        """Who wants to know of single requests, as settings and environment say; None where they ask for nothing."""
        settings = self.settings
        if self.tracing is None and self.records is None and not settings.log_requests and not settings.server_timing:
            return None
        return Observer(
            tracing=self.tracing,
            records=self.records,
            log_share=settings.log_requests,
            server_timing=settings.server_timing,
        )

    @asynccontextmanager
    async def running(self, *, crashed: Callable[[BaseException], None] | None = None) -> AsyncIterator[None]:
        """Converge while the body runs; on leaving stop converging, drain leases, close batchers, flush telemetry.

        `crashed` is told when converging ended by itself, which only our own bug can cause: the process should go down,
        so that its probe fails, rather than serve a state nobody updates.
        """
        converging = asyncio.create_task(self.manager.run(), name="manager")
        if self.records is not None:
            self.records.start()
        if self._drift is not None:
            self._drift.start()
        if self._feedback is not None:
            self._feedback.start()
        if self.ledger is not None:
            self.ledger.start()
        lag = self.metrics.event_loop_lag.labels()
        keeping = asyncio.create_task(self._predicting.keep(), name="prediction threads")
        beside = [
            asyncio.create_task(self.explaining.keep(), name="explanations"),
            asyncio.create_task(measure_loop_lag(lag), name="loop lag"),
            asyncio.create_task(self._heap.run(), name="heap"),
            asyncio.create_task(self.chronicle.run(), name="chronicle"),
        ]
        if self.keyring is not None:
            beside.append(asyncio.create_task(self._follow_keys(self.keyring), name="API keys"))

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                logger.critical("the manager crashed", exc_info=error)
                if crashed is not None:
                    crashed(error)

        converging.add_done_callback(ended)
        try:
            yield
        finally:
            self.registry.stopping = True
            for task in (converging, *beside):
                task.cancel()
            await asyncio.wait([converging, *beside])
            await self.manager.drain()
            await self.chronicle.end()
            keeping.cancel()
            self.unfinished = self._predicting.unfinished()
            self._predicting.shutdown()
            self.explaining.shutdown()
            if self._drift is not None:
                self._drift.close()
            if self._feedback is not None:
                self._feedback.close()
            for executor in (self._compiling, self._loading, self._reading):
                executor.shutdown(wait=False, cancel_futures=True)
            await self._flush()

    async def _follow_keys(self, keyring: Keyring) -> None:
        await follow(keyring.path, keyring.read, keyring.use, poll_interval_s=self.settings.poll_interval_s)

    async def _flush(self) -> None:
        """Hand over the records, spans and entries that wait, for at most FLUSH_S seconds each; the rest is dropped."""
        closing = []
        if self.records is not None:
            closing.append(self.records.close)
        if self.tracing is not None:
            closing.append(self.tracing.shutdown)
        if self.ledger is not None:
            closing.append(self.ledger.close)
        await asyncio.gather(*(asyncio.to_thread(close, FLUSH_S) for close in closing))

    async def waiting_for(self) -> str:
        """Why this process should get no traffic now; empty when it should."""
        return self._waiting_for()

    def _waiting_for(self) -> str:
        return self.registry.waiting_for() or self._predicting.lost()

    async def not_alive(self) -> str:
        """Why this process should be started again: never, since whoever could say so works."""
        return ""

    async def loaded(self, *, limit_s: float) -> None:
        """Wait until every wanted version is ready or has failed, or the system stops; for `limit_s` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while True:
                    if self.registry.ended or self.registry.stopping:
                        return
                    await asyncio.sleep(_LOOK_S)

    async def load(self, model: str) -> bool:
        """See Manager.load."""
        return self.manager.load(model)

    async def unload(self, model: str) -> bool:
        """See Manager.unload."""
        return self.manager.unload(model)

    async def current_metrics(self) -> Sequence[Family]:
        """What a scrape shows now. Read in steps, so that many versions hold no request up."""
        live = LiveFamilies()
        await self._version_metrics.read(live)
        live.add_convergence(self.manager.convergence)
        ready = not self._waiting_for()
        live.add_process(ready=ready, version=__version__, threads_given_up=self._predicting.given_up)
        remote = self._remote
        live.add_fetches(
            bytes=remote.fetched_bytes,
            seconds=remote.fetch_seconds,
            from_cache=remote.from_cache,
            failures=dict(remote.failures),
            cached_bytes=await asyncio.to_thread(remote.cache.held_bytes),
        )
        live.add_unclean_ends(self.attribution.ends)
        if self.tracing is not None:
            live.add_spans(self.tracing.spans_exported, self.tracing.spans_dropped)
        if self.records is not None:
            records = self.records
            live.add_records(sent=records.sent, sampled_out=records.sampled_out, dropped=records.dropped)
        if self.ledger is not None:
            live.add_ledger(written=self.ledger.written, dropped=self.ledger.dropped)
        live.add_explaining(self.explaining.rows)
        live.add_feedback(self.labelling.counts)
        of_process = await asyncio.to_thread(self._process_metrics.families)
        of_drift = [] if self._drift is None else await asyncio.to_thread(self._drift.families)
        of_accuracy = await asyncio.to_thread(families_of_accuracy, await self.accuracy())
        return [*self.metrics.families(), *live.families(), *of_drift, *of_accuracy, *of_process]

    async def index(self) -> list[IndexRow]:
        """Every known version and its state."""
        return index_of(self.registry.models, self.registry.ignored)

    async def last_good(self) -> list[GoodState]:
        """The last wanted states that were in force, and in which no version has failed since; the newest first."""
        return self.chronicle.last_good

    async def drift(self, *, named: bool = True) -> list[Tally]:
        """How many sampled rows of the last hour fell into which bins, by version; see Drift.tallies for the names."""
        return [] if self._drift is None else await asyncio.to_thread(self._drift.tallies, named=named)

    async def profiles(self, model: str) -> list[Profile]:
        """What the ready versions of a model say of themselves."""
        view = self.registry.models.get(model)
        return [] if view is None else profiles_of(view)

    async def attempt(self, model: str, version: str, body: str) -> Attempt:
        """Ask one version for what a body of V1 asks for, and why; counted like every request."""
        return await attempt(self.answering, self.explaining, model, version, body)

    async def accuracy(self) -> list[AccuracyTally]:
        """How right each version was, by the labels that came."""
        return [] if self._feedback is None else await asyncio.to_thread(self._feedback.tallies)

    async def join(self, model: str, labels: list[Label]) -> list[Status]:
        """Join labels with the answers of this process."""
        return await self.labelling.join(model, labels)

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What this process is doing now."""
        return [await inspect(self.registry, topic, seconds)]
