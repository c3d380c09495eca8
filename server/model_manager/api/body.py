"""Read a request body, checked for its size before and while it arrives; one await when it is already there."""

from typing import Final

from starlette.types import Receive

from model_manager.call import Headers
from model_manager.errors import BodyTooLarge, ClientGone

SMALL_BODY: Final = 64 * 1024
"""The most bytes of a body that holds no rows."""


async def read_body(headers: Headers, receive: Receive, *, limit: int) -> bytes:
    """Return the whole body.

    Raises BodyTooLarge, before anything is read where the declared length is over `limit` bytes, else as soon as more
    came; ClientGone on a disconnect.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise body_too_large(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise _gone()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise body_too_large(limit)
        return body
    chunks = [body]
    size = len(body)
    while message.get("more_body", False):
        if size > limit:
            raise body_too_large(limit)
        message = await receive()
        if message["type"] != "http.request":
            raise _gone()
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
    if size > limit:
        raise body_too_large(limit)
    return b"".join(chunks)


def body_too_large(limit: int) -> BodyTooLarge:
    """What is raised for more bytes than `limit`."""
    hint = "" if limit == SMALL_BODY else " (max_body_bytes); send fewer rows per request"
    return BodyTooLarge(f"the body is larger than {limit} bytes{hint}")


def _gone() -> ClientGone:
    return ClientGone("the client left before its request was whole")
