"""Several server processes as one: they share the API port, the supervisor has the admin port and speaks for all.

In the flow: cli → **supervisor** → N × process.serve. A worker that dies is started again; SIGTERM reaches every
worker, each drains by itself, and the supervisor ends when the last one has; one that cannot end is killed. Metrics and
readiness are asked of the workers at every scrape, over a Unix socket each, so nothing has to be cleaned up after a
process that is gone.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TypeVar

import msgspec

from model_manager.app import create_admin_app
from model_manager.logs import configure_logging
from model_manager.metrics.instruments import Family
from model_manager.metrics.merge import merge
from model_manager.process import (
    admin_server,
    announce,
    bind,
    check_folder,
    event_loop_factory,
    leave,
    longest_stop_s,
    serve,
)
from model_manager.records.stream import RecordStream
from model_manager.serving.index import IndexRow, merge_indexes
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.system import System
from model_manager.settings import Settings
from model_manager.traces.tracing import start_tracing

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy threads' locks in whatever state they are
_REPORT_TIMEOUT_S = 5.0
_RESTART_DELAY_S = 1.0


class Question(msgspec.Struct):
    """What the supervisor asks a worker: for a report, or to inspect a topic."""

    topic: Topic | None = None
    seconds: float = 0.0


class Report(msgspec.Struct):
    """What one worker says of itself. `waiting_for` is empty when it is ready."""

    waiting_for: str
    families: list[Family]
    index: list[IndexRow]


def run(settings: Settings) -> int:
    """Run `settings.workers` processes until SIGTERM or SIGINT; the exit code is the worst of theirs.

    Raises StartRefused like a single process does.
    """
    check_folder(settings)
    _check_telemetry(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.host, settings.admin_port, "admin_port") as admin,
        tempfile.TemporaryDirectory(prefix="model-manager-") as folder,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        return runner.run(Supervisor(settings, api, Path(folder)).run(admin))


def _check_telemetry(settings: Settings) -> None:
    """Refuse once, before any worker starts, what each of them would refuse. Raises StartRefused."""
    RecordStream.from_settings(settings)
    tracing = start_tracing()
    if tracing is not None:
        tracing.shutdown(0)


class Supervisor:
    """Keeps the workers running and answers the admin port for all of them."""

    def __init__(self, settings: Settings, api: socket.socket, folder: Path) -> None:
        self._settings = settings
        self._api = api
        self._reports = [folder / f"worker-{number}.sock" for number in range(settings.workers)]
        self._workers: dict[int, SpawnProcess] = {}
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self, admin_socket: socket.socket) -> int:
        """Start everything, wait for a signal, and stop in order: workers drain first, the admin port goes last."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        server = admin_server(create_admin_app(self), self._settings)
        admin_task = asyncio.create_task(server.serve(sockets=[admin_socket]))
        announce(self._settings, self._api, admin_socket)
        try:
            async with asyncio.TaskGroup() as keepers:
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
            worker = _SPAWN.Process(target=_work, args=(self._settings, self._api, self._reports[number]))
            worker.start()
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
        asked = (_fetch(path, question, kind) for path in self._reports)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _reported(self) -> list[Report]:
        return await self._ask(Question(), Report)

    async def waiting_for(self) -> str:
        """Why there should be no traffic: the reasons of all workers; empty when all of them are ready."""
        if self._stopping.is_set():
            return "the server is stopping"
        reports = await self._reported()
        if len(reports) < self._settings.workers:
            return f"{len(reports)} of {self._settings.workers} workers answer"
        return "; ".join(dict.fromkeys(report.waiting_for for report in reports if report.waiting_for))

    async def index(self) -> list[IndexRow]:
        """One view of every version: ready when it is ready in all workers."""
        return merge_indexes([report.index for report in await self._reported()])

    async def current_metrics(self) -> Sequence[Family]:
        """The sum of all workers' metrics."""
        return merge(report.families for report in await self._reported())

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        """What each worker is doing now."""
        found = await self._ask(Question(topic, seconds), list[Inspection])
        return [inspection for inspections in found for inspection in inspections]


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
    async with asyncio.timeout(_REPORT_TIMEOUT_S + question.seconds):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            return msgspec.msgpack.decode(await reader.read(), type=kind)
        finally:
            writer.close()


def _work(settings: Settings, api: socket.socket, report_path: Path) -> None:
    """What a worker process does: serve the shared API socket, and report to whoever connects to its own socket."""
    configure_logging(form=settings.log_format, level=settings.log_level)
    report_path.unlink(missing_ok=True)  # left by a worker that died
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        system = System(settings)
        code = runner.run(_serve_and_report(system, api, report_path))
    leave(code, system.unfinished)
    raise SystemExit(code)


async def _serve_and_report(system: System, api: socket.socket, report_path: Path) -> int:
    async def report(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = msgspec.json.decode(await reader.readline(), type=Question)
        said: Report | list[Inspection]
        if question.topic is None:
            said = Report(await system.waiting_for(), list(await system.current_metrics()), await system.index())
        else:
            said = await system.inspect(question.topic, question.seconds)
        writer.write(msgspec.msgpack.encode(said))
        await writer.drain()
        writer.close()

    supervisor = multiprocessing.parent_process()
    assert supervisor is not None, "only a supervisor starts workers"
    loop, orphaned = asyncio.get_running_loop(), supervisor.sentinel

    def stop() -> None:
        loop.remove_reader(orphaned)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(orphaned, stop)  # a worker without its supervisor would serve on a port that nobody watches
    server = await asyncio.start_unix_server(report, report_path)
    async with server:
        return await serve(system, api, None)
