"""What a connection refuses, and how it says so where no route could be asked: `{"error": …}`, and the end of it."""

from collections.abc import Iterable
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from model_manager.errors import BodyTimedOut, BodyTooLarge, InvalidInput, ReceivingTooMuch

MOST_TARGET_BYTES: Final = 8192


class Refusal(Exception):
    """Raised while a head is read: a code, and what the client is told.

    What is not spoken here is 400 too, and not 501 or 505: a 5xx counts against a rollout, which no client should stop.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def written(refusal: Refusal, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of the answer, with the headers that every answer has."""
    body = msgspec.json.encode({"error": refusal.message})
    lines = [b"%b: %b\r\n" % header for header in headers]
    if refusal.code == 503:
        lines.append(b"retry-after: 1\r\n")
    lines.append(b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body))
    return b"".join((STATUS_LINE[refusal.code], *lines, body))


def target_too_long() -> Refusal:
    """Of a request line."""
    return Refusal(414, f"the request's target is longer than {MOST_TARGET_BYTES} bytes")


def too_long(target: bytes, limit: int) -> Refusal:
    """Of a head that is not over; `target` is what there is of its target, if there is nothing beyond it."""
    if len(target) > MOST_TARGET_BYTES:
        return target_too_long()
    return Refusal(431, f"the headers are longer than {limit} bytes (max_header_bytes)")


def too_many_headers(most: int) -> Refusal:
    """Of a head, whether it is over or not."""
    return Refusal(431, f"more than {most} headers (max_headers)")


def receiving_too_much() -> Exception:
    """What the app answers for the largest body under way."""
    return ReceivingTooMuch("too many bytes of bodies are on their way here (max_receiving_bytes); try again")


def body_too_late() -> Exception:
    """What the app answers for a body that stalls or drips."""
    return BodyTimedOut("the body did not arrive in time (body_timeout_s)")


def too_much_beside() -> Exception:
    """What the app answers for what surrounds a body's chunks."""
    return InvalidInput("too many bytes of chunk extensions or trailers (max_header_bytes)")


def chunks_too_small() -> Exception:
    """What the app answers for a body of which next to nothing is one."""
    return BodyTooLarge("the body with its chunks is far larger than max_body_bytes; send larger chunks")
