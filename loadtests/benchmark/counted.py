"""What valgrind counts: requests through connections of this process, over transports that are memory.

python -m loadtests.benchmark.counted FOLDER, under callgrind: for every subject in turn, so many rounds of requests and
then twice as many, a dump of the counters after each. Nothing here goes by the clock: no search for forms, no
measuring, no timers, one thread; what is counted twice is counted the same.
"""

import asyncio
import ctypes
import json
import mmap
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import uvicorn
import uvloop
from model_manager.api.connection import Connection
from model_manager.api.direct import Direct
from model_manager.api.dispatch import Destination
from model_manager.api.door import Door, Limits
from model_manager.inference.compiled.builders import candidates
from model_manager.inference.compiled.fastest import SIZES, CompiledPredictor
from model_manager.inference.cost import InlineLimits
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.metrics.recording import Metrics
from model_manager.repository.metadata import Metadata
from model_manager.repository.wanted import Batching, ServableId
from model_manager.serving.answering import Answering
from model_manager.serving.batcher import Batcher
from model_manager.serving.heap import settle_heap
from model_manager.serving.journal import Journal, Noted
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Provenance, Servable
from model_manager.serving.shadowing import Shadowing
from model_manager.serving.views import ModelView
from model_manager.settings import Settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from loadtests.benchmark.constant import Bare

ROW: Final = [5.1, 3.5, 1.4, 0.2]
CUSTOMER: Final = {
    "contract": "one-year",
    "internet": "fiber",
    "payment_method": "direct-debit",
    "region": "east",
    "age": 57.0,
    "tenure_months": 10.0,
    "monthly_charges": 83.67,
    "support_calls": 3.0,
}
V1: Final = json.dumps({"instances": [ROW]}).encode()
V2: Final = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}]}).encode()
NAMED: Final = json.dumps({"instances": [CUSTOMER]}).encode()
_TOOL: Final = (ord("C") << 24) + (ord("T") << 16)
_DUMP, _ZERO, _START = _TOOL, _TOOL + 1, _TOOL + 4  # callgrind.h
_NEVER_S: Final = 86_400
"""Idle connections are not closed: on a busy machine that would come while others are counted."""
_ASK: Final = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
"""A function by which a program on x86-64 asks valgrind for something (valgrind.h): elsewhere it does nothing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is counted: so many connections that each send `request` in every round, and get `writes` writes for it."""

    name: str
    connections: int
    rounds: int
    server: str
    target: str
    body: bytes
    writes: int = 1
    model: str = "iris"

    @property
    def request(self) -> bytes:
        """As a client of a load generator writes it."""
        head = f"POST {self.target} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(self.body) + self.body


SUBJECTS: Final = (
    Subject("bare uvicorn, 64 connections", 64, 2, "bare", "/x", V1, writes=2),
    Subject("W1, 64 connections", 64, 2, "ours", "/v1/models/iris:predict", V1),
    Subject("W1V2, 64 connections", 64, 2, "ours", "/v2/models/iris/infer", V2),
    Subject("W5, 64 connections", 64, 2, "ours", "/v1/models/churn:predict", NAMED, model="churn"),
    Subject("bare uvicorn, 1 connection", 1, 25, "bare", "/x", V1, writes=2),
    Subject("W1, 1 connection", 1, 25, "ours", "/v1/models/iris:predict", V1),
)


