"""Bring one version from wanted to servable: fetch, load, prove. Blocking steps run on loader threads.

In the flow: manager → **loader** → repository (bytes) and inference (estimator, signature, proof) → servable. Once it
serves, the loader looks for faster forms of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, pairwise
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, ParamSpec, TypeVar

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput, LoadFailed, one_line
from model_manager.inference.compiled.compilation import (
    Compilation,
    compile_predictor,
    not_compiled,
    seconds_allowed,
    seconds_before_retry,
)
from model_manager.inference.cost import NOTHING_INLINE, InlineLimits, measure_inline_limits
from model_manager.inference.estimator_files import LoadedEstimator, load_estimator
from model_manager.inference.features import example_row
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.metrics import COUNTED_OUTPUT, Metrics
from model_manager.repository.artifact import open_artifact
from model_manager.repository.lifecycle import State
from model_manager.repository.location import without_credentials
from model_manager.repository.metadata import Golden, Metadata, declared_from, parse_metadata
from model_manager.repository.wanted import ServableId, WantedVersion
from model_manager.serving.batch import Observed
from model_manager.serving.batcher import Batcher
from model_manager.serving.form_failures import failures_told_of
from model_manager.serving.servable import Provenance, Servable
from model_manager.signature import Rows, Signature
from model_manager.traces import batch_span

if TYPE_CHECKING:
    from model_manager.traces import LoadTrace, Tracing

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A servable, and what is needed to look for faster forms of it; no estimator where none are wanted."""

    servable: Servable
    estimator: Any
    predictor: SklearnPredictor
    example: Rows | None
    trace: "LoadTrace | None"


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads versions.

    `loading` runs what blocks while a version is loaded, `compiling` what looks for faster forms of one that serves;
    `predicting` is the shared limit on batches computed off the loop. `max_rows` bounds one request; `timeout_s` and
    `compile` hold where the manifest says nothing. `stopped` ends the search for faster forms. `tracing`: where
    loads and batches are recorded, if anywhere.
    """

    metrics: Metrics
    loading: Executor
    compiling: Executor
    predicting: Executor
    library_mismatch: Literal["refuse", "warn"]
    max_rows: int
    timeout_s: float
    compile: bool
    stopped: Callable[[], bool]
    tracing: "Tracing | None" = None

    async def load(self, wanted: WantedVersion, *, entered: Callable[[State, str], None]) -> Loaded:
        """Bring a wanted version to a servable, calling `entered` with each state on the way, and why.

        Raises LoadFailed with the reason. Cancellation abandons the step that runs; its thread finishes on its own.
        """
        times = [perf_counter()]
        trace = self.tracing.load(*wanted.id, times[0]) if self.tracing is not None else None
        try:
            loaded = await self._load(wanted, entered, times, trace)
        except BaseException as error:
            if trace is not None:
                trace.finish(error=error, ended=perf_counter())
            raise
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
    ) -> Loaded:
        """The phases of a load; `times` gets the moment at which each one ended."""
        loop = asyncio.get_running_loop()
        entered(State.FETCHING, f"from {without_credentials(wanted.location)}")
        artifact = await loop.run_in_executor(self.loading, open_artifact, wanted)
        times.append(perf_counter())
        entered(State.LOADING, f"its bytes were there after {times[-1] - times[-2]:.3f} s")
        loaded, metadata = await loop.run_in_executor(
            self.loading, _contained, "reading it", self._read, artifact, wanted.metadata
        )
        times.append(perf_counter())
        entered(State.PROVING, f"it was read in {times[-1] - times[-2]:.3f} s")
        predictor, example, inline = await loop.run_in_executor(
            self.loading, _contained, "proving it", _prove, loaded, metadata
        )
        times.append(perf_counter())
        servable = self._servable(wanted, metadata, loaded, predictor, inline)
        compilable = wanted.compile if wanted.compile is not None else self.compile
        return Loaded(servable, loaded.estimator if compilable else None, predictor, example, trace)

    async def improve(self, loaded: Loaded, *, told: Callable[[], None]) -> None:
        """Look for faster forms of a version that serves already, and let it use those that proved equal.

        An attempt that ran out of time is repeated later, with more of it; `told` is called after each. Never fails:
        scikit-learn stays, and the servable's report says why. Cancellation leaves the version as it is.
        """
        if loaded.estimator is None:
            return
        loop = asyncio.get_running_loop()
        for attempt in count(1):
            started = perf_counter()
            compilation, inline = await loop.run_in_executor(self.compiling, self._compile, loaded, attempt)
            ended = perf_counter()
            loaded.servable.load_seconds["compile"] = ended - started
            if loaded.trace is not None:
                loaded.trace.stage("compile", started, ended)
            report, wait_s = compilation.report, seconds_before_retry(attempt)
            if report.out_of_time:
                report = replace(report, retry_at=time() + wait_s)
            loaded.servable.use(compilation.predictor, report, inline=inline)
            told()
            if not report.out_of_time:
                return
            await asyncio.sleep(wait_s)

    def _read(self, artifact: BinaryIO, metadata: bytes | None) -> tuple[LoadedEstimator, Metadata]:
        """Read metadata before the artifact: it is text, and tells sooner that something is wrong."""
        with artifact:
            described = parse_metadata(metadata) if metadata is not None else Metadata()
            return load_estimator(artifact, library_mismatch=self.library_mismatch), described

    def _compile(self, loaded: Loaded, attempt: int) -> tuple[Compilation, InlineLimits]:
        def stopped() -> bool:
            return self.stopped() or loaded.servable.batcher.closed

        try:
            compilation = compile_predictor(
                loaded.estimator,
                loaded.predictor,
                loaded.example,
                budget_s=seconds_allowed(attempt),
                stopped=stopped,
                failed=failures_told_of(loaded.servable),
            )
            return compilation, measure_inline_limits(compilation.predictor, loaded.example)
        except BaseException as error:  # what model code raises must end neither this search nor the program
            return not_compiled(loaded.predictor, f"compiling failed: {one_line(error)}"), NOTHING_INLINE

    def _servable(
        self,
        wanted: WantedVersion,
        metadata: Metadata,
        loaded: LoadedEstimator,
        predictor: SklearnPredictor,
        inline: InlineLimits,
    ) -> Servable:
        signature, baseline = predictor.signature, metadata.baseline
        predictions = baseline.outputs.get(COUNTED_OUTPUT) if baseline is not None else None
        metrics = self.metrics.servable(*wanted.id, signature, predictions.edges if predictions is not None else None)
        batcher = Batcher(
            predictor.predict,
            batching=wanted.batching,
            inline=inline,
            executor=self.predicting,
            metrics=metrics,
            shapes_vary=signature.columns is None,
            tell_batch=partial(_record_batch, wanted.id) if self.tracing is not None else None,
        )
        return Servable(
            wanted.id,
            signature=signature,
            predictor=predictor,
            batcher=batcher,
            provenance=Provenance(wanted.digest or wanted.sha256 or "", metadata, loaded.library_warning),
            metrics=metrics,
            timeout_s=wanted.timeout_ms / 1000 if wanted.timeout_ms is not None else self.timeout_s,
            max_rows=self.max_rows,
        )


def _contained(step: str, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """Run a step of loading on a loader thread; whatever it raises, LoadFailed is what the event loop gets to see.

    A model's code may raise SystemExit, which would end the program, a cancellation, which would leave the version
    loading for ever, StopIteration, which no future can hold, and exceptions that fail when they are asked for a text.
    """
    try:
        return call(*arguments, **options)
    except LoadFailed:
        raise
    except BaseException as error:
        ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError)
        raise LoadFailed("internal" if ordinary else "model_raised", f"{step} raised {one_line(error)}") from error


def _record_batch(id: ServableId, observed: Sequence[Observed], rows: int, requests: int) -> None:
    """Record a batch in the traces of the requests that are recorded."""
    traces = [one.trace for one in observed if one.trace is not None]
    started, ended = observed[0].batch_started, observed[0].batch_ended
    batch_span(traces, started, ended, model=id.model, version=id.version, rows=rows, requests=requests)


def _prove(loaded: LoadedEstimator, metadata: Metadata) -> tuple[SklearnPredictor, Rows | None, InlineLimits]:
    """Find out what the estimator takes and gives, hold it to its golden rows, and measure what it costs."""
    golden = metadata.golden

    def decode(signature: Signature) -> Rows:
        assert golden is not None
        return _golden_rows(golden, signature)

    signature = infer_signature(
        loaded.estimator, declared_from(metadata), golden_rows=decode if golden is not None else None
    )
    predictor = SklearnPredictor(loaded.estimator, signature)
    example = example_row(signature)
    if golden is not None:
        example = decode(signature)
        check_golden(predictor, example, golden.outputs)
    return predictor, example, measure_inline_limits(predictor, example)


def _golden_rows(golden: Golden, signature: Signature) -> Rows:
    try:
        return rows_from_instances(golden.instances, signature, source="golden.instances")
    except InvalidInput as error:
        raise LoadFailed("metadata_invalid", f"metadata.json: {error}") from None
