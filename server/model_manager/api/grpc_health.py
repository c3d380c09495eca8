"""grpc.health.v1: what balancers and probes ask. Open to all, as health is over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from model_manager.api.grpc import SERVICE
from model_manager.codecs.proto_files import read_proto
from model_manager.serving.system import System

HEALTH: Final = read_proto("health.proto")
_Request: Final = HEALTH.messages["HealthCheckRequest"]
_Response: Final = HEALTH.messages["HealthCheckResponse"]
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_LOOK_S: Final = 0.25


class GrpcHealth:
    """Whether the server, or one model, should get traffic. `left`: set when nobody is served any more."""

    def __init__(self, system: System, left: asyncio.Event) -> None:
        self._system = system
        self._left = left

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server is given."""
        ways = {"request_deserializer": _Request.FromString, "response_serializer": _Response.SerializeToString}
        (service,) = HEALTH.services
        return grpc.method_handlers_generic_handler(
            service,
            {
                "Check": grpc.unary_unary_rpc_method_handler(self.check, **ways),
                "Watch": grpc.unary_stream_rpc_method_handler(self.watch, **ways),
            },
        )

    async def check(self, message: Any, context: Any) -> Any:
        """Tell of a service now; NOT_FOUND for one that there is not."""
        status = await self._status(message.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {message.service[:200]!r}")
        return _Response(status=status)

    async def watch(self, message: Any, context: Any) -> AsyncIterator[Any]:
        """Tell of a service now, and whenever that changes; the last word is that the server stops."""
        told, left = 0, False
        while not left:
            left = self._left.is_set()
            status = await self._status(message.service)
            if status != told:
                told = status
                yield _Response(status=status)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._left.wait()
            except TimeoutError:
                pass

    async def _status(self, service: str) -> int:
        if service in ("", SERVICE):
            return _NOT_SERVING if await self._system.waiting_for() else _SERVING
        view = self._system.registry.models.get(service)
        if view is None or self._system.keyring is not None:  # who has no key is told of no model
            return _UNKNOWN
        ready = view.default is not None and not self._system.registry.stopping
        return _SERVING if ready else _NOT_SERVING
