"""What a workload is run against: the server as shipped, and the ceilings."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_manager.process import admin_server
from model_manager.settings import Settings

from loadtests.benchmark.timing import (
    BARE,
    PREDICT,
    SERVER,
    STARLETTE,
    Timing,
)
from loadtests.benchmark.workloads import Workload
from loadtests.benchmark.wrk import Flavour, run_wrk
from tools.cores import Cores, pinned
from tools.processes import ROOT, ProcessFailed, without_server_settings
from tools.servers import Server, ask_json, model_manager


@dataclass(frozen=True, slots=True)
class Target:
    """Something that can be timed under a workload: at each number of its connections, or without any."""

    name: str
    time: Callable[[Workload, int, int], Timing]
    warm: Callable[[Workload, int], Timing]
    form_of: Callable[[str], str]
    connected: bool = True


class InProcess:
    """The process that calls the predictor in a loop. `forms` says how it computes each model."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.forms: dict[str, str] = json.loads(self._line())

    def time(self, workload: Workload, seconds: float) -> Timing:
        """Let it predict body 0 for some seconds. Raises ProcessFailed."""
        plan = workload.plan
        asked = {"model": plan.model, "protocol": plan.protocol, "body": str(workload.plain), "seconds": seconds}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Timing(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed(f"{PREDICT} ended with exit code {self._process.wait()}")
        return line


@contextmanager
def in_process(models: Path, names: Iterable[str], *, core: int | None) -> Iterator[InProcess]:
    """Load the models in a process of their own while the body runs. Raises ProcessFailed."""
    command = [sys.executable, "-m", "loadtests.benchmark.in_process", str(models), *names]
    with subprocess.Popen(
        pinned(command, core),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=without_server_settings(),
    ) as process:
        try:
            yield InProcess(process)
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where targets are started: on which cores, with what in which folder."""

    cores: Cores
    models: Path
    folder: Path

    @contextmanager
    def shipped(self) -> Iterator[Server]:
        """model-manager with default settings."""
        with model_manager(SERVER, self.models, core=self.cores.server) as running:
            yield running

    @contextmanager
    def targets(
        self, shipped: Server, answers: Mapping[str, bytes], models: Iterable[str], *, starlette: bool
    ) -> Iterator[list[Target]]:
        """Start all others beside the shipped server; `answers` is what the ceilings say, by workload.

        Raises ProcessFailed.
        """
        with ExitStack() as stack:
            bare = stack.enter_context(self._constant("bare", BARE, answers))
            targets = [self._http(BARE, bare, own_paths=False), self._http(SERVER, shipped)]
            if starlette:
                constant = stack.enter_context(self._constant("starlette", STARLETTE, answers))
                targets.insert(1, self._http(STARLETTE, constant, own_paths=False))
            calls = stack.enter_context(in_process(self.models, models, core=self.cores.server))
            targets.append(_in_process_target(calls))
            yield targets

    def post(
        self,
        workload: Workload,
        running: Server,
        path: str,
        *,
        connections: int,
        seconds: int,
        flavour: Flavour = "timed",
    ) -> Timing:
        """Post a workload's bodies to a path of a server that runs. Raises GeneratorFailed and ProcessFailed."""
        running.check()
        return run_wrk(
            running.api + path,
            workload.bodies,
            workload.headers,
            connections=connections,
            seconds=seconds,
            core=self.cores.generator,
            flavour=flavour,
        )

    def _http(self, name: str, running: Server, *, own_paths: bool = True) -> Target:
        def path(workload: Workload) -> str:
            return workload.plan.path if own_paths else f"/{workload.plan.id}"

        def time(workload: Workload, connections: int, seconds: int) -> Timing:
            return self.post(workload, running, path(workload), connections=connections, seconds=seconds)

        def warm(workload: Workload, seconds: int) -> Timing:
            most = max(workload.plan.connections)
            return self.post(workload, running, path(workload), connections=most, seconds=seconds, flavour="strict")

        def form_of(model: str) -> str:
            return model_form(running.api, model) if own_paths else ""

        return Target(name, time, warm, form_of)

    @contextmanager
    def _constant(self, kind: str, name: str, answers: Mapping[str, bytes]) -> Iterator[Server]:
        folder = self.folder / "answers"
        folder.mkdir(exist_ok=True)
        for workload, answer in answers.items():
            (folder / workload).write_bytes(answer)
        options = json.dumps(uvicorn_options(self.models))
        command = [sys.executable, "-m", "loadtests.benchmark.constant", kind, str(folder), options]
        with Server(name, command, core=self.cores.server, environment=without_server_settings()) as running:
            yield running


def _in_process_target(calls: InProcess) -> Target:
    """It is timed once a round, however many connections the workload has. Half the time is enough."""

    def time(workload: Workload, connections: int, seconds: int) -> Timing:
        return calls.time(workload, seconds / 2)

    def warm(workload: Workload, seconds: int) -> Timing:
        return calls.time(workload, seconds / 4)

    return Target(PREDICT, time, warm, calls.forms.__getitem__, connected=False)


def model_form(address: str, model: str) -> str:
    """How a server says that it computes a model. Raises ProcessFailed."""
    properties: dict[str, str] = ask_json(f"{address}/v2/models/{model}").get("properties", {})
    return properties.get("form", "sklearn")


_UVICORN_OPTIONS: Sequence[str] = (
    "ws", "lifespan", "access_log", "server_header", "date_header", "timeout_keep_alive",
)  # fmt: skip


def uvicorn_options(models: Path) -> dict[str, object]:
    """How the server sets uvicorn up, read from the server itself, so that the ceilings stand on the same ground.

    But for its connections, which are the server's own kind of uvicorn's for httptools.
    """

    async def nothing(scope: object, receive: object, send: object) -> None: ...

    config = admin_server(nothing, Settings(models=models)).config
    return {"http": "httptools"} | {name: getattr(config, name) for name in _UVICORN_OPTIONS}
