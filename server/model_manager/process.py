"""One server process, read top to bottom: bind both ports, serve, and on a signal stop without dropping a request.

Order of a graceful stop: not ready → the API serves on for a moment, each answer the last of its connection → it lets
nobody in and finishes what it accepted → (lifespan) leases drain, batchers close → the admin port goes last, so that
the stop can be watched → what model code still computes is left.
"""

import asyncio
import faulthandler
import importlib.util
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

import uvicorn
from starlette.types import ASGIApp

from model_manager.api.credentials import Credentials
from model_manager.api.door import Door, Limits
from model_manager.api.pod import Pod
from model_manager.api.port import Port, connections_of
from model_manager.api.tls import Tls
from model_manager.app import create_admin_app, create_app
from model_manager.errors import StartRefused
from model_manager.event_loop import event_loop, on_interrupt
from model_manager.greeting import greet
from model_manager.repository.mounts import subpath_warning
from model_manager.repository.policy import Policy
from model_manager.serving.attribution import attributed
from model_manager.serving.child import PREPARE
from model_manager.serving.giving_up import place_of
from model_manager.serving.nursery import Nursery
from model_manager.serving.prediction_threads import NAME as THREADS_OF_PREDICTIONS
from model_manager.serving.system import FLUSH_S, System
from model_manager.settings import Settings
from model_manager.version import pip_install

if TYPE_CHECKING:
    from model_manager.api.grpc_port import GrpcPort

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_LEAVE_S: Final = 1.0
_HEADERS: Final = [("x-content-type-options", "nosniff"), ("cache-control", "no-store")]
"""What every answer of both ports says: nothing of it is to be guessed at, and nobody is to keep it."""
_SLACK_S: Final = 5.0


Beside: TypeAlias = Callable[[System], Coroutine[None, None, None]]
"""What runs beside a server until it stops, such as a measurement of it."""


