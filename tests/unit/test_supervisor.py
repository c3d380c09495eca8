"""A supervisor asks its workers for what it was asked for, and for nothing else."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from model_manager.metrics import Family
from model_manager.serving.index import IndexRow
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.quarantine import Quarantine
from model_manager.serving.system import System
from model_manager.settings import Settings
from model_manager.supervisor import Supervisor
from model_manager.template import Template
from model_manager.worker import start_answering

from tests.models import constant, dump, put
from tests.scrape import value


class Worker(System):
    """A worker's system that notes down what it does for its supervisor."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.did: list[str] = []

    async def waiting_for(self) -> str:
        self.did.append("readiness")
        return await super().waiting_for()

    async def current_metrics(self) -> Sequence[Family]:
        self.did.append("metrics")
        return await super().current_metrics()

    async def index(self) -> list[IndexRow]:
        self.did.append("index")
        return await super().index()

    async def inspect(self, topic: Topic, seconds: float) -> list[Inspection]:
        self.did.append(topic)
        return await super().inspect(topic, seconds)


@asynccontextmanager
async def supervised(
    folder: Path, workers: int, clock: Callable[[], float] = monotonic
) -> AsyncIterator[tuple[Supervisor, list[Worker]]]:
    """A supervisor over workers that are ready; all of it in this process."""
    (folder / "state").mkdir()
    put(folder / "models", "m", "1", dump(constant(1.0)))
    settings = await asyncio.to_thread(lambda: Settings(models=folder / "models", workers=workers))
    systems = [await asyncio.to_thread(Worker, settings) for _ in range(workers)]
    servers = [await start_answering(system, folder / f"worker-{number}.sock") for number, system in enumerate(systems)]
    with socket.socket() as api, socket.socket() as control:
        template = Template(control, os.getpid())  # nobody is started here
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            stop = asyncio.Event()
            ready = [tasks.create_task(_run(system, stop)) for system in systems]
            while any(system.registry.waiting_for() for system in systems):
                await asyncio.sleep(0.005)
            yield Supervisor(settings, api, folder, Quarantine(folder / "state"), template, clock=clock), systems
            stop.set()
            await asyncio.wait(ready)
    for server in servers:
        server.close()


async def _run(system: System, stop: asyncio.Event) -> None:
    async with system.running():
        await stop.wait()


async def test_a_probe_of_readiness_asks_for_readiness_alone(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as (supervisor, workers):
        for _ in range(3):
            assert await supervisor.workers.waiting_for() == ""
        assert {what for worker in workers for what in worker.did} == {"readiness"}


async def test_each_question_is_answered_by_what_it_asks_for(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as (supervisor, workers):
        families = await supervisor.workers.current_metrics()
        assert value(families, "model_manager_ready") == 1
        assert value(families, "model_manager_version_state", model_name="m", model_version="1", state="ready") == 1
        assert [worker.did for worker in workers] == [["metrics"]] * 2
        (row,) = await supervisor.workers.index()
        assert (row.name, row.version, row.state) == ("m", "1", "READY")
        assert [worker.did for worker in workers] == [["metrics", "index"]] * 2
        queues = await supervisor.workers.inspect("queues", 0.0)
        assert len(queues) == 2
        assert all("queues" in each for each in queues)
        assert [worker.did for worker in workers] == [["metrics", "index", "queues"]] * 2


async def test_a_worker_that_does_not_answer_is_missed(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as (supervisor, workers):
        (tmp_path / "worker-1.sock").unlink()
        assert await supervisor.workers.waiting_for() == "1 of 2 workers answer"
        assert [worker.did for worker in workers] == [["readiness"], []]


async def test_the_reasons_of_workers_that_are_not_ready_are_told_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as (supervisor, workers):
        for worker in workers:
            worker.registry.stopping = True
        assert await supervisor.workers.waiting_for() == workers[0].registry.waiting_for() != ""


async def test_a_pod_that_was_ready_stays_so_while_any_worker_is(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=2) as (supervisor, workers):
        assert await supervisor.workers.waiting_for() == ""
        (tmp_path / "worker-1.sock").unlink()
        assert await supervisor.workers.waiting_for() == ""
        families = await supervisor.workers.current_metrics()
        assert value(families, "model_manager_ready") == 1
        assert value(families, "model_manager_unanswered_questions_total", about="metrics") == 1
        workers[0].registry.stopping = True
        assert await supervisor.workers.waiting_for() == "1 of 2 workers answer; the server is stopping"
        assert value(await supervisor.workers.current_metrics(), "model_manager_ready") == 0
        (tmp_path / "worker-0.sock").unlink()
        assert await supervisor.workers.waiting_for() == "0 of 2 workers answer"


async def test_a_pod_is_not_alive_when_workers_were_started_again_in_vain_for_long(tmp_path: Path) -> None:
    moment = [1000.0]
    async with supervised(tmp_path, workers=2, clock=lambda: moment[0]) as (supervisor, _):
        moment[0] += 3600
        assert await supervisor.workers.not_alive() == "", "a start may take long"
        await supervisor._died(0, "SIGSEGV")
        assert "no worker has worked for 3600 s, though 1 were started again" in await supervisor.workers.not_alive()
        supervisor.workers.heard("m/1 is loading", 5.0)
        assert await supervisor.workers.not_alive() != ""
        supervisor.workers.heard("m/1 is loading", 31.0)
        assert await supervisor.workers.not_alive() == ""
        await supervisor._died(1, "SIGSEGV")
        moment[0] += 119
        assert await supervisor.workers.not_alive() == ""
        moment[0] += 2
        assert await supervisor.workers.not_alive() != ""
        supervisor.workers.heard("", 0.5)
        assert await supervisor.workers.not_alive() == ""
        assert value(await supervisor.workers.current_metrics(), "model_manager_unclean_ends_total", how="SIGSEGV") == 2
