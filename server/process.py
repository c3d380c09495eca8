"""One server process, read top to bottom: bind both ports, serve, and on a signal stop without dropping a request.

Order of a graceful stop: not ready → the API stops accepting and finishes what it accepted → (lifespan) leases drain,
batchers close → the admin port goes last, so that the stop can be watched.
"""

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from server.app import create_admin_app, create_app
from server.errors import StartRefused
from server.serving.system import System
from server.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to this module, which stops two servers in order."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code: 0 after a graceful stop, 1 when the manager crashed.

    Raises StartRefused when the folder cannot be read or a port cannot be bound.
    """
    check_folder(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.host, settings.admin_port, "admin_port") as admin,
    ):
        with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
            return runner.run(serve(System(settings), api, admin))


def event_loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it exists, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def check_folder(settings: Settings) -> None:
    """Raise StartRefused when the models folder cannot be listed: a mount that is wrong now will be wrong later."""
    try:
        os.listdir(settings.models)
    except OSError as error:
        raise StartRefused(f"--models {settings.models}: {error.strerror}") from None


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Bind and listen on a TCP port; 0 picks a free one. Raises StartRefused naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        flag = f"--{setting.replace('_', '-')}"
        raise StartRefused(f"{flag} {port}: cannot listen on {host}:{port}: {error.strerror}") from None


async def serve(system: System, api_socket: socket.socket, admin_socket: socket.socket) -> int:
    """Run both servers on bound sockets until a signal; returns the exit code."""
    crash: list[BaseException] = []

    def stop() -> None:
        system.registry.stopping = True
        api.force_exit = api.should_exit  # a second signal waits for nobody
        api.should_exit = True

    def crashed(error: BaseException) -> None:
        crash.append(error)
        stop()

    api = _Server(_config(create_app(system, crashed=crashed), system.settings, lifespan="on"))
    admin = _Server(_config(create_admin_app(system), system.settings, lifespan="off"))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    addresses = {"api": _address(api_socket), "admin": _address(admin_socket)}
    logger.info("serving %s", system.settings.models, extra=addresses)
    admin_task = asyncio.create_task(admin.serve(sockets=[admin_socket]))
    try:
        await api.serve(sockets=[api_socket])
    finally:
        admin.should_exit = True
        await admin_task
    logger.info("stopped")
    return 1 if crash else 0


def _config(app: ASGIApp, settings: Settings, *, lifespan: str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on" if lifespan == "on" else "off",
        log_config=None,
        access_log=settings.access_log and lifespan == "on",
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
    )


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
