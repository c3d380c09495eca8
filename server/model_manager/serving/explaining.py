"""Explanations of answers: which column of a row moved them by how much. On a thread and in a queue of their own.

In the flow: api.explain, or answering (V2's output `explanation`) → **explaining**: lease → decode → the version's own
answer, by its batcher → contributions, on the thread → do they add up to the answer? → encode. What goes wrong here is
told to its caller and counted apart: it never counts as a request of the version.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from model_manager.call import NORMAL, Call, Headers
from model_manager.codecs.bounds import LARGE_BODY
from model_manager.codecs.explanations import Asked, ExplainCodec, Found, wish_of
from model_manager.codecs.v2_binary import LENGTH_HEADER
from model_manager.codecs.v2_explanation import Taken, put_explanation, take_explanation
from model_manager.errors import (
    DeadlineExceeded,
    ExplanationMismatch,
    InvalidInput,
    NotExplained,
    Overloaded,
    PredictionFailed,
    RequestRefused,
    Unavailable,
)
from model_manager.inference.explaining.explainer import Explainer, explainer_of
from model_manager.metrics import ExplainOutcome
from model_manager.serving.background import background_of
from model_manager.serving.giving_up import DoesNotReturn, overdue_after_s
from model_manager.serving.prediction_threads import PredictionThreads
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.serving.short_turns import short_turns
from model_manager.signature import Array, Rows

_P = ParamSpec("_P")
_T = TypeVar("_T")
_TOLERANCE: Final = 1e-6
"""How far base value and contributions may be from the answer, beside their size: compiled forms round otherwise."""
_KEPT: Final = 8
"""Explainers that are kept, of the versions that were explained last: one of a large forest takes tens of MiB."""


class Explaining:
    """Explains what versions answer.

    `most_rows` wait or are explained at once, 0: none are; `budget`: the rows that a model is asked for each of them,
    where it is explained by asking it.
    """

    def __init__(self, registry: Registry, *, most_rows: int, budget: int) -> None:
        self._registry = registry
        self._most_rows = most_rows
        self._budget = budget
        self._threads = PredictionThreads(1)
        self._turn = asyncio.Semaphore(1)
        self._explainers: WeakKeyDictionary[Servable, _Version] = WeakKeyDictionary()
        self.rows = 0
        """That wait for an explanation or are being explained."""

    async def keep(self) -> None:
        """Look after the thread until cancelled; see PredictionThreads.keep."""
        await self._threads.keep()

    def shutdown(self) -> None:
        """Explain no more."""
        self._threads.shutdown()

    async def explain(self, call: Call, body: bytes) -> tuple[Headers, bytes]:
        """Answer rows and explain each answer: headers, less the length, and a body of JSON.

        Raises RequestRefused, NotExplained among them; Unavailable, where the queue is full or the version not ready;
        DeadlineExceeded; PredictionFailed; ExplanationMismatch.
        """
        servable = self._registry.lease(call.model, call.version, call.headers)
        try:
            return await self._counted(servable, call, self._explain(servable, call, body))
        finally:
            servable.release()

    async def infer(self, servable: Servable, call: Call, body: bytes) -> tuple[Headers, bytes] | None:
        """Answer a request of V2 that asks for the output `explanation`; None for one that does not.

        Raises as `explain` does. The lease is the caller's.
        """
        taken = await _read(body, take_explanation, call.headers, body, servable.signature.default_output)
        return None if taken is None else await self._counted(servable, call, self._infer(servable, call, taken))

    async def _counted(
        self, servable: Servable, call: Call, explained: Awaitable[tuple[Headers, bytes]]
    ) -> tuple[Headers, bytes]:
        outcome: ExplainOutcome = "failed"
        try:
            told = await explained
            outcome = "explained"
            return told
        except BaseException as error:
            outcome = _outcome_of(error)
            raise
        finally:
            servable.metrics.explained(outcome, perf_counter() - call.began)

    async def _infer(self, servable: Servable, call: Call, taken: Taken) -> tuple[Headers, bytes]:
        self._refuse_full(1)
        wish = wish_of(taken.parameters, all_known=True)
        codec = servable.codecs[call.protocol]
        request = await _read(taken.body, codec.decode, taken.headers, taken.body)
        asked = Asked(request.rows, wish, request.timeout_s, request.priority)
        explain = self._version(servable).codec.explanations

        def told(found: Found, answers: Mapping[str, Array]) -> tuple[Headers, bytes]:
            headers, encoded = codec.encode(request, answers)
            if not encoded.endswith(b"]}") or any(name == LENGTH_HEADER for name, _ in headers):
                raise InvalidInput('output "explanation" is written as JSON: ask for no binary data beside it')
            return headers, put_explanation(encoded, explain(asked.rows, wish, found), alone=taken.alone)

        return await self._explained(servable, asked, call, request.outputs, told)

    async def _explain(self, servable: Servable, call: Call, body: bytes) -> tuple[Headers, bytes]:
        self._refuse_full(1)
        codec = self._version(servable).codec
        asked = await _read(body, codec.decode, call.headers, body)
        default = servable.signature.default_output

        def told(found: Found, answers: Mapping[str, Array]) -> tuple[Headers, bytes]:
            return codec.headers, codec.encode(asked, found, answers[default])

        return await self._explained(servable, asked, call, (default,), told)

    async def _explained(
        self,
        servable: Servable,
        asked: Asked,
        call: Call,
        outputs: tuple[str, ...],
        told: Callable[[Found, Mapping[str, Array]], tuple[Headers, bytes]],
    ) -> tuple[Headers, bytes]:
        """Explain rows of a version that is leased; `told` writes what was found, and the answers of `outputs`."""
        rows, batcher = asked.rows, servable.batcher
        self._refuse_full(len(rows))
        allowed = (servable.timeout_s, call.urgency.timeout_s, asked.timeout_s)
        ends = call.began + min(seconds for seconds in allowed if seconds is not None)
        version = self._version(servable)
        self.rows += len(rows)
        try:
            explainer = version.made or await self._in_turn(ends, version.run, version.make)
            if isinstance(explainer, NotExplained):
                raise NotExplained(str(explainer))
            wanted = tuple(dict.fromkeys((*outputs, explainer.output.name)))
            level = max((one for one in (call.urgency.priority, asked.priority) if one is not None), default=NORMAL)
            answers = await batcher.submit(rows, wanted, batcher.now() + ends - perf_counter(), None, level)
            written: tuple[Headers, bytes]
            written = await self._in_turn(ends, version.run, _explained, explainer, rows, answers, told)
            return written
        finally:
            self.rows -= len(rows)

    def _refuse_full(self, rows: int) -> None:
        if not self._most_rows:
            raise NotExplained("nothing is explained here: --explain-queue-rows is 0")
        if rows > self._most_rows:
            raise NotExplained(f"{rows} rows: {self._most_rows} are explained at once (explain_queue_rows); send fewer")
        if self.rows + rows > self._most_rows:
            raise Overloaded(f"{self.rows} rows wait for an explanation; {self._most_rows} may (explain_queue_rows)")

    def _version(self, servable: Servable) -> "_Version":
        found = self._explainers.get(servable)
        if found is None:
            found = _Version(servable, self._threads, most_rows=self._most_rows, budget=self._budget)
        self._explainers.pop(servable, None)
        self._explainers[servable] = found  # the newest goes last
        while len(self._explainers) > _KEPT:
            del self._explainers[next(iter(self._explainers))]
        return found

    async def _in_turn(
        self, ends: float, run: Callable[..., "asyncio.Future[Any]"], call: Callable[..., Any], *arguments: object
    ) -> Any:
        """Run a call on the thread, one at a time; the turn lasts until it is done, whoever has left meanwhile."""
        try:
            async with asyncio.timeout(max(0.0, ends - perf_counter())):
                await self._turn.acquire()
                with ExitStack() as held:
                    held.callback(self._turn.release)
                    held.enter_context(short_turns())
                    working = run(call, *arguments)
                    working.add_done_callback(partial(_over, held.pop_all()))
                return await asyncio.shield(working)
        except TimeoutError:
            raise DeadlineExceeded("the time allowed passed before the explanation was there") from None
        except DoesNotReturn:
            raise PredictionFailed("the explanation did not come to an end, and its thread was given up") from None


def _over(held: ExitStack, working: "asyncio.Future[Any]") -> None:
    held.close()
    if not working.cancelled():
        working.exception()  # asked for, so that nobody misses it where its caller has left


class _Version:
    """What explains one version: made on the thread when it is first asked for, and kept."""

    def __init__(self, servable: Servable, threads: PredictionThreads, *, most_rows: int, budget: int) -> None:
        self.codec = ExplainCodec(
            servable.signature, max_rows=most_rows, model=servable.id.model, version=servable.id.version
        )
        self._lane: Executor = threads.lane(f"{servable.id} (explanations)", overdue_after_s(servable.timeout_s))
        self._noted = servable.noted
        self._signature = servable.signature
        self._plain = servable.plain
        self._metadata = servable.provenance.metadata
        self._budget = budget
        self.made: Explainer | NotExplained | None = None
        """What explains the version, or why nothing does; None until that was found out."""

    def run(self, call: Callable[..., Any], *arguments: object) -> "asyncio.Future[Any]":
        """Run what calls code of the model on the thread of explanations."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._lane, self._noted.run, "predicting", call, *arguments)

    def make(self) -> Explainer | NotExplained:
        """On the thread: find out how the version is explained, once."""
        if self.made is None:
            try:
                self.made = self._explainer()
            except NotExplained as error:
                self.made = error
        return self.made

    def _explainer(self) -> Explainer:
        if self._plain is None:
            raise NotExplained("this version is not explained: isolation: process has it in a process of its own")
        background = background_of(self._metadata, self._signature)
        return explainer_of(self._plain, background, budget=self._budget)