def run(settings: Settings, *, beside: Beside | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code: 0 after a graceful stop, 1 when the manager crashed.

    `beside` runs on the event loop for as long; without it, people are greeted. Raises StartRefused when the folder
    cannot be read or a port cannot be bound.
    """
    faulthandler.enable()  # a crash in native code names the Python code that called it
    check_folder(settings)
    with (
        nursery_for(settings) as nursery,  # first: what is forked has no threads and no sockets yet
        bind(settings.host, settings.port, "port") as api,
        bind(settings.admin_host or settings.host, settings.admin_port, "admin_port") as admin,
        grpc_port_kept(settings) as settings,
        attributed(settings.state) as attribution,
        event_loop() as runner,
    ):
        system = System(settings, attribution, nursery)
        if beside is None and settings.log_format == "console":
            beside = partial(greet, addresses=_addresses(settings, api, admin), stream=sys.stderr)
        code = runner.run(serve(system, api, admin, beside=beside))
    leave(code, system.unfinished)
    return code


def check_folder(settings: Settings) -> None:
    """Raise StartRefused when the models folder cannot be listed: a mount that is wrong now will be wrong later.

    What is demanded of artifacts is refused as well, where a key of it cannot be read. A folder that lists and will
    never change (a subPath mount) is warned of.
    """
    try:
        os.listdir(settings.models)
    except OSError as error:
        raise StartRefused(f"--models {settings.models}: {error.strerror}") from None
    Policy.from_settings(settings)
    warning = subpath_warning(settings.models)
    if warning is not None:
        logger.warning("%s", warning)


@contextmanager
def nursery_for(settings: Settings) -> Generator[Nursery | None, None, None]:
    """Fork the process that starts children, for the body, before this one has threads; None where none is wanted."""
    if settings.load_isolation == "none":
        yield None
    elif sys.platform != "linux":
        logger.warning("versions are loaded without being tried in a child process first: that needs Linux")
        yield None
    else:
        with Nursery.forked(PREPARE) as nursery:
            yield nursery


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Bind and listen on a TCP port; 0 picks a free one. Raises StartRefused naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        flag = f"--{setting.replace('_', '-')}"
        raise StartRefused(f"{flag} {port}: cannot listen on {host}:{port}: {error.strerror}") from None


@contextmanager
def grpc_port_kept(settings: Settings) -> Generator[Settings, None, None]:
    """Keep the port of gRPC for this process and those it starts; the settings for the body name the one that it is.

    gRPC's library opens it itself, in each of them, and the system deals connections out. Raises StartRefused.
    """
    if settings.grpc_port is None:
        yield settings
        return
    if not all(map(importlib.util.find_spec, ("grpc", "google", "google.protobuf"))):
        raise StartRefused(f"--grpc-port: needs grpcio and protobuf: {pip_install('grpc')}")
    with bind(settings.host, settings.grpc_port, "grpc_port") as bound:  # which nobody shares, unlike the next
        host, port = bound.getsockname()[:2]
        family = bound.family
    with socket.socket(family, socket.SOCK_STREAM) as keeping:
        keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeping.bind((host, port))
        yield settings.model_copy(update={"grpc_port": port})


async def serve(
    system: System,
    api_socket: socket.socket,
    admin_socket: socket.socket | None,
    *,
    beside: Beside | None = None,
    last: Callable[[], bool] = lambda: True,
    replaces: bool = False,
) -> int:
    """Run both servers on bound sockets until a signal; returns the exit code.

    Without an admin socket only the API is served: a supervisor answers the admin port for several processes. `last`:
    whether a stop of this process is one of all that share the API's socket. With `replaces` the others serve until
    the models are loaded here.
    """
    settings = system.settings
    crash: list[BaseException] = []
    interrupted = asyncio.Event()

    def stop(lame_duck_s: float) -> None:
        if system.registry.stopping:
            return
        logger.info("stopping: what was accepted is finished, for at most %g s", settings.drain_timeout_s)
        system.attribution.end()
        system.registry.stopping = True
        api.leave(lame_duck_s)
        if grpc_port is not None:
            grpc_port.leave(lame_duck_s)

    def interrupt() -> None:
        api.force_exit = interrupted.is_set()  # a person who presses Ctrl-C twice waits for nobody
        interrupted.set()
        stop(0)
        api.leave(0)
        if grpc_port is not None:
            grpc_port.leave(0)

    def crashed(error: BaseException) -> None:
        crash.append(error)
        stop(0)

    def refused(code: int) -> None:
        system.metrics.unrouted_requests.labels(str(code)).inc()

    credentials = Credentials(settings)
    door = Door(Limits.of(settings), refused)
    grpc_port = None if settings.grpc_port is None else await asyncio.to_thread(_grpc_port, system, credentials)
    beside_http = None if grpc_port is None else grpc_port.serving()
    app = create_app(system, crashed=crashed, replaces=replaces, known=door.known, beside=beside_http)
    config = _config(app, settings, door, credentials.api_tls)
    api = Port(config, door, drain_s=settings.drain_timeout_s, last=lambda: last() and not crash)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop, settings.lame_duck_s)
    on_interrupt(interrupt)
    admin: uvicorn.Server | None = None
    if admin_socket is not None:
        admin = admin_server(admin_app(system, settings, credentials), settings, credentials.admin_tls)
        announce(settings, api_socket, admin_socket)
    async with (
        credentials.followed(),
        system.watch.watching(),
        system.process_state.keeping(),
        asyncio.TaskGroup() as tasks,
    ):
        if admin is not None and admin_socket is not None:
            tasks.create_task(admin.serve(sockets=[admin_socket]))
        running_beside = tasks.create_task(beside(system)) if beside is not None else None
        try:
            await api.serve(sockets=[api_socket])
        finally:
            if running_beside is not None:
                running_beside.cancel()
            if admin is not None:
                admin.should_exit = True
    logger.info("stopped")
    return 1 if crash else 0


def _grpc_port(system: System, credentials: Credentials) -> "GrpcPort":
    from model_manager.api.grpc_port import GrpcPort  # not before the children are forked, and only where it is served

    return GrpcPort(system, credentials)


def leave(code: int, unfinished: Sequence[str]) -> None:
    """End the process with `code` here if model code does not come back from a thread; else return.

    The interpreter would wait for that thread for ever. Everything else has ended, and records and spans were handed
    over before. `unfinished` names the versions whose batch is lost.
    """
    deadline = monotonic() + _LEAVE_S
    main = threading.main_thread()
    threads = [
        thread
        for thread in threading.enumerate()
        if thread is not main and (not thread.daemon or thread.name.startswith(THREADS_OF_PREDICTIONS))
    ]
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    stuck = [thread for thread in threads if thread.is_alive()]
    if not stuck:
        return
    for thread in stuck:
        extra = {"at": place_of(thread), "versions": ", ".join(unfinished) or "none that still served"}
        logger.error("left without waiting for a thread that does not come back: %s", thread.name, extra=extra)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def longest_stop_s(settings: Settings) -> float:
    """The longest that a graceful stop takes: serving on, requests, leases, flushing, leaving; with some slack."""
    return settings.lame_duck_s + 2 * math.ceil(settings.drain_timeout_s) + FLUSH_S + _LEAVE_S + _SLACK_S


def admin_app(pod: Pod, settings: Settings, credentials: Credentials) -> ASGIApp:
    """What the admin port serves, for one process or for all of a pod."""
    return create_admin_app(
        pod,
        max_body_bytes=settings.max_body_bytes,
        debug_routes=settings.debug_routes,
        console_actions=settings.console_actions,
        token=credentials.token,
        ledger=settings.ledger_folder,
    )


def admin_server(app: ASGIApp, settings: Settings, tls: Tls | None = None) -> uvicorn.Server:
    """The server of the admin port; its lifecycle is the caller's."""
    door = Door(Limits.of(settings, any_host=True), lambda code: None)
    return Port(_config(app, settings, door, tls), door, drain_s=settings.drain_timeout_s)


def announce(settings: Settings, api: socket.socket, admin: socket.socket) -> None:
    """Log where the ports are: the line a person looks for, and a program that asked for port 0."""
    logger.info("serving %s", settings.models, extra=_addresses(settings, api, admin))


def _addresses(settings: Settings, api: socket.socket, admin: socket.socket) -> dict[str, str]:
    scheme = "http" if settings.tls_cert is None else "https"
    addresses = {"api": _address(api, scheme), "admin": _address(admin, scheme)}
    if settings.grpc_port is not None:
        addresses["grpc"] = f"{addresses['api'].rpartition('://')[2].rpartition(':')[0]}:{settings.grpc_port}"
    return addresses


def _config(app: ASGIApp, settings: Settings, door: Door, tls: Tls | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=connections_of(door),
        ws="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=_HEADERS,
        ssl_context_factory=None if tls is None else lambda config, default: tls.context,
        proxy_headers=False,
    )


def _address(bound: socket.socket, scheme: str) -> str:
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
