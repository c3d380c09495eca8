"""The hot path: one prediction request from socket to socket. A raw ASGI endpoint behind a Starlette route.

lease → read → decode → batch → encode → answer. The lease is taken once, so all of it speaks of the same version.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from model_manager.api.body import ClientGone, check_content, read_body
from model_manager.api.dispatch import KnownPaths
from model_manager.api.observation import Observation, Observer
from model_manager.api.problems import problem
from model_manager.serving.batch import Results
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.signature import Array, PredictRequest

logger = logging.getLogger(__name__)

CLIENT_GONE = 499  # never sent: what a request is counted under when its client left (nginx's convention)


class Codec(Protocol):
    """Bytes ⇄ arrays for one protocol and one version."""

    def decode(self, body: bytes) -> PredictRequest: ...

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> bytes: ...


class Predict:
    """Answers POST …:predict or …/infer; `codec` picks the protocol's codec of a servable."""

    def __init__(
        self,
        system: System,
        codec: Callable[[Servable], Codec],
        known: KnownPaths,
        observer: Observer | None,
        route: str,
    ) -> None:
        self._registry = system.registry
        self._known = known
        self._unrouted = system.metrics.unrouted_requests
        self._limit = system.settings.max_body_bytes
        self._codec = codec
        self._observer = observer
        self._route = route
        self._version_route = route.replace("{model}", "{model}/versions/{version}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that Starlette routed here, and remember its path if it names a model that exists."""
        names = scope["path_params"]
        model, version = names["model"], names.get("version")
        if self._registry.knows(model, version):
            self._known.remember(scope["path"], partial(self.answer, model, version))
        await self.answer(model, version, scope, receive, send)

    async def answer(self, model: str, version: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a client that leaves takes its rows out of the queue."""
        began = perf_counter()
        servable: Servable | None = None
        seen = None
        if self._observer is not None:
            seen = self._observer.begin(scope, self._route if version is None else self._version_route, began)
        try:
            check_content(scope["headers"], limit=self._limit)
            servable = self._registry.lease(model, version)
            codec = self._codec(servable)
            body = await read_body(receive, limit=self._limit)
            decoding = perf_counter()
            request = codec.decode(body)
            decoded = perf_counter()
            if seen is not None:
                seen.decoding, seen.decoded, seen.request = decoding, decoded, request
            answer = servable.predict(request, seen)
            results = await (_unless_gone(answer, receive) if servable.batcher.busy else answer)
            encoding = perf_counter()
            body = codec.encode(request, results)
            encoded = perf_counter()
        except (ClientGone, asyncio.CancelledError) as error:
            self._failed(servable, CLIENT_GONE, began, seen, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:
            response = problem(error, scope, seen.trace if seen is not None else None)
            if servable is not None:
                response.raw_headers.extend(servable.headers[1:])
            self._failed(servable, response.status_code, began, seen, error)
            await response(scope, receive, send)
        else:
            headers = [*servable.headers, (b"content-length", b"%d" % len(body))]
            if seen is not None:
                seen.encoding, seen.encoded, seen.results = encoding, encoded, results
                headers += seen.headers()
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            now = perf_counter()
            servable.metrics.answered((now - began, decoded - decoding, encoded - encoding))
            if seen is not None:
                seen.ended(servable, 200, now)
        finally:
            if servable is not None:
                servable.release()

    def _failed(
        self, servable: Servable | None, code: int, began: float, seen: Observation | None, error: BaseException
    ) -> None:
        now = perf_counter()
        if servable is None:
            self._unrouted.labels(str(code)).inc()
        else:
            servable.metrics.failed(code, now - began)
        if seen is not None:
            seen.ended(servable, code, now, error)


async def _unless_gone(answer: asyncio.Future[Results], receive: Receive) -> Results:
    """Wait for the answer, or for the client to leave; only worth a second task when there is a queue to leave.

    Raises ClientGone, after taking the request out of the queue. Cancellation does the same.
    """
    watching = asyncio.ensure_future(receive())
    either: set[asyncio.Future[Any]] = {answer, watching}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientGone
        return answer.result()
    finally:
        answer.cancel()
        watching.cancel()