async def _read(body: bytes, read: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """Read a body: a large one beside the loop."""
    if len(body) < LARGE_BODY:
        return read(*arguments, **options)
    with short_turns():
        return await asyncio.to_thread(read, *arguments, **options)


def _explained(
    explainer: Explainer,
    rows: Rows,
    answers: Mapping[str, Array],
    told: Callable[[Found, Mapping[str, Array]], tuple[Headers, bytes]],
) -> tuple[Headers, bytes]:
    """On the thread: explain rows, hold what was found to what the version answered, and write it."""
    found = explainer.explain(rows)
    answered = answers[explainer.output.name].reshape(len(rows), -1).astype(np.float64)
    sums = found.base + found.contributions.sum(axis=1)
    scale = 1 + np.abs(found.base) + np.abs(found.contributions).sum(axis=1)
    if sums.shape != answered.shape or not (np.abs(sums - answered) <= _TOLERANCE * scale).all():
        raise ExplanationMismatch(
            f"the explanation ({explainer.method}) does not add up to what {explainer.output.name} answered, "
            "and is not given"
        )
    parts = (found.base, found.contributions, answered)
    return told(Found(explainer.output, explainer.unit, explainer.method, *parts), answers)


def _outcome_of(error: BaseException) -> ExplainOutcome:
    if isinstance(error, RequestRefused):
        return "refused"
    if isinstance(error, Unavailable):
        return "queue_full"
    if isinstance(error, DeadlineExceeded | asyncio.CancelledError):
        return "expired"
    return "mismatch" if isinstance(error, ExplanationMismatch) else "failed"
