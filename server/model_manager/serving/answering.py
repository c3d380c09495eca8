"""The flow of one prediction, whatever the protocol: lease → decode → batch → encode, and what became of it.

In the flow: adapter (reads the body) → call → **answering** → answer → adapter (writes it, and says that it ended). The
lease is taken once, when the body is there, so decode, predict, encode and metrics speak of the same version.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

from model_manager.call import Call, Headers
from model_manager.errors import ClientGone
from model_manager.metrics.recording import Metrics
from model_manager.serving.batch import Results
from model_manager.serving.observation import Observation, Observer
from model_manager.serving.outcomes import CODES, Problem, explain
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable

OK: Final = 200
CLIENT_GONE: Final = CODES[ClientGone]

Gone = Callable[[], Awaitable[object]]
"""Returns when the caller has left; asked only while a request has to wait."""


class Answer:
    """What an adapter writes: `headers` and `body`, or what is told of a `problem`. It is over with `ended()`.

    `servable` is the version that answered or failed, under a lease until then; None where no version was reached. A
    `code` of CLIENT_GONE is written to nobody.
    """

    __slots__ = (
        "_call", "_decode_s", "_encode_s", "_error", "_metrics", "_observation", "body", "code", "headers", "problem",
        "servable",
    )  # fmt: skip

    def __init__(self, call: Call, metrics: Metrics, observation: Observation | None) -> None:
        self._call = call
        self._metrics = metrics
        self._observation = observation
        self._error: BaseException | None = None
        self.servable: Servable | None = None
        self.code = OK
        self.headers: Headers = ()
        self.body = b""
        self.problem: Problem | None = None

    def succeed(self, headers: Headers, body: bytes, *, decode_s: float, encode_s: float) -> None:
        """Hold what was encoded, and the seconds that decoding and encoding took."""
        self.headers = headers
        self.body = body
        self._decode_s = decode_s
        self._encode_s = encode_s

    def fail(self, error: BaseException) -> None:
        """Hold what is told of an error."""
        self._error = error
        if isinstance(error, ClientGone | asyncio.CancelledError):
            self.code = CLIENT_GONE
            return
        trace = self._observation.trace if self._observation is not None else None
        self.problem = explain(error, self._call.headers, self._call.path, trace)
        self.code = self.problem.code

    def ended(self) -> None:
        """Count it, tell whoever observes it, and give the lease back: the answer was written, or never will be."""
        now = perf_counter()
        servable, seconds = self.servable, now - self._call.began
        if servable is None:
            self._metrics.unrouted_requests.labels(str(self.code)).inc()
            if self._observation is not None:
                self._observation.ended(None, self.code, now, self._error)
            return
        try:
            if self._error is None:
                servable.metrics.answered((seconds, self._decode_s, self._encode_s))
            else:
                servable.metrics.failed(self.code, seconds)
            if self._observation is not None:
                self._observation.ended(servable, self.code, now, self._error)
        finally:
            servable.release()


class Answering:
    """Answers calls from the versions that can be leased. `observer`: who wants to know of single requests, if any."""

    def __init__(self, registry: Registry, metrics: Metrics, observer: Observer | None) -> None:
        self._registry = registry
        self._metrics = metrics
        self.observer = observer

    async def answer(self, call: Call, body: bytes, gone: Gone) -> Answer:
        """Answer a call whose body is there; every error is an answer too. The caller says when it `ended()`.

        While the request waits behind others, a caller that is gone takes its rows out of the queue. Cancellation does
        the same, and ends the answer.
        """
        observation = None if self.observer is None else self.observer.begin(call)
        answer = Answer(call, self._metrics, observation)
        try:
            answer.servable = servable = self._registry.lease(call.model, call.version)
            codec, batcher = servable.codecs[call.protocol], servable.batcher
            decoding = perf_counter()
            request = codec.decode(call.headers, body)
            decoded = perf_counter()
            if observation is not None:
                observation.decoding, observation.decoded, observation.request = decoding, decoded, request
            deadline = batcher.now() + servable.timeout_s
            future = batcher.submit(request.rows, request.outputs, deadline, observation)
            results = await (_unless_gone(future, gone) if batcher.busy else future)
            encoding = perf_counter()
            headers, encoded_body = codec.encode(request, results)
            encoded = perf_counter()
            if observation is not None:
                observation.encoding, observation.encoded, observation.results = encoding, encoded, results
                headers = [*headers, *observation.headers()]
            answer.succeed(headers, encoded_body, decode_s=decoded - decoding, encode_s=encoded - encoding)
        except asyncio.CancelledError as error:
            answer.fail(error)
            answer.ended()
            raise
        except Exception as error:
            answer.fail(error)
        return answer

    def refuse(self, call: Call, error: BaseException) -> Answer:
        """Answer a call of which an adapter could not read the body. The caller says when it `ended()`."""
        answer = Answer(call, self._metrics, None if self.observer is None else self.observer.begin(call))
        answer.fail(error)
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
