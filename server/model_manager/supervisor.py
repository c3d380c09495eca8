"""Several server processes as one: they share the API port, the supervisor has the admin port and speaks for all.

In the flow: cli → **supervisor** → N × process.serve. A worker that dies is started again; SIGTERM reaches every
worker, each drains by itself, and the supervisor ends when the last one has; one that cannot end is killed. What the
admin port is asked, the workers are asked over a Unix socket each, and nothing beside it: a probe of readiness costs
them no metrics, and nothing has to be cleaned up after a process that is gone.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from model_manager.api.doors import Doors
from model_manager.logs import configure_logging
from model_manager.metrics import Family, Metrics, merge_families
from model_manager.process import (
    admin_app,
    admin_server,
    announce,
    bind,
    check_folder,
    event_loop_factory,
    leave,
    longest_stop_s,
    nursery_for,
    serve,
)
from model_manager.records import RecordStream
from model_manager.serving.index import IndexRow, merge_indexes
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.keys import Keyring
from model_manager.serving.system import System
from model_manager.settings import Settings, opentelemetry_variables
from model_manager.traces import start_tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy threads' locks in whatever state they are
_ANSWER_TIMEOUT_S = 5.0
_RESTART_DELAY_S = 1.0
_STOPPING = "stopping"  # a file that says so to the workers


class Question(msgspec.Struct):
    """What the supervisor asks a worker; `seconds` is for a profile."""

    about: Literal["readiness", "metrics", "index"] | Topic
    seconds: float = 0.0


Answer: TypeAlias = str | list[Family] | list[IndexRow] | list[Inspection]
"""Why there should be no traffic, or what was asked for."""


def run(settings: Settings) -> int:
    """Run `settings.workers` processes until SIGTERM or SIGINT; the exit code is the worst of theirs.

    Raises StartRefused like a single process does.
    """
    check_folder(settings)
    _check_what_workers_need(settings)
    doors = Doors(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.admin_host or settings.host, settings.admin_port, "admin_port") as admin,
        tempfile.TemporaryDirectory(prefix="model-manager-") as folder,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        return runner.run(Supervisor(settings, api, Path(folder)).run(admin, doors))


def _check_what_workers_need(settings: Settings) -> None:
    """Refuse once, before any worker starts, what each of them would refuse. Raises ConfigurationError."""
    if settings.api_keys is not None:
        Keyring(settings.api_keys, Metrics(), workers=settings.workers)
    RecordStream.from_settings(settings)
    tracing = start_tracing(opentelemetry_variables())
    if tracing is not None:
        tracing.shutdown(0)


class Supervisor:
    """Keeps the workers running and answers the admin port for all of them."""

    def __init__(self, settings: Settings, api: socket.socket, folder: Path) -> None:
        self._settings = settings
        self._api = api
        self._sockets = [folder / f"worker-{number}.sock" for number in range(settings.workers)]
        self._stopping_sign = folder / _STOPPING
        self._workers: dict[int, SpawnProcess] = {}
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self, admin_socket: socket.socket, doors: Doors) -> int:
        """Start everything, wait for a signal, and stop in order: workers drain first, the admin port goes last."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        server = admin_server(admin_app(self, self._settings, doors), self._settings, doors.admin_tls)
        admin_task = asyncio.create_task(server.serve(sockets=[admin_socket]))
        announce(self._settings, self._api, admin_socket)
        try:
            async with doors.followed(), asyncio.TaskGroup() as keepers:
                for number in range(self._settings.workers):
                    keepers.create_task(self._keep(number))
        finally:
            server.should_exit = True
            await admin_task
        return self._exit_code

    def _stop(self) -> None:
        if not self._stopping.is_set():
            asyncio.get_running_loop().call_later(longest_stop_s(self._settings), self._kill)
        self._stopping.set()
        self._stopping_sign.touch()
        for worker in self._workers.values():
            worker.terminate()

    def _kill(self) -> None:
        """End the workers that are still there: model code that never lets go of the interpreter hears no signal."""
        for number, worker in self._workers.items():
            if worker.is_alive():
                logger.error("worker %d does not end and is killed", number)
                worker.kill()

    async def _keep(self, number: int) -> None:
        """Run one worker, again whenever it ends by itself, until stopping."""
        while not self._stopping.is_set():
            worker = _SPAWN.Process(target=_work, args=(self._settings, self._api, self._sockets[number]))
            _start(worker)
            self._workers[number] = worker
            if self._stopping.is_set():  # the signal came while the process was being started
                worker.terminate()
            await _ended(worker)
            if self._stopping.is_set():
                if worker.exitcode != -signal.SIGTERM:  # which ends one that had not begun to serve
                    self._exit_code = max(self._exit_code, abs(worker.exitcode or 0))
                return
            logger.error("worker %d ended with exit code %s and is started again", number, worker.exitcode)
            try:
                async with asyncio.timeout(_RESTART_DELAY_S):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _ask(self, question: Question, kind: type[T]) -> list[T]:
        """The answers of all workers that answer in time."""
        asked = (_fetch(path, question, kind) for path in self._sockets)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def waiting_for(self) -> str:
        """Why there should be no traffic: the reasons of all workers; empty when all of them are ready."""
        if self._stopping.is_set():
            return "the server is stopping"
        reasons = await self._ask(Question("readiness"), str)
        if len(reasons) < self._settings.workers:
            return f"{len(reasons)} of {self._settings.workers} workers answer"
        return "; ".join(dict.fromkeys(filter(None, reasons)))

    async def index(self) -> list[IndexRow]:
        """One view of every version: ready when it is ready in all workers."""
        return merge_indexes(await self._ask(Question("index"), list[IndexRow]))

    async def current_metrics(self) -> Sequence[Family]:
        """The sum of all workers' metrics."""
        return merge_families(await self._ask(Question("metrics"), list[Family]))

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What each worker is doing now."""
        found = await self._ask(Question(topic, seconds), list[Inspection])
        return [inspection for inspections in found for inspection in inspections]


def _start(worker: SpawnProcess) -> None:
    """Start a process that takes no notice of Ctrl-C until it handles it: imports would end in a traceback each."""
    resource_tracker.ensure_running()  # which the first start would do, and unblock the signal after it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def _ended(worker: SpawnProcess) -> None:
    """Wait for a process without a thread."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(worker.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(worker.sentinel)
    worker.join()


