"""The headers around a body: what a JSON codec accepts of a request's, and what it says of its answer."""

from typing import Final

from model_manager.call import Headers
from model_manager.errors import UnsupportedContent

_MOST_SHOWN: Final = 100


def require_json(headers: Headers) -> None:
    """Raise UnsupportedContent for a declared type that is not JSON, or for a compressed body.

    A missing content type is taken for JSON.
    """
    for name, value in headers:
        if name == b"content-type":
            if value != b"application/json":
                _require_json_type(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedContent(
                f"content encoding '{_shown(value)}' is not served here; send the body uncompressed"
            )


def _shown(value: bytes) -> str:
    return value.decode("latin-1") if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN].decode('latin-1')}…"


def _require_json_type(value: bytes) -> None:
    media = value.partition(b";")[0].strip().lower()
    if media not in (b"application/json", b"") and not media.endswith(b"+json"):
        raise UnsupportedContent(
            f"content type '{_shown(media)}' is not served here; send content-type: application/json"
        )


def version_headers(model: str, version: str) -> list[tuple[bytes, bytes]]:
    """Say which version answered."""
    return [(b"x-model-name", model.encode()), (b"x-model-version", version.encode())]


def json_headers(model: str, version: str) -> list[tuple[bytes, bytes]]:
    """Say that an answer is JSON, and which version gave it."""
    return [(b"content-type", b"application/json"), *version_headers(model, version)]
