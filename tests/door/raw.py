"""HTTP as bytes on a socket: sent as a test likes, and what comes back."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tools.patience import stretched

BODY: Final = b'{"instances": [[0.0, 0.0]]}'


class Response(NamedTuple):
    """One answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body, which is JSON."""
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Whether it is said to be the last one of its connection."""
        return self.headers.get("connection") == "close"


class Client:
    """A connection of ours, and what was read of it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), stretched(30))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def response(self) -> Response:
        """Read one answer. Raises EOFError when there is none, ConnectionError for a reset."""
        head, self._read = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split(" ")[1])
        size = int(headers.get("content-length", 0)) if status >= 200 else 0
        while len(self._read) < size:
            self._more()
        body, self._read = self._read[:size], self._read[size:]
        return Response(status, headers, body)

    def closed(self) -> bool:
        """Wait for the other side to close; whether nothing came before that."""
        try:
            self._more()
        except EOFError:
            return not self._read
        return False

    def _until(self, end: bytes) -> tuple[bytes, bytes]:
        while end not in self._read:
            self._more()
        head, _, rest = self._read.partition(end)
        return head, rest

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"closed after {self._read!r}")
        self._read += data


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A connection while the body runs."""
    client = Client(address)
    with client.socket:
        yield client


def request(
    *headers: str,
    method: str = "POST",
    target: str = "/v1/models/m:predict",
    body: bytes | None = BODY,
    host: str = "x",
) -> bytes:
    """The bytes of a request, with a content-length if there is a body and no header speaks of one."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", *headers]
    framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers)
    if body is not None and not framed:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*chunks: bytes, trailers: Sequence[str] = ()) -> bytes:
    """A body in chunks."""
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([*parts, b"0\r\n", *(f"{line}\r\n".encode() for line in trailers), b"\r\n"])


def answer(address: str, *parts: bytes) -> Response:
    """Send parts, each in a packet of its own, and read one answer."""
    with connected(address) as client:
        for part in parts:
            client.send(part)
        return client.response()
