"""What a connection checks in a request's head beyond what its parser does, and where its target is split."""

from collections.abc import Callable, Iterable

import httptools

from model_manager.api.refusal import MOST_TARGET_BYTES, Refusal, target_too_long


def check_older_version(version: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise Refusal for any version but 1.0, and for a 1.0 that proxies may read otherwise than we do."""
    if version != "1.0":
        raise Refusal(400, "HTTP/1.1 and HTTP/1.0 are spoken here")
    if any(name == b"transfer-encoding" for name, _ in headers):
        raise Refusal(400, "there is no transfer-encoding in HTTP/1.0")


def read_target(url: bytes, check_host: Callable[[bytes], None]) -> tuple[bytes, bytes]:
    """Path and query of a request. Raises Refusal for what is none, or too long."""
    if len(url) > MOST_TARGET_BYTES:
        raise target_too_long()
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    return _read_unusual_target(url, check_host)


def _read_unusual_target(url: bytes, check_host: Callable[[bytes], None]) -> tuple[bytes, bytes]:
    """Of `*`, or of an absolute URL, as proxies are sent it: its host is what counts then."""
    if url == b"*":
        return url, b""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise Refusal(400, "the request's target is malformed") from None
    if parsed.fragment or parsed.userinfo or not parsed.host:
        raise Refusal(400, "the request's target is malformed")
    check_host(parsed.host)
    return parsed.path or b"/", parsed.query or b""
