"""Requests at a rate that does not follow the server's: what a crowd does. Every request is sent when it is due.

One that finds no idle connection opens one. A client of asyncio's streams, so that the machine has something left for
the server.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

MOST_CONNECTIONS = 2000


@dataclass(slots=True)
class Outcome:
    """What became of the requests of one run: seconds by status code, and how many 503 did not say when to retry."""

    seconds: float = 0.0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    unsaid: int = 0

    @property
    def statuses(self) -> Counter[int]:
        """How many requests got each status."""
        return Counter({status: len(latencies) for status, latencies in self.latencies.items()})

    def quantile(self, status: int, share: float) -> float:
        """Seconds within which this share of the requests of a status were answered; 0 without any."""
        ordered = sorted(self.latencies.get(status, []))
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Crowd:
    """Sends one request over and over. As a context manager it closes its connections after the body."""

    def __init__(self, api: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        address = urlsplit(api)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        lines = {"host": address.netloc, "content-type": "application/json", "content-length": str(len(body))}
        said = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items())
        self._request = f"POST {path} HTTP/1.1\r\n{said}\r\n".encode() + body
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Crowd":
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._open), return_exceptions=True)

    async def run(self, rate: float, seconds: float) -> Outcome:
        """Send so many requests a second for so long, and wait for all answers."""
        outcome, began = Outcome(), perf_counter()
        asked: set[asyncio.Task[None]] = set()
        for number in range(int(rate * seconds)):
            ahead = began + number / rate - perf_counter()
            await asyncio.sleep(max(ahead, 0))
            task = asyncio.create_task(self.ask(outcome))
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
        outcome.seconds = perf_counter() - began
        return outcome

    async def loop(self, clients: int, seconds: float) -> Outcome:
        """Ask from so many clients for so long, each as soon as it was answered: as much as the server can do."""
        outcome, began = Outcome(), perf_counter()

        async def client() -> None:
            while perf_counter() - began < seconds:
                await self.ask(outcome)

        await asyncio.gather(*(client() for _ in range(clients)))
        outcome.seconds = perf_counter() - began
        return outcome

    async def ask(self, outcome: Outcome) -> None:
        """Send one request, and note what became of it."""
        began = perf_counter()
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        outcome.latencies.setdefault(status, []).append(perf_counter() - began)
        outcome.unsaid += status == 503 and b"\r\nretry-after: " not in head
        if b"\r\nconnection: close" in head:
            self._open.discard(writer)
            writer.close()
        else:
            self._idle.append((reader, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if len(self._open) >= MOST_CONNECTIONS:
            raise RuntimeError(f"{MOST_CONNECTIONS} connections are busy: the server does not answer")
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._open.add(writer)
        return reader, writer
