"""Several server processes as one: they share the API port, the supervisor has the admin port.

In the flow: cli → **supervisor** → keeper → N × worker. SIGTERM reaches every worker, each drains by itself, and the
supervisor ends when the last one has; one that cannot end is killed.

A worker that dies is started again, later each time it dies soon; so is one whose event loop stands still, once it was
ended. Workers are forked from a process that has imported everything and does nothing (template.py), so that a new one
is there at once, and shares with the others what is the same in all of them. Of every death the journal is asked which
versions it ran (serving/quarantine.py); when that puts one in quarantine, the workers that still serve it make room,
one by one, for others that do not. What the admin port is asked is answered in workers.py.
"""

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from model_manager.api.credentials import Credentials
from model_manager.event_loop import event_loop, on_interrupt
from model_manager.keeper import Keeper
from model_manager.metrics import Metrics
from model_manager.process import (
    admin_app,
    admin_server,
    announce,
    bind,
    check_folder,
    grpc_port_kept,
    longest_stop_s,
)
from model_manager.records import RecordStream
from model_manager.serving.keys import Keyring
from model_manager.serving.labelling import Labelling
from model_manager.serving.quarantine import Quarantine, kept
from model_manager.settings import Settings, opentelemetry_variables
from model_manager.template import Forked, Template
from model_manager.traces import start_tracing
from model_manager.worker import STOPPING, Post
from model_manager.workers import Workers

logger = logging.getLogger(__name__)

_MAKE_ROOM_S: Final = 60.0


def run(settings: Settings) -> int:
    """Run `settings.workers` processes until SIGTERM or SIGINT; the exit code is the worst of theirs.

    Raises StartRefused like a single process does.
    """
    check_folder(settings)
    with Template.started() as template:  # first: what is forked has no threads and no sockets yet
        return _run(settings, template)


def _run(settings: Settings, template: Template) -> int:
    _check_what_workers_need(settings)
    credentials = Credentials(settings)
    with (
        bind(settings.host, settings.port, "port") as api,
        bind(settings.admin_host or settings.host, settings.admin_port, "admin_port") as admin,
        grpc_port_kept(settings) as settings,
        tempfile.TemporaryDirectory(prefix="model-manager-") as folder,
        _remembering(settings.state, Path(folder)) as quarantine,
        event_loop() as runner,
    ):
        return runner.run(Supervisor(settings, api, Path(folder), quarantine, template).run(admin, credentials))


def _check_what_workers_need(settings: Settings) -> None:
    """Refuse once, before any worker starts, what each of them would refuse. Raises ConfigurationError."""
    if settings.api_keys is not None:
        Keyring(settings.api_keys, Metrics(), workers=settings.workers)
    RecordStream.from_settings(settings)
    Labelling.from_settings(settings, None)
    tracing = start_tracing(opentelemetry_variables())
    if tracing is not None:
        tracing.shutdown(0)


@contextmanager
def _remembering(state: str, folder: Path) -> Iterator[Quarantine]:
    """What is remembered of deaths: in the folder that settings name, else for as long as this process lives."""
    with kept(Path(state)) if state else nullcontext() as quarantine:
        if quarantine is not None:
            yield quarantine
            return
        with kept(folder / "state") as quarantine:
            assert quarantine is not None, "nobody else knows this folder"
            yield quarantine


class Supervisor:
    """Keeps the workers running; `workers` answers the admin port for all of them. `clock` in seconds."""

    def __init__(
        self,
        settings: Settings,
        api: socket.socket,
        folder: Path,
        quarantine: Quarantine,
        template: Template,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._api = api
        self._stopping_sign = folder / STOPPING
        self._quarantine = quarantine
        self._template = template
        self._keepers = [
            Keeper(
                number,
                folder / f"worker-{number}.sock",
                start=self._start,
                frozen_after_s=settings.frozen_after_s,
                died=self._died,
                heard=self._heard,
            )
            for number in range(settings.workers)
        ]
        self._stopping = asyncio.Event()
        self.workers = Workers(self._keepers, self._stopping, quarantine, clock=clock)
        self._remembering = asyncio.Lock()
        self._making_room: set[asyncio.Task[None]] = set()

    async def run(self, admin_socket: socket.socket, credentials: Credentials) -> int:
        """Start everything, wait for a signal, and stop in order: workers drain first, the admin port goes last."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        on_interrupt(self._stop)
        server = admin_server(
            admin_app(self.workers, self._settings, credentials), self._settings, credentials.admin_tls
        )
        admin_task = asyncio.create_task(server.serve(sockets=[admin_socket]))
        announce(self._settings, self._api, admin_socket)
        try:
            async with credentials.followed():
                codes = await asyncio.gather(*(keeper.keep(self._stopping) for keeper in self._keepers))
        finally:
            for task in self._making_room:
                task.cancel()
            server.should_exit = True
            await admin_task
        await asyncio.to_thread(
            self._quarantine.forget_journals
        )  # of those who had to be killed: this stop was asked for
        return max(codes)

    def _stop(self) -> None:
        if not self._stopping.is_set():
            asyncio.get_running_loop().call_later(longest_stop_s(self._settings), self._kill)
        self._stopping.set()
        self._stopping_sign.touch()
        for keeper in self._keepers:
            keeper.terminate()

    def _kill(self) -> None:
        for keeper in self._keepers:
            keeper.kill()

    # deaths

    def _start(self, number: int) -> Forked:
        report, state = self._keepers[number].report, self._quarantine.folder
        post = Post(number, self._settings, state, report, replaces=self.workers.were_ready)
        return self._template.fork(post, self._api)

    async def _died(self, number: int, how: str) -> bool:
        """Find out who is to blame, and see that nobody serves it any more. Whether that was found out."""
        self.workers.died()
        async with self._remembering:
            journals = [self._quarantine.journal(number)]
            condemned = await asyncio.to_thread(self._quarantine.died, journals, how, f"worker {number}")
        if condemned:
            task = asyncio.create_task(self._make_room(number))
            self._making_room.add(task)
            task.add_done_callback(self._making_room.discard)
        return bool(condemned)

    async def _make_room(self, number: int) -> None:
        """Let every other worker end, and be started again without what is quarantined: one by one, so others serve."""
        with suppress(TimeoutError):  # the one that died serves again before the next leaves
            async with asyncio.timeout(_MAKE_ROOM_S):
                await self._keepers[number].ready.wait()
        for keeper in self._keepers:
            if keeper.number == number or keeper.resting:
                continue
            logger.info("worker %d makes room for one that does not serve what is quarantined", keeper.number)
            keeper.leave(longest_stop_s(self._settings))
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAKE_ROOM_S):
                    await keeper.ready.wait()

    def _heard(self, waiting_for: str, seconds: float) -> None:
        self.workers.heard(waiting_for, seconds)
