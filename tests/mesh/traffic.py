"""Requests that never stop: connections that ask one after another, and look at every answer.

An answer is right when its status is 200, and it predicts what the version that it names is known to predict.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import uvloop
from scipy.stats import binom

from tools.patience import Limit
from tools.processes import ProcessFailed

CONNECTIONS: Final = 16
CONFIDENCE: Final = 0.999
_ANSWER_S: Final = 10.0
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was sent, by time.monotonic; the version that answered; what was wrong, or nothing."""

    sent: float
    version: str
    failure: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked again and again, and what each version answers to it."""

    host: str
    path: str
    body: bytes
    answers: Mapping[str, bytes]

    def request(self, headers: Mapping[str, str]) -> bytes:
        """The bytes of one request."""
        every = {
            "host": self.host,
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            **headers,
        }
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items()), "", ""]
        return "\r\n".join(lines).encode() + self.body


class Traffic:
    """What was asked so far, in the order of the answers."""

    def __init__(self, address: str, question: Question, headers: Mapping[str, str], connections: int) -> None:
        self.asked: list[Asked] = []
        self._question = question
        self._request = question.request(headers)
        self._address = urlsplit(address)
        self._connections = connections
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End after the answers that are under way."""
        self._stopping.set()
        self._thread.join()

    def take(self, count: int) -> Sequence[Asked]:
        """Wait for this many answers to requests that are sent from now on, and return them. Raises ProcessFailed."""
        first, since, limit = len(self.asked), time.monotonic(), Limit(_PATIENCE_S)
        while not limit.passed():
            if len(self.asked) - first >= count + self._connections:
                return [each for each in self.asked[first:] if each.sent > since][:count]
            if not self._thread.is_alive():
                raise ProcessFailed("the traffic ended by itself")
            time.sleep(_PAUSE_S)
        raise ProcessFailed(f"{len(self.asked) - first} answers in {limit.so_far:.0f} s, not {count}")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._ask_all())

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._keep_asking())

    async def _keep_asking(self) -> None:
        """Open a connection, use it until it breaks, and open the next."""
        while not self._stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
            except OSError as error:
                self.asked.append(Asked(time.monotonic(), "", f"no connection: {error}"))
                await asyncio.sleep(_PAUSE_S)
                continue
            try:
                while not self._stopping.is_set() and await self._ask(reader, writer):
                    pass
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request and judge the answer; whether the connection can be used again."""
        sent = time.monotonic()
        try:
            writer.write(self._request)
            async with asyncio.timeout(_ANSWER_S):
                status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
                body = await reader.readexactly(int(headers["content-length"]))
        except (OSError, EOFError, TimeoutError, LookupError, ValueError) as error:
            self.asked.append(Asked(sent, "", f"no answer: {error!r}"))
            return False
        version = headers.get("x-model-version", "")
        right = status == 200 and self._question.answers.get(version) == body
        self.asked.append(
            Asked(sent, version, "" if right else f"{status} of version {version or '?'}: {body[:200]!r}")
        )
        return headers.get("connection") != "close"


def bounds(requests: int, share: float) -> tuple[int, int]:
    """The fewest and the most of so many requests that a track of this share gets, but for one run in a thousand."""
    low, high = binom.interval(CONFIDENCE, requests, share)
    return int(low), int(high)


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, value in pairs}


@contextmanager
def traffic(
    address: str, question: Question, headers: Mapping[str, str] | None = None, *, connections: int = CONNECTIONS
) -> Iterator[Traffic]:
    """Keep asking while the body runs."""
    running = Traffic(address, question, headers or {}, connections)
    running.start()
    try:
        yield running
    finally:
        running.stop()
