"""An HTTP server that keeps files, on loopback: as a good one does, or in one of the ways in which they go wrong.

It speaks as much of S3's language as one bucket needs: entity tags, conditions, copies within the store.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, cast

_STAMP = {"etag": '"1"', "last-modified": "Mon, 02 Nov 2026 15:00:00 GMT"}

Fault = Callable[["Request"], bool]


class ArtifactServer(ThreadingHTTPServer):
    """`files` by path, `asked` in order. `fault` answers a request in its own way, and says whether it did."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.fault: Fault = lambda request: False
        self.writing = threading.Lock()
        self.released = threading.Event()
        """What a fault that hangs may wait for."""

    @property
    def url(self) -> str:
        """The beginning of every URL of it."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave."""


class Request(BaseHTTPRequestHandler):
    """One request; `partial` is from which byte on it asks."""

    protocol_version = "HTTP/1.1"

    @property
    def store(self) -> ArtifactServer:
        """The server."""
        return cast("ArtifactServer", self.server)

    @property
    def start(self) -> int:
        """From which byte on is asked."""
        return int(self.headers.get("range", "bytes=0-")[len("bytes=") :].partition("-")[0])

    def do_GET(self) -> None:
        """Answer with a file, or from a byte of it on."""
        self.store.asked.append((self.command, self.path, self.headers.get("range")))
        if self.store.fault(self):
            self.close_connection = True
            return
        content = self.store.files.get(self.path)
        if content is None:
            self.answer(404, b"")
        elif self.headers.get("range"):
            said = f"bytes {self.start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[self.start :], {"content-range": said})
        else:
            self.answer(200, content)

    def do_HEAD(self) -> None:
        """Tell of a file."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Keep a file, but not over another where the condition says so."""
        self.store.asked.append((self.command, self.path, self.headers.get("if-none-match")))
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.store.fault(self):
            self.close_connection = True
            return
        with self.store.writing:
            self._write(content)

    def _write(self, content: bytes) -> None:
        if self.headers.get("if-none-match") == "*" and self.path in self.store.files:
            self.answer(412, b"")
        elif source := self.headers.get("x-amz-copy-source"):
            self.store.files[self.path] = self.store.files[f"/{source.lstrip('/')}"]
            self.answer(200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
        else:
            self.store.files[self.path] = content
            self.answer(201, b"")

    def answer(
        self, code: int, content: bytes, headers: Mapping[str, str] = MappingProxyType({}), *, length: int | None = None
    ) -> None:
        """Answer with this content; `length` is what is said of it."""
        self.send_response(code)
        for name, value in {**_STAMP, **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def artifact_server() -> Iterator[ArtifactServer]:
    """Serve while the body runs."""
    server = ArtifactServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
