"""Steady traffic in a process of its own: a few connections that are kept open, and a line for every request.

python -m loadtests.chaos.traffic HOST PORT FILE asks until SIGTERM. Each line holds when the request was sent and
answered (in seconds of the machine's monotonic clock), the model, the status, the version that the answer names, and
whether its values are that version's.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final, TextIO

CONNECTIONS: Final = 4
CHANGING: Final = "m"
"""The model that is swapped."""
UNCHANGED: Final = "steady"
"""The model that is not, and whose answers nothing may disturb."""
WIDTH: Final = 4
"""Columns of both models' rows."""
STEADY: Final = 0.5
"""What the unchanged one answers."""
_PAUSE_S: Final = 0.004
_ANSWER_S: Final = 20.0
_BATCH: Final = 20
FAILED: Final = 0
"""In the place of a status: there was no answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the log."""

    sent: float
    received: float
    model: str
    status: int
    said: str
    agrees: bool

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.received - self.sent

    def line(self) -> str:
        """As it is written."""
        said = self.said.replace("\t", " ").replace("\n", " ")
        return f"{self.sent:.6f}\t{self.received:.6f}\t{self.model}\t{self.status}\t{said}\t{int(self.agrees)}\n"


def read_requests(path: Path) -> list[Request]:
    """Every request that a traffic process has noted down."""
    requests = []
    for line in path.read_text(encoding="utf-8").splitlines():
        sent, received, model, status, said, agrees = line.split("\t")
        requests.append(Request(float(sent), float(received), model, int(status), said, agrees == "1"))
    return requests


def expected_value(model: str, version: str) -> float:
    """What a version answers."""
    return STEADY if model == UNCHANGED else float(version)


def _asked(host: str) -> Iterator[tuple[str, bytes]]:
    """Models and requests in turn: single rows and batches, in both protocols."""
    row = [0.1] * WIDTH
    kinds = []
    for rows in (1, 1, _BATCH):
        v1 = {"instances": [row] * rows}
        tensor = {"name": "input", "shape": [rows, WIDTH], "datatype": "FP64", "data": row * rows}
        for model in (CHANGING, CHANGING, UNCHANGED):
            kinds.append((model, _request(host, f"/v1/models/{model}:predict", v1)))
            kinds.append((model, _request(host, f"/v2/models/{model}/infer", {"inputs": [tensor]})))
    return cycle(kinds)


def _request(host: str, path: str, document: Any) -> bytes:
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Client:
    """One connection, opened again whenever it broke."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, model: str, request: bytes) -> Request:
        """Send one request and read its answer; whatever goes wrong is an answer of status FAILED."""
        sent = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_S):
                status, version, body = await self._exchange(request)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return Request(sent, time.monotonic(), model, FAILED, said, agrees=False)
        received = time.monotonic()
        if status != 200:
            return Request(sent, received, model, status, body.decode(errors="replace")[:200], agrees=False)
        agrees = set(_values(body)) == {expected_value(model, version)}
        return Request(sent, received, model, status, version, agrees)

    async def _exchange(self, request: bytes) -> tuple[int, str, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers.get("x-model-version", ""), body

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _values(body: bytes) -> list[float]:
    document = json.loads(body)
    values: list[float] = document["predictions"] if "predictions" in document else document["outputs"][0]["data"]
    return values


async def _keep_asking(host: str, port: int, log: TextIO, stopped: asyncio.Event) -> None:
    client, asked = Client(host, port), _asked(f"{host}:{port}")
    while not stopped.is_set():
        log.write((await client.ask(*next(asked))).line())
        await asyncio.sleep(_PAUSE_S)
    client.close()


async def run(host: str, port: int, log: TextIO) -> None:
    """Ask over every connection until SIGTERM; what was sent by then is still waited for."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(_keep_asking(host, port, log, stopped))


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w", buffering=1) as lines:
        asyncio.run(run(sys.argv[1], int(sys.argv[2]), lines))
