"""ASGI ⇄ the flow of a prediction: read the body, ask, write the answer. A raw ASGI endpoint behind a Starlette route.

In the flow: uvicorn → dispatch → **predict** → serving.answering → uvicorn.
"""

import asyncio
from time import perf_counter

from starlette.types import Receive, Scope, Send

from model_manager.api.authentication import CLIENT
from model_manager.api.body import read_body
from model_manager.api.compression import compress, plain_body
from model_manager.api.dispatch import Destination, KnownPaths
from model_manager.api.problems import response_of
from model_manager.call import Call, heed_headers
from model_manager.errors import ModelManagerError
from model_manager.serving.answering import CLIENT_GONE, Answering
from model_manager.serving.registry import Registry


class Predict:
    """Answers the POSTs of one protocol. `limit`: the most bytes of a body; `route`: its path without a version.

    `compress_from`: the least bytes of an answer that is compressed for a client that takes that.
    """

    def __init__(
        self,
        answering: Answering,
        registry: Registry,
        known: KnownPaths,
        *,
        protocol: str,
        route: str,
        limit: int,
        compress_from: int,
    ) -> None:
        self._answering = answering
        self._registry = registry
        self._known = known
        self._protocol = protocol
        self._route = route
        self._limit = limit
        self._compress_from = compress_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that Starlette routed here, and remember its path if it names a model that exists."""
        names = scope["path_params"]
        model, label = names["model"], names.get("label")
        part = "versions/{version}" if label is None else "labels/{label}"
        to = self.destination(model, names.get("version", label), part)
        if label is not None:
            try:
                self._registry.version_of(model, label)
            except ModelManagerError as error:
                await self.refuse(to, error, scope, receive, send)
                return
        if self._registry.knows(model, to.version):
            self._known.remember(scope["path"], to)
        await self.answer(to, scope, receive, send)

    def destination(self, model: str, version: str | None, part: str = "") -> Destination:
        """Where a request for a model leads; `part` is how the path names the version, if it does."""
        route = self._route if version is None else self._route.replace("{model}", "{model}/" + part)
        return Destination(
            self.answer, self._answering, self._protocol, route, model, version, self._limit, self._compress_from
        )

    async def refuse(
        self, to: Destination, error: ModelManagerError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request of which it is known before its body is read that it cannot be served."""
        headers, path = scope["headers"], scope["path"]
        call = Call(to.protocol, to.route, scope["method"], path, headers, to.model, to.version, perf_counter())
        answer = self._answering.refuse(call, error)
        try:
            assert answer.problem is not None
            await response_of(answer.problem)(scope, receive, send)
        finally:
            answer.ended()

    async def answer(self, to: Destination, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers, path = scope["headers"], scope["path"]
        call = Call(to.protocol, to.route, scope["method"], path, headers, to.model, to.version, perf_counter())
        if CLIENT in scope:
            call.client = scope[CLIENT].id
        try:
            heed_headers(call)
            body = await read_body(headers, receive, limit=self._limit)
            call.headers, body = await plain_body(headers, body, limit=self._limit)
        except asyncio.CancelledError as error:
            self._answering.refuse(call, error).ended()
            raise
        except Exception as error:
            answer = self._answering.refuse(call, error)
        else:
            answer = await self._answering.answer(call, body, receive)
        try:
            if len(answer.body) >= self._compress_from:
                await compress(answer)
            if answer.problem is not None:
                await response_of(answer.problem, answer.servable)(scope, receive, send)
            elif answer.code != CLIENT_GONE:
                body = answer.body
                headers = [*answer.headers, (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        finally:
            answer.ended()
