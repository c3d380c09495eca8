"""The flow of one prediction, whatever the protocol: lease → decode → batch → encode, and what became of it.

In the flow: adapter (reads the body) → call → **answering** → answer → adapter (writes it, and says that it ended). The
lease is taken once, when the body is there, so decode, predict, encode and metrics speak of the same version.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import msgspec

from model_manager.call import HIGH, NORMAL, Call, Headers
from model_manager.codecs.bounds import LARGE_BODY, may_say_priority
from model_manager.codecs.protocols import Codec
from model_manager.codecs.v2_explanation import EXPLANATION
from model_manager.errors import ClientGone, DeadlineExceeded, InvalidInput, PredictionFailed, UnknownOutput
from model_manager.inference.out_of_range import out_of_range
from model_manager.metrics import Metrics
from model_manager.serving.batch import Results
from model_manager.serving.explaining import Explaining
from model_manager.serving.observation import Observation, Observer
from model_manager.serving.outcomes import CODES, Problem, explain
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.serving.shadowing import Shadowing
from model_manager.serving.short_turns import short_turns
from model_manager.signature import PredictRequest

OK: Final = 200
CLIENT_GONE: Final = CODES[ClientGone]

Gone = Callable[[], Awaitable[object]]
"""Returns when the caller has left; asked only while a request has to wait."""


class Answer(msgspec.Struct):  # made for every request
    """What an adapter writes: `headers` and `body`, or what is told of a `problem`. It is over with `ended()`.

    `servable` is the version that answered or failed, under a lease until then; None where no version was reached.
    `code` is what it is counted under: CLIENT_GONE without a problem is written to nobody; with one, its caller gave it
    up by a deadline of its own. `seconds`: those that decoding and encoding took. `copy` sends a copy of the request to
    the version that shadows this one, if one does.
    """

    call: Call
    servable: Servable | None
    metrics: Metrics
    observation: Observation | None
    code: int = OK
    headers: Headers = ()
    body: bytes = b""
    seconds: tuple[float, float] = (0.0, 0.0)
    problem: Problem | None = None
    copy: Callable[[], None] | None = None
    error: BaseException | None = None

    def ended(self) -> None:
        """Count it, tell whoever observes it, and give the lease back: the answer was written, or never will be."""
        now = perf_counter()
        servable, took, observation = self.servable, now - self.call.began, self.observation
        try:
            if servable is None:
                self.metrics.unrouted_requests.labels(str(self.code)).inc()
            elif self.code == OK:
                servable.metrics.answered((took, *self.seconds))
            else:
                servable.metrics.failed(self.code, took)
            if observation is not None:
                observation.ended(servable, self.code, now, self.error)
            if self.copy is not None:
                self.copy()
        finally:
            self.error = None  # its traceback leads back here: a cycle for the collector
            if servable is not None:
                servable.release()


class Explanation(Answer):
    """An answer that explains; it is counted where it was made, and not among those of the version."""

    def ended(self) -> None:
        """Tell whoever observes it, and give the lease back."""
        try:
            if self.observation is not None:
                self.observation.ended(self.servable, self.code, perf_counter(), self.error)
        finally:
            self.error = None
            if self.servable is not None:
                self.servable.release()


class Answering:
    """Answers calls from the versions that can be leased. `observer`: who wants to know of single requests, if any."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        observer: Observer | None,
        shadowing: Shadowing,
        explaining: Explaining | None = None,
    ) -> None:
        self._explaining = explaining
        self._registry = registry
        self._shadowing = shadowing
        self._metrics = metrics
        self.observer = observer
        self._decoding = asyncio.Lock()

    async def answer(self, call: Call, body: bytes, gone: Gone | None) -> Answer:
        """Answer a call whose body is there; every error is an answer too. The caller says when it `ended()`.

        While the request waits behind others, a caller that is `gone` takes its rows out of the queue. Cancellation
        does the same, and ends the answer; `gone` is None where that is how a caller leaves.
        """
        observation = None if self.observer is None else self.observer.begin(call)
        servable: Servable | None = None
        request: PredictRequest | None = None
        timeout_s, priority = call.urgency
        try:
            servable = self._registry.lease(call.model, call.version, call.headers)
            codec, batcher = servable.codecs[call.protocol], servable.batcher
            if timeout_s is None or timeout_s > servable.timeout_s:
                timeout_s = servable.timeout_s
            decoding = perf_counter()
            if batcher.running:
                at_best = priority if priority is not None else HIGH if may_say_priority(body) else NORMAL
                batcher.check_room(batcher.now() + timeout_s - (decoding - call.began), at_best)
            of_body = () if call.plain else call.headers
            if len(body) < LARGE_BODY:
                request = codec.decode(of_body, body)
            else:
                request = await self._decode_apart(codec, of_body, body)
            decoded = perf_counter()
            if request.timeout_s is not None and request.timeout_s < timeout_s:
                timeout_s = request.timeout_s
            if request.priority is not None and (priority is None or request.priority > priority):
                priority = request.priority  # the less urgent, so that a gateway can hold its clients down
            if observation is not None:
                observation.decoding, observation.decoded, observation.request = decoding, decoded, request
            deadline = batcher.now() + timeout_s - (decoded - call.began)
            level = NORMAL if priority is None else priority
            future = batcher.submit(request.rows, request.outputs, deadline, observation, level)
            results = await (future if gone is None or not batcher.busy else _unless_gone(future, gone))
            encoding = perf_counter()
            headers, encoded = codec.encode(request, results)
            if servable.kept is not None:
                headers = servable.kept.keep(call, request.id, results, headers)
            seconds = (decoded - decoding, perf_counter() - encoding)
            if observation is not None:
                observation.encoding, observation.encoded, observation.results = encoding, perf_counter(), results
                headers = [*headers, *observation.headers()]
            answer = Answer(call, servable, self._metrics, observation, OK, headers, encoded, seconds)
            if self._registry.shadows and call.version is None:
                answer.copy = self._shadowing.copy_of(call, body, servable)
            return answer
        except asyncio.CancelledError as error:
            self._failed(call, servable, observation, error).ended()
            raise
        except BaseException as error:  # what encodes an answer may call code of the model
            if isinstance(error, UnknownOutput) and error.name == EXPLANATION and servable is not None:
                explanation = await self._explained(servable, call, body, observation)
                if explanation is not None:
                    return explanation
            if isinstance(error, PredictionFailed) and servable is not None and request is not None:
                place = out_of_range(error.__cause__ or error, request.rows, servable.signature)
                if place is not None:
                    return self._failed(call, servable, observation, InvalidInput(place))
            answer = self._failed(call, servable, observation, error)
            if isinstance(error, DeadlineExceeded) and servable is not None and timeout_s != servable.timeout_s:
                answer.code = CLIENT_GONE  # its caller gave it up, as one does that hangs up: no fault of the version
            return answer

    async def _decode_apart(self, codec: Codec, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a large body on a thread, one at a time: each takes turns of the interpreter from the event loop."""
        async with self._decoding:
            with short_turns():
                return await asyncio.to_thread(codec.decode, headers, body)

    async def _explained(
        self, servable: Servable, call: Call, body: bytes, observation: Observation | None
    ) -> Answer | None:
        """Answer a request that asks for what no version has as an output, and can be made; None where it cannot."""
        explaining = self._explaining
        if explaining is None or call.protocol != "v2":
            return None
        try:
            told = await asyncio.ensure_future(explaining.infer(servable, call, body))
        except asyncio.CancelledError as error:
            self._failed(call, servable, observation, error, Explanation).ended()
            raise
        except BaseException as error:
            return self._failed(call, servable, observation, error, Explanation)
        if told is None:
            return None
        return Explanation(call, servable, self._metrics, observation, OK, *told)

    def refuse(self, call: Call, error: BaseException) -> Answer:
        """Answer a call of which an adapter could not read the body. The caller says when it `ended()`."""
        return self._failed(call, None, None if self.observer is None else self.observer.begin(call), error)

    def _failed(
        self,
        call: Call,
        servable: Servable | None,
        observation: Observation | None,
        error: BaseException,
        kind: type[Answer] = Answer,
    ) -> Answer:
        answer = kind(call, servable, self._metrics, observation, CLIENT_GONE, error=error)
        if not isinstance(error, ClientGone | asyncio.CancelledError):
            trace = observation.trace if observation is not None else None
            answer.problem = explain(error, call.headers, call.path, trace)
            answer.code = answer.problem.code
        return answer


async def _unless_gone(future: asyncio.Future[Results], gone: Gone) -> Results:
    """Wait for the answer, or for the caller to leave; only worth a second task when there is a queue to leave.

    Raises ClientGone, after taking the request out of the queue. Cancellation does the same.
    """
    leaving = asyncio.ensure_future(gone())
    either: set[asyncio.Future[Any]] = {future, leaving}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise ClientGone("the client left before its answer was there")
        return future.result()
    finally:
        future.cancel()
        leaving.cancel()
