"""A receiver of CloudEvents: a real HTTP server that can be slow, refuse, close its connections, or be gone."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class EventReceiver:
    """What arrived: `bodies` and `headers` of every POST that was answered with 2xx, `connections` that were made.

    While `gate` is shut a request waits for its answer; `status` is what it gets. `answered` counts all of them.
    """

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.status = 204
        self.answer = b""
        self.close_after_answer = False
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = self.waiting = self.answered = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = False  # closing waits for them
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._open: list[Any] = []
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}/events"

    def events(self) -> list[dict[str, Any]]:
        """Every event that arrived, in order."""
        return [event for body in list(self.bodies) for event in json.loads(body)]

    def close_connections(self) -> None:
        """End every connection that is open, as a receiver does with idle ones."""
        for connection in list(self._open):
            with suppress(OSError):  # the other side was first
                connection.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Refuse connections from now on."""
        self.gate.set()
        self._server.shutdown()
        self.close_connections()
        self._server.server_close()
        self._thread.join()


def _handler(receiver: EventReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1
            receiver._open.append(self)

        def finish(self) -> None:
            super().finish()
            receiver._open.remove(self)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.waiting += 1
            receiver.gate.wait()
            receiver.waiting -= 1
            if 200 <= receiver.status < 300:
                receiver.bodies.append(body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                receiver.paths.append(self.path)
            receiver.answered += 1
            self.send_response(receiver.status)
            self.send_header("location", "/elsewhere")
            if receiver.close_after_answer:
                self.send_header("connection", "close")
            if receiver.status != 204:
                self.send_header("content-length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def event_receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[EventReceiver]:
    """A receiver while the body runs, on any free port or on one that was used before."""
    receiver = EventReceiver(port, tls)
    try:
        yield receiver
    finally:
        receiver.close()
