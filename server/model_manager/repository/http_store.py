"""Artifacts on HTTP servers: read by ranges, written by PUT. Redirects lead nowhere that the operator did not name.

Place in the flow: made by `stores.open_store` for https:// and http://. Written on the standard library's client, since
that of obstore follows every redirect and knows no conditional PUT.
"""

import http.client
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from model_manager.errors import StoreFailed, one_line
from model_manager.repository.location import without_credentials
from model_manager.repository.store import MOST_OF_SMALL, Incoming
from model_manager.version import __version__

_CHUNK: Final = 256 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PATIENCE_S: Final = 30.0  # for a server that says nothing at all


class HttpStore:
    """The files below one URL, or at it. `may_redirect` says of a URL on another host whether it may be read."""

    def __init__(self, root: str, *, timeout_s: float, may_redirect: Callable[[str], bool] = lambda url: False) -> None:
        """`timeout_s`: the longest time until an answer begins, and for each small file."""
        self._root = root
        self._timeout_s = timeout_s
        self._may_redirect = may_redirect

    def read(self, path: str, start: int = 0) -> Incoming:
        """See Store."""
        connection, answer, url = self._ask("GET", path, {"range": f"bytes={start}-"} if start else {})
        if answer.status == 416 and start:  # all of it came before, or it is another file now
            _let_go(connection, answer)
            return self.read(path)
        try:
            if answer.status == 416:
                raise _failure(answer, url)
            begins, total = _range(answer, url) if answer.status == 206 else (0, _length(answer, url))
        except StoreFailed:
            _let_go(connection, answer)
            raise
        chunks = _chunks(connection, answer, url)
        next(chunks)  # begun, so that closing it closes the connection
        return Incoming(total, begins, chunks)

    def read_small(self, path: str) -> bytes | None:
        """See Store."""
        try:
            connection, answer, url = self._ask("GET", path)
        except StoreFailed as error:
            if error.reason == "missing":
                return None
            raise
        with _closing(connection, answer, self._timeout_s, url):
            content = answer.read(MOST_OF_SMALL + 1)
            if len(content) > MOST_OF_SMALL:
                raise StoreFailed("too_large", f"{_shown(url)} has more than {MOST_OF_SMALL:,} bytes")
            if answer.length:  # what of the body did not come
                raise StoreFailed("unreachable", f"{_shown(url)}: the connection ended too early", again=True)
            return content

    def size(self, path: str) -> int | None:
        """See Store."""
        try:
            connection, answer, url = self._ask("HEAD", path)
        except StoreFailed as error:
            if error.reason == "missing":
                return None
            raise
        _let_go(connection, answer)
        return _length(answer, url)

    def create(self, path: str, content: bytes) -> bool:
        """See Store: one step on servers that heed If-None-Match, which those of WebDAV may not."""
        if self.size(path) is not None:
            return False
        return self._put(path, content, {"if-none-match": "*"})

    def upload(self, path: str, file: Path, told: Callable[[int], None]) -> None:
        """See Store: whether it can be seen before it is whole is in the server's hands."""

        def parts() -> Iterator[bytes]:
            with open(file, "rb") as opened:
                while part := opened.read(_CHUNK):
                    yield part
                    told(len(part))

        self._put(path, parts(), {"content-length": str(file.stat().st_size)})

    @property
    def copies(self) -> bool:
        """See Store: plain HTTP cannot."""
        return False

    def copy(self, source: str, target: str) -> None:
        """See Store."""
        raise NotImplementedError

    def _put(self, path: str, content: bytes | Iterator[bytes], headers: Mapping[str, str]) -> bool:
        url = self._url(path)
        connection = _connect(urlsplit(url), self._timeout_s)
        try:
            connection.request("PUT", _target(urlsplit(url)), body=content, headers={**_headers(url), **headers})
            answer = connection.getresponse()
            answer.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(url, error) from error
        finally:
            connection.close()
        if answer.status in (409, 412) and "if-none-match" in headers:
            return False
        if answer.status >= 300:
            raise _failure(answer, url)
        return True

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse, str]:
        """Ask for a file, following redirects where they may lead, until an answer that is none."""
        url = first = self._url(path)
        for _ in range(_MOST_REDIRECTS):
            connection = _connect(urlsplit(url), self._timeout_s)
            given = {"host": _host(urlsplit(url)), **(headers or {})}
            if _authority(url) == _authority(first):
                given |= _headers(first)
            try:
                with _within(connection, self._timeout_s):
                    connection.request(method, _target(urlsplit(url)), headers=given)
                    answer = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                raise _unreachable(url, error) from error
            if answer.status in (200, 206, 416):
                return connection, answer, url
            _let_go(connection, answer)
            if answer.status not in _REDIRECTS:
                raise _failure(answer, url)
            url = self._redirected(first, url, answer)
        raise StoreFailed("unreachable", f"{_shown(first)} redirects more than {_MOST_REDIRECTS} times")

    def _redirected(self, first: str, url: str, answer: http.client.HTTPResponse) -> str:
        target = urljoin(url, answer.getheader("location", ""))
        if _authority(target) != _authority(first) and not self._may_redirect(target):
            host = without_credentials(target.partition("?")[0])
            message = f"{_shown(first)} redirects to {host}, which --artifact-stores does not name with its host"
            raise StoreFailed("not_allowed", message)
        return target

    def _url(self, path: str) -> str:
        if not path:
            return self._root
        return f"{self._root.rstrip('/')}/{quote(path)}"


