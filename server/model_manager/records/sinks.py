"""Where prediction records go: a file of JSON lines, or an HTTP receiver of CloudEvents. One batch, one call.

In the flow: stream (queue) → event_format → **sinks**. Sinks block; only the stream's thread calls them.
"""

import http.client
import os
import re
import select
import ssl
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from model_manager.errors import ModelManagerError, StartRefused
from model_manager.version import __version__

_FILE_MODE = 0o640  # rows may be about people: not for everybody
_MOST_ANSWER_BYTES = 64 * 1024
_HEADERS = {
    "content-type": "application/cloudevents-batch+json; charset=UTF-8",
    "user-agent": f"model-manager/{__version__}",
}


class NotDelivered(ModelManagerError):
    """A batch, or what follows its first `delivered` events, did not arrive; the message says why."""

    def __init__(self, message: str, *, delivered: int = 0) -> None:
        super().__init__(message)
        self.delivered = delivered


class Sink(Protocol):
    """Takes events, each one line of JSON. `destination` names it in the log."""

    destination: str

    def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
        """Hand over a batch, never any of it twice. Raises NotDelivered."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection."""
        ...


def open_sink(target: str) -> Sink:
    """Make the sink of a URL or a file's path. Raises StartRefused for one that cannot be used."""
    return HttpSink(target) if "://" in target else FileSink(target)


class FileSink:
    """Appends JSON lines, one write a batch, so that several processes may share the file.

    A file that was renamed or deleted (rotated) is made anew. Raises StartRefused when it cannot be opened now.
    """

    def __init__(self, path: str) -> None:
        self.destination = path
        self._fd: int | None = None
        self._torn = False  # the file ends within a line
        try:
            os.close(_open(path))
        except (OSError, ValueError) as error:
            raise StartRefused(f"--records {path}: cannot be appended to: {_said(error)}") from None

    def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
        """Append a line for each event; the time a write takes is the file system's. Raises NotDelivered."""
        try:
            fd = self._current()
        except OSError as error:
            raise NotDelivered(f"{self.destination}: {_said(error)}") from None
        start = b"\n" if self._torn else b""
        text = start + b"\n".join(events) + b"\n"
        written = 0
        try:
            while written < len(text):
                written += os.write(fd, memoryview(text)[written:])
        except OSError as error:
            arrived = text[:written]
            if arrived:
                self._torn = not arrived.endswith(b"\n")
            whole = max(0, arrived.count(b"\n") - len(start))
            raise NotDelivered(f"{self.destination}: {_said(error)}", delivered=whole) from None
        self._torn = False

    def _current(self) -> int:
        """The descriptor of the file that has the path now."""
        if self._fd is not None:
            try:
                same = os.path.samestat(os.stat(self.destination), os.fstat(self._fd))
            except FileNotFoundError:
                same = False
            if not same:
                self.close()
        if self._fd is None:
            self._fd, self._torn = _open(self.destination), False
        return self._fd

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _open(path: str) -> int:
    """Open for appending; a pipe that nobody reads is an error rather than a wait."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, _FILE_MODE)
    os.set_blocking(fd, True)
    return fd


class HttpSink:
    """POSTs batches (CloudEvents 1.0, batched content mode) over one connection that is kept open.

    A batch is sent once: any answer but 2xx, or none, is a failure, and redirects are not followed. Raises StartRefused
    for a URL that cannot be posted to; whether somebody listens there is seen later.
    """

    def __init__(self, url: str) -> None:
        parts = _split(url)
        assert parts.hostname is not None, "checked with the URL"
        self._host, self._port = parts.hostname, parts.port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        self.destination = parts._replace(query="").geturl()  # a query may hold a token
        self._connection: http.client.HTTPConnection | None = None

    def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
        """POST a batch; `timeout_s` bounds each wait for the network. Raises NotDelivered."""
        try:
            connection = self._connected(timeout_s)
            connection.request("POST", self._target, b"[" + b",".join(events) + b"]", _HEADERS)
            response = connection.getresponse()
            response.read(_MOST_ANSWER_BYTES)
        except TimeoutError:
            self.close()
            raise NotDelivered(f"{self.destination}: no answer within {timeout_s:.3g} s") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotDelivered(f"{self.destination}: {_said(error)}") from None
        if response.will_close or not response.isclosed():  # asked for, or more of an answer than is worth reading
            self.close()
        if not 200 <= response.status < 300:
            raise NotDelivered(f"{self.destination}: it answers {response.status} {response.reason}")

    def _connected(self, timeout_s: float) -> http.client.HTTPConnection:
        """The connection kept from the last batch, or a new one where the receiver has closed it since."""
        if self._connection is not None and _closed_by_peer(self._connection):
            self.close()
        if self._connection is None:
            if self._tls is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
            else:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=timeout_s, context=self._tls
                )
            self._connection.connect()
        self._connection.sock.settimeout(timeout_s)
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port != 0
        host = (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise StartRefused(f"--records {_shown(url)!r}: not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise StartRefused("--records: a user or password in the URL would not be sent; leave it out")
    if parts.scheme not in ("http", "https"):
        raise StartRefused(
            f"--records {_shown(url)!r}: {parts.scheme} is not supported; give http://, https:// or a file's path"
        )
    if not host or not port_is_fine or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        message = "expected http(s)://host[:port]/path in printable ASCII, without a fragment"
        raise StartRefused(f"--records {_shown(url)!r}: {message}")
    return parts


def _shown(url: str) -> str:
    """A URL without what may be a secret in it: user, password, and all of its query."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def _closed_by_peer(connection: http.client.HTTPConnection) -> bool:
    """Tell whether an idle connection has something to say, which can only be that it ended."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
