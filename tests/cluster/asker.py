"""Asks from inside a cluster, with the standard library alone: this text is what a pod of the tests runs.

usage: asker.py QUESTIONS, a JSON list that is asked one after another. Each has url and connections, and may have
method, headers, body, requests (without it, it is asked for ever) and pause_s (of each connection, after each answer).
Lines of JSON on standard output count the answers of a question so far by `<status> <x-model-version>`; "bodies" has
one of the last of each.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

_LINE_S = 0.25
_ANSWER_S = 20.0


class Question:
    """One question while it is asked."""

    def __init__(self, number: int, question: dict[str, Any]) -> None:
        url = urlsplit(question["url"])
        self._address = (url.hostname, url.port or 80)
        body = question.get("body", "").encode()
        headers = {"host": url.netloc, "content-length": str(len(body)), **question.get("headers", {})}
        lines = [f"{question.get('method', 'POST')} {url.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._connections: int = question["connections"]
        self._left: float = question.get("requests", float("inf"))
        self._pause_s: float = question.get("pause_s", 0)
        self._number = number
        self._counts: dict[str, int] = {}
        self._bodies: dict[str, str] = {}

    async def ask(self) -> None:
        """Ask over all connections, and count aloud."""
        counting = asyncio.create_task(self._count_aloud())
        await asyncio.gather(*(self._keep_asking() for _ in range(self._connections)))
        counting.cancel()
        self._say(done=True)

    async def _keep_asking(self) -> None:
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while self._left > 0:
            self._left -= 1
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection(*self._address)
                writer.write(self._request)
                async with asyncio.timeout(_ANSWER_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    status, headers = _read_head(head)
                    body = await _read_body(reader, headers)
                outcome = f"{status} {headers.get('x-model-version', '-')}"
                closing = headers.get("connection") == "close"
            except (OSError, EOFError, TimeoutError, LookupError, ValueError) as error:
                outcome, body, closing = "0 -", repr(error).encode(), True
            self._counts[outcome] = self._counts.get(outcome, 0) + 1
            self._bodies[outcome] = body.decode(errors="replace")
            if closing and writer is not None:
                writer.close()
                writer = None
            await asyncio.sleep(self._pause_s)
        if writer is not None:
            writer.close()

    async def _count_aloud(self) -> None:
        while True:
            await asyncio.sleep(_LINE_S)
            self._say(done=False)

    def _say(self, done: bool) -> None:
        line = {"question": self._number, "at": time.time(), "counts": self._counts, "done": done}
        bodies = {name: body for name, body in self._bodies.items() if done or not name.startswith("200")}
        sys.stdout.write(json.dumps({**line, "bodies": bodies}) + "\n")
        sys.stdout.flush()


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return b""
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


async def _ask_all(questions: list[dict[str, Any]]) -> None:
    for number, question in enumerate(questions):
        await Question(number, question).ask()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_ask_all(json.loads(sys.argv[1])))