def _connect(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    patience = min(timeout_s, _PATIENCE_S)
    try:
        if url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=patience, context=context)
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=patience)
    except (ValueError, http.client.InvalidURL) as error:
        raise StoreFailed("unreachable", f"{_shown(url.geturl())} is no URL: {error}") from None


def _headers(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    headers = {"user-agent": f"model-manager/{__version__}", "accept-encoding": "identity"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return headers


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _authority(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, _host(parts).lower()


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _length(answer: http.client.HTTPResponse, url: str) -> int:
    said = answer.getheader("content-length", "")
    if not said.isascii() or not said.isdigit():
        raise StoreFailed("unreachable", f"{_shown(url)}: the server does not say how many bytes it has")
    return int(said)


def _range(answer: http.client.HTTPResponse, url: str) -> tuple[int, int]:
    """Where a partial answer begins, and how many bytes there are in all."""
    said = answer.getheader("content-range", "")
    span, _, total = said.removeprefix("bytes ").partition("/")
    begins = span.partition("-")[0]
    if not (begins.isdigit() and total.isdigit()):
        raise StoreFailed("unreachable", f"{_shown(url)}: the server answers with a range that is none ({said[:80]!r})")
    return int(begins), int(total)


def _chunks(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, url: str) -> Generator[bytes]:
    try:
        yield b""
        while chunk := answer.read1(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error
    finally:
        _let_go(connection, answer)


def _let_go(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
    connection.close()
    answer.close()  # which keeps the socket where the server closes it after this answer


@contextmanager
def _within(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Break a connection that takes longer, however busily it drips."""

    def cut() -> None:
        with suppress(OSError, AttributeError):  # it may just have ended, or not have begun
            connection.sock.shutdown(2)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _closing(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, seconds: float, url: str
) -> Iterator[None]:
    try:
        with _within(connection, seconds):
            yield
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error
    finally:
        _let_go(connection, answer)


def _failure(answer: http.client.HTTPResponse, url: str) -> StoreFailed:
    said = f"{_shown(url)}: the server answers {answer.status} {answer.reason}"
    if answer.status in (404, 410):
        return StoreFailed("missing", said)
    if answer.status in (401, 403, 407):
        return StoreFailed("store_refused", f"{said}: check its credentials")
    return StoreFailed("unreachable", said, again=answer.status in _LATER)


def _unreachable(url: str, error: BaseException) -> StoreFailed:
    known = isinstance(error, ssl.SSLCertVerificationError)
    what = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else one_line(error)
    return StoreFailed("unreachable", f"{_shown(url)}: {what}", again=not known)


def _shown(url: str) -> str:
    return without_credentials(url)
