"""After an offer of another protocol: the parser stops there, so a new one is given the head again, as plain HTTP/1.1.

In the flow: connection, whose parser reports an `Upgrade` → **offers** → its next parser, which goes on with the body.
"""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def framing(headers: Iterable[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """A head that says of its body what these headers say, and nothing else."""
    kept = [b"%b: %b\r\n" % pair for pair in headers if pair[0] in (b"content-length", b"transfer-encoding")]
    if not keep_alive:
        kept.append(b"connection: close\r\n")
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(kept)


class AfterHead:
    """What a parser tells a connection that has had the head already: all that comes after it."""

    def __init__(self, connection: HttpToolsProtocol) -> None:
        self._connection = connection
        self._passed = False
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._passed:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        if self._passed:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if self._passed:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of its head."""
        if self._passed:
            self._connection.on_headers_complete()
        self._passed = True