class Memory:
    """A transport that keeps what was written last, and how often something was."""

    def __init__(self) -> None:
        self.writes = 0
        self.last = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The two ends of it."""
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 8080)}.get(name, default)

    def write(self, data: bytes) -> None:
        """Take it."""
        self.writes += 1
        self.last = data

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """All is taken at once."""
        return 0


def served(model: str, estimator: Any, system: Path) -> Servable:
    """Serve an estimator by its numpy form, computed on the loop whatever that takes here."""
    signature = infer_signature(estimator)
    outputs = [output.name for output in signature.outputs]
    form = next(one.build() for one in candidates(estimator, signature) if one.name == "numpy")
    costs = {name: {size: {"numpy": 0.0, "sklearn": 1.0} for size in SIZES} for name in outputs}
    predictor = CompiledPredictor(SklearnPredictor(estimator, signature), {name: [form] for name in outputs}, costs)
    noted = Noted(Journal(system / f"journal-{model}"), ("0" * 64, model, "1"))
    metrics = Metrics().servable(model, "1", signature)
    batcher = Batcher(
        noted.predict(predictor.predict),
        batching=Batching(),
        inline=InlineLimits({name: {1 << 30: 0.0} for name in outputs}),
        executor=ThreadPoolExecutor(1),
        metrics=metrics,
        shapes_vary=False,
    )
    return Servable(
        ServableId(model, "1"),
        signature=signature,
        predictor=predictor,
        batcher=batcher,
        provenance=Provenance("0" * 64, Metadata(), None),
        metrics=metrics,
        timeout_s=60.0,
        max_rows=10_000,
        noted=noted,
    )


def door_of(servables: Iterable[Servable], settings: Settings) -> Door:
    """A door whose connections answer predictions of these versions themselves."""
    registry, metrics = Registry(), Metrics()
    for servable in servables:
        registry.show(servable.id.model, ModelView(servable, {"1": servable}, {}))
    answering = Answering(registry, metrics, None, Shadowing(registry, metrics, None))
    door = Door(Limits.of(settings), lambda code: None)
    for subject in SUBJECTS:
        if subject.server == "ours":
            protocol = "v2" if subject.target.endswith("/infer") else "v1"
            to = Destination(_nowhere, answering, protocol, subject.target, subject.model, None, 1 << 24, 1 << 20)
            door.known.remember(subject.target, to)
    door.known.direct = True
    return door


def _nowhere(*arguments: Any) -> Any:
    raise AssertionError("a connection has passed this on to the app")


class Servers:
    """Makes connections of either server, as uvicorn would."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._config = uvicorn.Config(
            Bare({"x": b'{"predictions":[0]}'}),
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=_NEVER_S,
        )
        self._config.load()
        self._state = ServerState()

    def connect(self, server: str) -> tuple[Any, Memory]:
        """A new connection, and what it writes to."""
        state, transport = self._state, Memory()
        made: HttpToolsProtocol
        if server == "bare":
            made = HttpToolsProtocol(self._config, state, {})
        else:
            made = Connection(self._door, config=self._config, server_state=state, app_state={})
        made.connection_made(transport)  # type: ignore[arg-type]  # all of a transport that is used
        return made, transport


async def answer(subject: Subject, connections: list[tuple[Any, Memory]], rounds: int) -> None:
    """Send requests and wait for their answers, round after round."""
    request, last = subject.request, connections[-1][1]
    for _ in range(rounds):
        due = last.writes + subject.writes
        for connection, _ in connections:
            connection.data_received(request)
        while last.writes < due:  # noqa: ASYNC110 - turns of the loop are what is counted
            await asyncio.sleep(0)


def check(subject: Subject, connections: list[tuple[Any, Memory]], rounds: int) -> None:
    """See that all of them were answered, and by whom they should be."""
    for connection, transport in connections:
        assert transport.writes == rounds * subject.writes, (subject, transport.last)
        if subject.server == "ours":
            assert type(connection.cycle) is Direct, "it went by the app"
            assert transport.last.startswith(b"HTTP/1.1 200 "), transport.last


def asking() -> Callable[[int], None]:
    """Give what asks valgrind for something, by its number."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_ASK)
    code = ctypes.c_char.from_buffer(page)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64))(ctypes.addressof(code))

    def ask(number: int) -> None:
        assert code is not None, "it is what keeps the page"
        call((ctypes.c_uint64 * 6)(number))

    return ask


async def count(models: Path, system: Path, ask: Callable[[int], None]) -> None:
    """Have every subject counted, each over its length and over twice that."""
    names = dict.fromkeys(subject.model for subject in SUBJECTS)
    servables = {name: served(name, joblib.load(models / f"{name}.joblib"), system) for name in names}
    servers = Servers(door_of(servables.values(), Settings(models=system)))
    subjects: Mapping[Subject, list[Any]] = {
        subject: [servers.connect(subject.server) for _ in range(subject.connections)] for subject in SUBJECTS
    }
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context))
    settle_heap()
    ask(_START)
    for subject, connections in subjects.items():
        await answer(subject, connections, subject.rounds)  # which also has valgrind translate the code
        servables[subject.model].metrics.fold()
        ask(_ZERO)
        await answer(subject, connections, subject.rounds)
        ask(_DUMP)
        await answer(subject, connections, 2 * subject.rounds)
        ask(_DUMP)
        check(subject, connections, 4 * subject.rounds)
    assert not failed, failed


def main(models: str) -> None:
    """Count, in files that valgrind writes."""
    with tempfile.TemporaryDirectory(prefix="model-manager-") as folder:
        uvloop.run(count(Path(models), Path(folder), asking()))


if __name__ == "__main__":
    main(*sys.argv[1:])
