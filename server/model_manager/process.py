"""One server process, read top to bottom: bind both ports, serve, and on a signal stop without dropping a request.

Order of a graceful stop: not ready → the API stops accepting and finishes what it accepted → (lifespan) leases drain,
batchers close → the admin port goes last, so that the stop can be watched → what model code still computes is left.
"""

import asyncio
import faulthandler
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from traceback import extract_stack
from typing import Final, TypeAlias

import uvicorn
from starlette.types import ASGIApp

from model_manager.app import create_admin_app, create_app
from model_manager.errors import StartRefused
from model_manager.repository.mounts import subpath_warning
from model_manager.serving.attribution import attributed
from model_manager.serving.system import FLUSH_S, System
from model_manager.settings import Settings

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_LEAVE_S: Final = 1.0
_SLACK_S: Final = 5.0


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to this module, which stops two servers in order."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


Beside: TypeAlias = Callable[[System], Coroutine[None, None, None]]
"""What runs beside a server until it stops, such as a measurement of it."""


def run(settings: Settings, *, beside: Beside | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code: 0 after a graceful stop, 1 when the manager crashed.

    `beside` runs on the event loop for as long. Raises StartRefused when the folder cannot be read or a port cannot be
    bound.
    """
    faulthandler.enable()  # a crash in native code names the Python code that called it
    check_folder(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.host, settings.admin_port, "admin_port") as admin,
        attributed(settings.state) as attribution,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        system = System(settings, attribution)
        code = runner.run(serve(system, api, admin, beside=beside))
    leave(code, system.unfinished)
    return code


def event_loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it exists, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def check_folder(settings: Settings) -> None:
    """Raise StartRefused when the models folder cannot be listed: a mount that is wrong now will be wrong later.

    A folder that lists and will never change (a subPath mount) is warned of.
    """
    try:
        os.listdir(settings.models)
    except OSError as error:
        raise StartRefused(f"--models {settings.models}: {error.strerror}") from None
    warning = subpath_warning(settings.models)
    if warning is not None:
        logger.warning("%s", warning)


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Bind and listen on a TCP port; 0 picks a free one. Raises StartRefused naming the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        flag = f"--{setting.replace('_', '-')}"
        raise StartRefused(f"{flag} {port}: cannot listen on {host}:{port}: {error.strerror}") from None


async def serve(
    system: System,
    api_socket: socket.socket,
    admin_socket: socket.socket | None,
    *,
    beside: Beside | None = None,
    replaces: bool = False,
) -> int:
    """Run both servers on bound sockets until a signal; returns the exit code.

    Without an admin socket only the API is served: a supervisor answers the admin port for several processes. With
    `replaces` the others serve until the models are loaded here.
    """
    crash: list[BaseException] = []
    interrupted = asyncio.Event()

    def stop() -> None:
        if system.registry.stopping:
            return
        logger.info("stopping: what was accepted is finished, for at most %g s", system.settings.drain_timeout_s)
        system.attribution.end()
        system.registry.stopping = True
        api.should_exit = True

    def interrupt() -> None:
        api.force_exit = interrupted.is_set()  # a person who presses Ctrl-C twice waits for nobody
        interrupted.set()
        stop()

    def crashed(error: BaseException) -> None:
        crash.append(error)
        stop()

    api = _Server(_config(create_app(system, crashed=crashed, replaces=replaces), system.settings))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which a supervisor's worker starts without
    admin: uvicorn.Server | None = None
    if admin_socket is not None:
        admin = admin_server(create_admin_app(system, max_body_bytes=system.settings.max_body_bytes), system.settings)
        announce(system.settings, api_socket, admin_socket)
    async with asyncio.TaskGroup() as tasks:
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


def leave(code: int, unfinished: Sequence[str]) -> None:
    """End the process with `code` here if model code does not come back from a thread; else return.

    The interpreter would wait for that thread for ever. Everything else has ended, and records and spans were handed
    over before. `unfinished` names the versions whose batch is lost.
    """
    deadline = monotonic() + _LEAVE_S
    main = threading.main_thread()
    threads = [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    stuck = [thread for thread in threads if thread.is_alive()]
    if not stuck:
        return
    for thread in stuck:
        extra = {"at": _place(thread), "versions": ", ".join(unfinished) or "none that still served"}
        logger.error("left without waiting for a thread that does not come back: %s", thread.name, extra=extra)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def longest_stop_s(settings: Settings) -> float:
    """The longest that a graceful stop takes: for requests, for leases, to flush, and to leave; with some slack."""
    return 2 * math.ceil(settings.drain_timeout_s) + FLUSH_S + _LEAVE_S + _SLACK_S


def _place(thread: threading.Thread) -> str:
    """The innermost calls of a thread."""
    frame = sys._current_frames().get(thread.ident or 0)
    calls = extract_stack(frame)[-4:] if frame is not None else ()
    return " > ".join(f"{call.name} ({Path(call.filename).name}:{call.lineno})" for call in calls)


def admin_server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """The server of the admin port; its lifecycle is the caller's."""
    return _Server(_config(app, settings))


def announce(settings: Settings, api: socket.socket, admin: socket.socket) -> None:
    """Log where the ports are: the line a person looks for, and a program that asked for port 0."""
    logger.info("serving %s", settings.models, extra={"api": _address(api), "admin": _address(admin)})


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http="httptools",
        ws="none",
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
    )


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
