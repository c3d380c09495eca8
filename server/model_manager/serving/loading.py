"""Bring one version from wanted to servable: fetch, try in a child process, load, prove. What blocks runs on threads.

In the flow: manager → **loader** → repository (bytes), child (what a model's code may break) and inference (estimator,
signature, proof) → servable → improving.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from io import UnsupportedOperation
from itertools import pairwise
from math import inf
from shutil import copyfileobj
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO, Literal, ParamSpec, TypeVar

from model_manager.drift import NOT_COUNTED, Drift
from model_manager.errors import LoadFailed
from model_manager.feedback import Feedback
from model_manager.inference.cost import NOTHING_INLINE, InlineLimits, measure_inline_limits
from model_manager.inference.predictor import SklearnPredictor
from model_manager.metrics import COUNTED_OUTPUT, Metrics
from model_manager.repository.artifact import Fetched, open_artifact
from model_manager.repository.lifecycle import State
from model_manager.repository.location import without_credentials
from model_manager.repository.metadata import Metadata, parse_metadata
from model_manager.repository.packages import format_of
from model_manager.repository.policy import Policy
from model_manager.repository.remote_artifacts import RemoteArtifacts, is_remote
from model_manager.repository.wanted import ServableId, WantedVersion
from model_manager.serving.attribution import Attribution
from model_manager.serving.batch import Observed
from model_manager.serving.batcher import Batcher
from model_manager.serving.child import Costs, Proven, Task
from model_manager.serving.fetching import fetch
from model_manager.serving.giving_up import overdue_after_s
from model_manager.serving.improving import Loaded
from model_manager.serving.isolated import IsolatedPredictor
from model_manager.serving.journal import Noted
from model_manager.serving.loop_watch import LoopWatch
from model_manager.serving.prediction_threads import PredictionThreads
from model_manager.serving.proving import Described, Reading, contained, prove, read
from model_manager.serving.servable import Provenance, Servable
from model_manager.serving.shared_copies import SharedCopies
from model_manager.serving.trying import Children, Trial
from model_manager.serving.turns import Turns
from model_manager.traces import batch_span

if TYPE_CHECKING:
    from model_manager.traces import LoadTrace, Tracing

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads versions.

    `loading` runs what blocks while a version is loaded, so many as `turns` says at once, but any number of slow ones;
    `predicting` is the shared limit on batches computed off the loop, `watch` looks after those on it. `policy`: what
    is demanded of artifacts. `remote` fetches those that are elsewhere, if anything does. `children`: None where
    versions are loaded here alone. `max_rows` bounds one request; `timeout_s` and `compile` hold where the manifest
    says nothing. `attribution`: who notes what is called, and refuses what ends the server. `tracing`: where loads and
    batches are recorded, if anywhere. `check_process` is told whose code ran. `drift`: what
    counts how far rows lie from the training data, if anything does; `feedback`: what keeps answers for labels.
    `copies`: where models are shared with other processes.
    """

    metrics: Metrics
    loading: Executor
    predicting: PredictionThreads
    watch: LoopWatch
    policy: Policy
    library_mismatch: Literal["refuse", "warn"]
    max_rows: int
    timeout_s: float
    compile: bool
    attribution: Attribution = field(default_factory=Attribution)
    tracing: "Tracing | None" = None
    remote: RemoteArtifacts | None = None
    children: Children | None = None
    turns: Turns = field(default_factory=lambda: Turns(2))
    check_process: Callable[[str], None] = lambda suspect: None
    drift: Drift | None = None
    copies: SharedCopies | None = None
    feedback: Feedback | None = None

    async def load(self, wanted: WantedVersion, *, entered: Callable[[State, str], None]) -> Loaded:
        """Bring a wanted version to a servable, calling `entered` with each state on the way, and why.

        Raises LoadFailed with the reason. Cancellation kills the child, and abandons a step that runs here; its thread
        finishes on its own.
        """
        times = [perf_counter()]
        trace = self.tracing.load(*wanted.id, times[0]) if self.tracing is not None else None
        loaded: Loaded | None = None
        try:
            async with AsyncExitStack() as stack:
                loaded = await self._load(wanted, entered, times, trace, stack)
        except BaseException as error:
            if loaded is not None and loaded.artifact is not None:  # cancelled while its child was let go of
                loaded.artifact.close()
            if trace is not None:
                trace.finish(error=error, ended=perf_counter())
            raise
        finally:
            self.check_process(f"{wanted.id}, while it was loaded")
        for phase, (started, ended) in zip(("fetch", "load", "prove"), pairwise(times), strict=True):
            loaded.servable.load_seconds[phase] = ended - started
            if trace is not None:
                trace.stage(phase, started, ended)
        if trace is not None:
            trace.finish(error=None, ended=times[-1])
        return loaded

    async def _load(
        self,
        wanted: WantedVersion,
        entered: Callable[[State, str], None],
        times: list[float],
        trace: "LoadTrace | None",
        stack: AsyncExitStack,
    ) -> Loaded:
        """The phases of a load; `times` gets the moment at which each one ended."""
        entered(State.FETCHING, f"from {without_credentials(wanted.location)}")
        declared, fetched = wanted, None
        if self.remote is not None and is_remote(wanted):
            wanted, fetched = await fetch(self.remote, wanted, self.policy)
            stack.enter_context(fetched.file)
        noted, artifact = await self._blocking(self._open, declared, wanted, fetched)
        stack.enter_context(artifact)
        times.append(perf_counter())
        entered(State.LOADING, f"its bytes were there after {times[-1] - times[-2]:.3f} s")
        signature, trial, seen, reading = None, None, _identity(artifact), self._reading(wanted)
        if wanted.isolated:
            return await self._isolate(wanted, artifact, reading, noted, entered, times, trace)
        if self.children is not None:
            trying = self.children.trial(wanted.id, Task(reading), artifact, Proven)
            proven, trial = await stack.enter_async_context(trying)
            signature = proven.signature
            if _identity(artifact) != seen:  # what was proven is not what would be read
                raise LoadFailed("digest_mismatch", "it changed while it was tried, and will be read again")
        reader = read if self.copies is None else partial(self.copies.read, digest=wanted.digest)
        loaded, metadata = await self._calling(noted, "reading it", reader, artifact, reading)
        times.append(perf_counter())
        entered(State.PROVING, f"it was read in {times[-1] - times[-2]:.3f} s")
        try:
            described = await self._calling(noted, "proving it", prove, loaded, metadata, signature)
        except LoadFailed:
            if not loaded.copied:
                raise
            artifact.seek(0)  # what a copy does not answer, the artifact may
            loaded, metadata = await self._calling(noted, "reading it", read, artifact, reading)
            described = await self._calling(noted, "proving it", prove, loaded, metadata, signature)
        inline = await self._measure(noted, described, trial)
        times.append(perf_counter())
        servable = self._servable(wanted, metadata, loaded.library_warning, described.predictor, inline, noted)
        compilable = wanted.compile if wanted.compile is not None else self.compile
        plain = Loaded(servable, noted, inline, None, described.predictor, described.example, None, None, trace)
        if not (compilable and loaded.compilable):
            return plain
        plain = replace(plain, estimator=loaded.estimator)
        if self.children is None:
            return plain
        kept = os.fdopen(os.dup(artifact.fileno()), "rb", buffering=0)  # which improving closes
        return replace(plain, artifact=kept, reading=reading)

    async def _isolate(
        self,
        wanted: WantedVersion,
        artifact: BinaryIO,
        reading: Reading,
        noted: Noted,
        entered: Callable[[State, str], None],
        times: list[float],
        trace: "LoadTrace | None",
    ) -> Loaded:
        """Have a version read, proven and asked in a process of its own; the one that proves it is the first."""
        if self.children is None:
            advice = "leave --load-isolation at process, on Linux, or take the line out of models.yaml"
            raise LoadFailed("not_isolated", f"isolation: process needs child processes; {advice}")
        timeout_s = self._timeout_s(wanted)
        predictor = IsolatedPredictor(wanted.id, self.children, reading, artifact, timeout_s=timeout_s)
        serving = await predictor.start()
        times.append(perf_counter())
        entered(State.PROVING, f"it was read and proven in its own process in {times[-1] - times[-2]:.3f} s")
        times.append(times[-1])
        try:
            metadata = parse_metadata(reading.metadata) if reading.metadata is not None else Metadata()
            servable = self._servable(wanted, metadata, serving.library_warning, predictor, NOTHING_INLINE, noted)
        except BaseException:
            predictor.close()
            raise
        batcher = servable.batcher
        batcher.finished, predictor.ended = predictor.close, batcher.process_ended
        return Loaded(servable, noted, NOTHING_INLINE, None, predictor, None, None, None, trace)

    def _timeout_s(self, wanted: WantedVersion) -> float:
        return wanted.timeout_ms / 1000 if wanted.timeout_ms is not None else self.timeout_s

    def _reading(self, wanted: WantedVersion) -> Reading:
        policy = self.policy
        return Reading(
            format_of(wanted.location),
            wanted.metadata,
            self.library_mismatch,
            skops_trusted=policy.skops_trusted,
            most_bytes=policy.artifact_limit.bytes,
        )

    async def _measure(self, noted: Noted, described: Described, trial: Trial | None) -> InlineLimits:
        """What may run on the loop: measured in the child meanwhile, or here."""
        if trial is not None:
            return InlineLimits.of((await trial.hear(Costs)).measured)
        return await self._calling(noted, "measuring it", measure_inline_limits, described.predictor, described.example)

    async def _calling(
        self, noted: Noted, step: str, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs
    ) -> _T:
        """Run a step that calls the model's code on a thread, in its turn, noted; LoadFailed is all that it raises."""
        return await self._blocking(contained, step, partial(noted.run, "loading", call, *arguments, **options))

    async def _blocking(self, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Run a step on a thread, in its turn."""
        async with self.turns.turn():
            return await asyncio.get_running_loop().run_in_executor(self.loading, partial(call, *arguments, **options))

    def _open(self, declared: WantedVersion, wanted: WantedVersion, fetched: Fetched | None) -> tuple[Noted, BinaryIO]:
        """Open the artifact of a version that may be loaded, known as it was declared. Raises LoadFailed.

        What an isolated one does ends no server, so that nothing is noted of it, and nothing held against it.
        """
        attribution = Attribution() if wanted.isolated else self.attribution
        return attribution.admit(declared), _as_file(open_artifact(wanted, self.policy, fetched))

    def _servable(
        self,
        wanted: WantedVersion,
        metadata: Metadata,
        library_warning: str | None,
        predictor: SklearnPredictor | IsolatedPredictor,
        inline: InlineLimits,
        noted: Noted,
    ) -> Servable:
        signature, baseline = predictor.signature, metadata.baseline
        predictions = baseline.outputs.get(COUNTED_OUTPUT) if baseline is not None else None
        metrics = self.metrics.servable(*wanted.id, signature, predictions.edges if predictions is not None else None)
        timeout_s = self._timeout_s(wanted)
        # an isolated one keeps its time itself, and comes back whatever its process does
        overdue_s = inf if wanted.isolated else overdue_after_s(timeout_s)
        batcher = Batcher(
            noted.predict(predictor.predict),
            batching=wanted.batching,
            inline=inline if noted.turns is None else NOTHING_INLINE,
            executor=self.predicting.lane(str(wanted.id), overdue_s),
            metrics=metrics,
            shapes_vary=signature.columns is None,
            tell_batch=partial(_record_batch, wanted.id) if self.tracing is not None else None,
            watch=self.watch,
            drift=NOT_COUNTED if self.drift is None else self.drift.watch(wanted.id, signature, baseline),
        )
        return Servable(
            wanted.id,
            signature=signature,
            predictor=predictor,
            batcher=batcher,
            provenance=Provenance(wanted.digest or wanted.sha256 or "", metadata, library_warning),
            metrics=metrics,
            timeout_s=timeout_s,
            max_rows=self.max_rows,
            noted=noted,
            kept=None if self.feedback is None else self.feedback.watch(wanted.id, signature),
        )


def _record_batch(id: ServableId, observed: Sequence[Observed], rows: int, requests: int) -> None:
    """Record a batch in the traces of the requests that are recorded."""
    traces = [one.trace for one in observed if one.trace is not None]
    started, ended = observed[0].batch_started, observed[0].batch_ended
    batch_span(traces, started, ended, model=id.model, version=id.version, rows=rows, requests=requests)


def _as_file(artifact: BinaryIO) -> BinaryIO:
    """The artifact as a file of the operating system's, which can be handed to another process."""
    try:
        artifact.fileno()
    except UnsupportedOperation:  # its bytes are in memory
        with artifact:
            file = open(os.memfd_create("artifact"), "w+b")  # noqa: SIM115  the caller closes it
            copyfileobj(artifact, file)
            file.seek(0)
            return file
    return artifact


def _identity(file: BinaryIO) -> tuple[int, ...]:
    """What changes when somebody writes into a file in place."""
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
