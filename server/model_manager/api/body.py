"""Read a request body: checked for type before, for size while it arrives; one await when it is already there."""

from collections.abc import Iterable

from starlette.types import Receive

from model_manager.errors import BodyTooLarge, UnsupportedContent


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


def check_content(headers: Iterable[tuple[bytes, bytes]], *, limit: int) -> None:
    """Refuse from the headers alone what need not be read.

    Raises UnsupportedContent for a declared type that is not JSON or for a compressed body, BodyTooLarge for a
    declared length over `limit` bytes. A missing content type is taken for JSON.
    """
    for name, value in headers:
        if name == b"content-type":
            media = value.partition(b";")[0].strip().lower()
            if media not in (b"application/json", b"") and not media.endswith(b"+json"):
                raise UnsupportedContent(
                    f"content type '{media.decode('latin-1')}' is not served here; send content-type: application/json"
                )
        elif name == b"content-length":
            if value.isdigit() and int(value) > limit:
                raise _too_large(limit)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedContent(
                f"content encoding '{value.decode('latin-1')}' is not served here; send the body uncompressed"
            )


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """Return the whole body.

    Raises BodyTooLarge as soon as more than `limit` bytes came, ClientGone on a disconnect.
    """
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    chunks = [body]
    size = len(body)
    while message.get("more_body", False):
        if size > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes (max_body_bytes); send fewer rows per request")
