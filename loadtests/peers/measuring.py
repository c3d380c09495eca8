"""Peers one after the other, round by round: right answers first, then how many of them a second."""

import http.client
import json
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.benchmark.answers import WrongAnswer
from loadtests.benchmark.measuring import require_no_error
from loadtests.benchmark.timing import Point, Points
from loadtests.benchmark.workloads import ROWS, Plan
from loadtests.benchmark.wrk import Flavour, GeneratorFailed, run_wrk
from loadtests.peers.servers import Peer, Place, free_ports
from tools.cores import Cores
from tools.processes import Process, ProcessFailed
from tools.servers import ask

_HEADERS: Final = {"Content-Type": "application/json"}
_START_S: Final = 120.0
_WARM_S: Final = 3
_SILENT: Final = ("sh", "-c", 'exec "$@" > /dev/null', "peer")
"""Some write a line for each request; what they write to standard error is kept."""
_CLOSE: Final = 1e-4  # compiled forms of float32 thresholds are as near as that to scikit-learn


@dataclass(slots=True)
class Running:
    """A peer that runs: the address of each model, and the bodies of each workload."""

    peer: Peer
    processes: list[Process]
    addresses: Mapping[str, str]
    bodies: dict[str, list[Path]] = field(default_factory=dict)

    def url(self, plan: Plan) -> str:
        """Where a workload is posted."""
        return self.addresses[plan.model] + self.peer.path(plan.model)

    def check(self) -> None:
        """Raise ProcessFailed when a process has ended."""
        for process in self.processes:
            process.check()


@contextmanager
def running(
    peer: Peer, programs: Path, artifacts: Mapping[str, Path], folder: Path, core: int | None
) -> Iterator[Running]:
    """Start a peer for as long as the body runs; its answers may take a while yet."""
    parts: list[Mapping[str, Path]] = [artifacts]
    if peer.one_model_a_process:
        parts = [{name: path} for name, path in artifacts.items()]
    addresses: dict[str, str] = {}
    processes: list[Process] = []
    with ExitStack() as stack:
        for part, port in zip(parts, free_ports(len(parts)), strict=True):
            place = Place(programs, folder / f"{peer.name}-{port}", port, part)
            place.folder.mkdir(parents=True)
            environment = place.environment if peer.packages else None
            process = Process(peer.name, [*_SILENT, *peer.command(place)], core=core, environment=environment)
            stack.callback(process.kill)  # how peers stop is not looked at
            processes.append(process)
            addresses |= dict.fromkeys(part, f"http://127.0.0.1:{port}")
        yield Running(peer, processes, addresses)


def prepare(running: Running, plans: Iterable[Plan], artifacts: Mapping[str, Any], folder: Path) -> None:
    """Write the bodies of each workload, wait for answers, and hold them against the estimator's own.

    Raises WrongAnswer and ProcessFailed.
    """
    peer = running.peer
    for plan in plans:
        running.bodies[plan.id] = []
        for number, rows in enumerate(ROWS[plan.id]()):
            path = folder / f"{peer.name}-{plan.id}-{number}"
            path.write_bytes(peer.body(plan.model, rows))
            running.bodies[plan.id].append(path)
            said = running.processes[0].wait_for(
                partial(_answer, running, running.url(plan), path.read_bytes()),
                f"to answer {plan.model}",
                limit_s=_START_S,
            )
            compare(peer.predictions(json.loads(said)), artifacts[plan.model].predict(rows), f"{peer.name}, {plan.id}")
    running.processes[0].wait_for(partial(_is_settled, running), "to be as fast as it will be", limit_s=_START_S)


def _is_settled(running: Running) -> bool:
    return all(map(running.peer.is_settled, running.addresses.values()))


def _answer(running: Running, url: str, body: bytes) -> bytes | None:
    running.check()
    try:
        answer = ask(url, body, _HEADERS)
    except (OSError, http.client.HTTPException):
        return None
    return answer.body if answer.status == 200 else None


def compare(said: Any, expected: Any, where: str) -> None:
    """Raise WrongAnswer where a server says something else than the estimator; its numbers may differ by a hair."""
    found = np.asarray(said).reshape(np.shape(expected))
    numbers = found.dtype.kind in "fiu" and expected.dtype.kind in "fiu"
    if not (np.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE) if numbers else np.array_equal(found, expected)):
        raise WrongAnswer(f"{where} answers {found[:3]} where the estimator says {expected[:3]}")


def measure(
    peers: Sequence[Running],
    plan: Plan,
    cores: Cores,
    *,
    rounds: int,
    seconds: int,
    told: Callable[[str], None],
) -> tuple[Points, dict[str, str]]:
    """Time one workload at its most connections: each peer in each round, so that a ratio is of neighbours in time.

    The others stand still meanwhile: some are busy while nobody asks them anything. What fails is left out, and why is
    told beside the points.
    """
    points: list[Point] = []
    failures: dict[str, str] = {}
    connections = max(plan.connections)

    def post(one: Running, seconds: int, flavour: Flavour) -> Any:
        one.check()
        timing = run_wrk(
            one.url(plan),
            one.bodies[plan.id],
            _HEADERS,
            connections=connections,
            seconds=seconds,
            core=cores.generator,
            flavour=flavour,
        )
        require_no_error(timing, one.peer.name)
        return timing

    for number in range(1, rounds + 1):
        for one in peers:
            name = one.peer.name
            if name in failures:
                continue
            told(f"{plan.id}, round {number}: {name}")
            try:
                with _still([other for other in peers if other is not one]):
                    if number == 1:
                        post(one, _WARM_S, "strict")
                    points.append(Point(name, connections, number, post(one, seconds, "timed")))
            except (WrongAnswer, GeneratorFailed, ProcessFailed) as error:
                failures[name] = str(error)
    return Points(points), failures


@contextmanager
def _still(peers: Sequence[Running]) -> Iterator[None]:
    """Halt these for as long as the body runs."""
    processes = [process for peer in peers for process in peer.processes]
    try:
        for process in processes:
            process.signal(signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            process.signal(signal.SIGCONT)
