"""The gRPC port from its start to its end, beside the HTTP ports and with their limits. Only it and its neighbours
`grpc_…` load grpc, when the port is asked for: after this process has forked those that it forks.

Order of a stop: health says so while everybody is still served (the lame duck) → clients are told to go, and what was
accepted is finished, within the time for it → (lifespan) the system drains.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import grpc
import grpc.aio

from model_manager.api.credentials import Credentials
from model_manager.api.grpc import Inference
from model_manager.api.grpc_health import GrpcHealth
from model_manager.api.grpc_reflection import Reflection
from model_manager.api.grpc_tls import GrpcTls
from model_manager.errors import StartRefused
from model_manager.serving.system import System
from model_manager.settings import Settings

_QUIET_S: Final = 0.5
_TURN_S: Final = 0.05


class GrpcPort:
    """Serves one system on `settings.grpc_port`, which other processes may share. Raises MountUnusable."""

    def __init__(self, system: System, credentials: Credentials) -> None:
        self._system = system
        settings = self._settings = system.settings
        self._tls: GrpcTls | None = None
        if credentials.api_tls is not None and settings.tls_cert is not None and settings.tls_key is not None:
            self._tls = GrpcTls(credentials.api_tls, settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        self._leaving = asyncio.Event()
        self._leave_by = 0.0
        self._last_call = 0.0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the body runs; after it, until the stop that `leave` began is over. Raises StartRefused."""
        left = asyncio.Event()
        server = grpc.aio.server(options=_options(self._settings))
        server.add_generic_rpc_handlers(
            [
                Inference(self._system, self._called).handler(),
                GrpcHealth(self._system, left).handler(),
                *Reflection(self._system.keyring, left).handlers(),
            ]
        )
        self._bind(server)
        await server.start()
        stopping = asyncio.create_task(self._stop(server, left), name="the stop of gRPC")
        following = None
        if self._tls is not None:
            following = asyncio.create_task(self._tls.follow(poll_interval_s=self._settings.poll_interval_s))
        try:
            yield
        finally:
            if following is not None:
                following.cancel()
            self.leave(0)
            await stopping

    def leave(self, lame_duck_s: float) -> None:
        """Stop after this long, or sooner once no call comes; until then everybody is served."""
        leave_by = monotonic() + lame_duck_s
        self._leave_by = min(self._leave_by, leave_by) if self._leaving.is_set() else leave_by
        self._leaving.set()

    def _called(self) -> None:
        self._last_call = monotonic()

    async def _stop(self, server: grpc.aio.Server, left: asyncio.Event) -> None:
        await self._leaving.wait()
        since = monotonic()
        while monotonic() < self._leave_by:
            if monotonic() - max(since, self._last_call) >= _QUIET_S:
                break
            await asyncio.sleep(_TURN_S)
        left.set()
        await server.stop(self._settings.drain_timeout_s)

    def _bind(self, server: grpc.aio.Server) -> None:
        host, port = self._settings.host, self._settings.grpc_port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._tls is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, self._tls.credentials)
        except RuntimeError as error:
            raise StartRefused(f"--grpc-port {port}: cannot listen on {address}: {error}") from None


def _options(settings: Settings) -> list[tuple[str, int]]:
    """The limits of the HTTP ports, where gRPC's library has them."""
    return [
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", settings.max_header_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_header_bytes),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", settings.header_timeout_s * 1000),
        ("grpc.max_connection_idle_ms", settings.keep_alive_s * 1000),
        ("grpc.so_reuseport", 1),  # workers, and the one that takes the place of another, listen side by side
    ]
