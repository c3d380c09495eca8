"""The headers around a body: what a JSON codec accepts of a request's, and what it says of its answer."""

from typing import Final, NoReturn

from model_manager.call import Headers
from model_manager.errors import UnsupportedContent

_MOST_SHOWN: Final = 100
_LONGEST_INDENT: Final = 1024
_ANY_BYTES: Final = frozenset(
    {
        b"",
        b"*/*",
        b"application/octet-stream",  # what asynchronous clients of V2 send, and whoever was told of no type
        b"application/x-www-form-urlencoded",  # curl -d
        b"text/plain",  # fetch with a string
        b"text/json",
        b"application/x-json",
    }
)
"""Types that clients send with JSON because they were told of no better one."""


_MINDED: Final = frozenset({b"content-type", b"content-encoding", b"inference-header-content-length"})
_JSON: Final = (b"content-type", b"application/json")


def is_plain_json(headers: Headers) -> bool:
    """Whether headers say nothing of a body but that it is JSON, or nothing at all: most do, and one look is enough."""
    return not [pair for pair in headers if pair[0] in _MINDED and pair != _JSON]


def require_json(headers: Headers, body: bytes) -> None:
    """Raise UnsupportedContent for a body that cannot be meant as JSON, or for a compressed one.

    What says no type, or one that clients put on everything, is read as JSON; so is, under any type, what begins as an
    object of JSON does.
    """
    for name, value in headers:
        if name == b"content-type":
            if value != b"application/json" and not may_be_json(value, body):
                refuse_type(value, "JSON, with content-type: application/json")
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedContent(
                f"content encoding '{_shown(value)}' is not served here; send the body uncompressed"
            )


def declared_type(headers: Headers) -> bytes:
    """The content-type of a request, empty where it says none. Raises UnsupportedContent for a compressed body."""
    require_json([pair for pair in headers if pair[0] == b"content-encoding"], b"")
    return next((value for name, value in headers if name == b"content-type"), b"")


def refuse_type(value: bytes, taken: str) -> NoReturn:
    """Raise UnsupportedContent for this content-type; `taken`: what to send."""
    shown = _shown(media_type(value))
    raise UnsupportedContent(f"content type '{shown}' is not served here, and the body is no JSON object; send {taken}")


def may_be_json(value: bytes, body: bytes) -> bool:
    """Whether a body that came with this content-type is to be read as JSON."""
    media = media_type(value)
    if media == b"application/json" or media in _ANY_BYTES or media.endswith(b"+json"):
        return True
    return body[:_LONGEST_INDENT].lstrip(b" \t\r\n").startswith(b"{")


def media_type(value: bytes) -> bytes:
    """A content-type without its parameters, in lower case."""
    return value.partition(b";")[0].strip().lower()


def _shown(value: bytes) -> str:
    return value.decode("latin-1") if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN].decode('latin-1')}…"


def version_headers(model: str, version: str) -> tuple[tuple[bytes, bytes], ...]:
    """Say which version answered."""
    return (b"x-model-name", model.encode()), (b"x-model-version", version.encode())


def json_headers(model: str, version: str) -> tuple[tuple[bytes, bytes], ...]:
    """Say that an answer is JSON, and which version gave it. A tuple: adapters may keep what they made of it."""
    return _JSON, *version_headers(model, version)