async def _fetch(path: Path, question: Question, kind: type[T]) -> T:
    async with asyncio.timeout(_ANSWER_TIMEOUT_S + question.seconds):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            return msgspec.msgpack.decode(await reader.read(), type=kind)
        finally:
            writer.close()


def _work(settings: Settings, api: socket.socket, report_path: Path) -> None:
    """What a worker process does: serve the shared API socket, and report to whoever connects to its own socket."""
    configure_logging(format=settings.log_format, level=settings.log_level, model_errors=settings.log_model_errors)
    report_path.unlink(missing_ok=True)  # left by a worker that died
    with nursery_for(settings) as nursery, asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        system = System(settings, nursery)
        code = runner.run(_serve_and_report(system, api, report_path))
    leave(code, system.unfinished)
    raise SystemExit(code)


async def start_answering(system: System, path: Path) -> asyncio.Server:
    """Answer a supervisor's questions about this process on a Unix socket, until the server that is given back ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = msgspec.json.decode(await reader.readline(), type=Question)
        writer.write(msgspec.msgpack.encode(await _answer(system, question)))
        await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, path)


async def _answer(system: System, question: Question) -> Answer:
    if question.about == "readiness":
        return await system.waiting_for()
    if question.about == "metrics":
        return list(await system.current_metrics())
    if question.about == "index":
        return await system.index()
    return await system.inspect(question.about, question.seconds)


async def _serve_and_report(system: System, api: socket.socket, report_path: Path) -> int:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None, "only a supervisor starts workers"
    loop, orphaned = asyncio.get_running_loop(), supervisor.sentinel

    def stop() -> None:
        loop.remove_reader(orphaned)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(orphaned, stop)  # a worker without its supervisor would serve on a port that nobody watches
    async with await start_answering(system, report_path):
        return await serve(system, api, None, last=report_path.with_name(_STOPPING).exists)
