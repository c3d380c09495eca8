"""Look for faster forms of a version that serves: in a child process, then built here. Never at the version's cost.

In the flow: manager, once a version is ready → **improving** → child, inference.compiled → servable, which uses them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, BinaryIO

from model_manager.errors import LoadFailed, one_line
from model_manager.inference.compiled.compilation import (
    Compilation,
    build_proven,
    compile_predictor,
    not_compiled,
    seconds_allowed,
    seconds_before_retry,
)
from model_manager.inference.cost import NOTHING_INLINE, InlineLimits, measure_inline_limits
from model_manager.inference.predictor import SklearnPredictor
from model_manager.serving.child import Compiled, Task
from model_manager.serving.form_failures import failures_told_of
from model_manager.serving.isolated import IsolatedPredictor
from model_manager.serving.journal import Noted
from model_manager.serving.proving import Reading
from model_manager.serving.servable import Servable
from model_manager.serving.trying import Children
from model_manager.signature import Rows

if TYPE_CHECKING:
    from model_manager.traces import LoadTrace


@dataclass(frozen=True, slots=True)
class Loaded:
    """A servable, and what is needed to look for faster forms of it; no estimator or artifact where none are wanted.

    `inline`: what its predictor was measured to allow.
    """

    servable: Servable
    noted: Noted
    inline: InlineLimits
    estimator: Any
    predictor: SklearnPredictor | IsolatedPredictor
    example: Rows | None
    artifact: BinaryIO | None
    reading: Reading | None
    trace: "LoadTrace | None"

    @property
    def plain(self) -> SklearnPredictor:
        """The predictor that others are compared with."""
        assert isinstance(self.predictor, SklearnPredictor), "no faster forms are looked for of an isolated version"
        return self.predictor

    @property
    def held(self) -> tuple[Any, ...]:
        """What should be gone from memory once the version is."""
        return (self.servable, self.predictor, getattr(self.predictor, "estimator", None))


@dataclass(frozen=True, slots=True)
class Improver:
    """Looks for faster forms on `compiling`, in `children` first where there are any.

    `stopped` ends the search. `check_process` is told whose code ran.
    """

    compiling: Executor
    stopped: Callable[[], bool]
    children: Children | None = None
    check_process: Callable[[str], None] = lambda suspect: None

    async def improve(self, loaded: Loaded, *, told: Callable[[], None]) -> None:
        """Look for faster forms of a version that serves already, and let it use those that proved equal.

        An attempt that ran out of time is repeated later, with more of it; `told` is called after each. Never fails:
        scikit-learn stays, and the servable's report says why. Cancellation leaves the version as it is.
        """
        with loaded.artifact or nullcontext():
            await _end_probation(loaded)
            if loaded.estimator is not None:
                await self._improve(loaded, told)

    async def _improve(self, loaded: Loaded, told: Callable[[], None]) -> None:
        for attempt in count(1):
            started = perf_counter()
            compilation, inline = await self._compile(loaded, attempt)
            ended = perf_counter()
            self.check_process(f"{loaded.servable.id}, while faster forms of it were looked for")
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

    async def _compile(self, loaded: Loaded, attempt: int) -> tuple[Compilation, InlineLimits]:
        loop, noted = asyncio.get_running_loop(), loaded.noted
        if noted.never_compiled:
            return not_compiled(loaded.plain, noted.never_compiled), loaded.inline
        if self.children is None:
            return await loop.run_in_executor(
                self.compiling, noted.run, "compiling", self._compile_here, loaded, attempt
            )
        servable, artifact, reading = loaded.servable, loaded.artifact, loaded.reading
        assert artifact is not None, "it is kept where there are children"
        assert reading is not None, "and how it is read"
        task = Task(reading, seconds_allowed(attempt))
        try:
            async with self.children.trial(servable.id, task, artifact, Compiled) as (found, _):
                return await loop.run_in_executor(self.compiling, noted.run, "compiling", self._build, loaded, found)
        except LoadFailed as error:
            return not_compiled(loaded.plain, f"compiling failed: {error}"), loaded.inline

    def _build(self, loaded: Loaded, found: Compiled) -> tuple[Compilation, InlineLimits]:
        """Build here the forms that won in the child."""
        try:
            failed = failures_told_of(loaded.servable)
            compilation = build_proven(loaded.estimator, loaded.plain, found.recipe, failed=failed)
        except BaseException as error:  # foreign code: it must end neither this thread nor the program
            return not_compiled(loaded.plain, f"compiling failed: {one_line(error)}"), loaded.inline
        return compilation, InlineLimits.of(found.measured)

    def _compile_here(self, loaded: Loaded, attempt: int) -> tuple[Compilation, InlineLimits]:
        def stopped() -> bool:
            return self.stopped() or loaded.servable.batcher.closed

        try:
            compilation = compile_predictor(
                loaded.estimator,
                loaded.plain,
                loaded.example,
                budget_s=seconds_allowed(attempt),
                stopped=stopped,
                failed=failures_told_of(loaded.servable),
            )
            return compilation, measure_inline_limits(compilation.predictor, loaded.example)
        except BaseException as error:  # what model code raises must end neither this search nor the program
            return not_compiled(loaded.plain, f"compiling failed: {one_line(error)}"), NOTHING_INLINE


async def _end_probation(loaded: Loaded) -> None:
    """Wait until a version is no longer suspected, and let it compute as others do; see suspicion.py."""
    noted = loaded.noted
    if noted.turns is not None:
        await asyncio.sleep(max(0.0, noted.until - time()))
        noted.turns = None
        loaded.servable.use(loaded.predictor, loaded.servable.report, inline=loaded.inline)
