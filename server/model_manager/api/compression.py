"""Bodies as HTTP compresses them: those of requests are inflated within bounds, large answers deflated where taken.

Around the flow of a prediction, which knows plain bytes only. On a thread, since zlib lets go of the interpreter.
"""

import asyncio
import zlib
from typing import Final

from model_manager.api.body import body_too_large
from model_manager.call import Headers
from model_manager.errors import InvalidInput, UnsupportedContent
from model_manager.serving.answering import Answer

_EITHER: Final = zlib.MAX_WBITS | 32  # a gzip header or zlib's
_GZIP: Final = zlib.MAX_WBITS | 16
_QUICK: Final = 1  # numbers hardly get smaller at higher levels, and take three times as long
_WINDOWS: Final = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": zlib.MAX_WBITS}
_MOST_CODINGS: Final = 16


async def plain_body(headers: Headers, body: bytes, *, limit: int) -> tuple[Headers, bytes]:
    """A request's headers and body, without the encoding that they say it has, if any.

    Raises UnsupportedContent for an encoding that is not taken, InvalidInput for bytes that are not in it, BodyTooLarge
    as soon as more than `limit` bytes came out.
    """
    codings = b",".join([value for name, value in headers if name == b"content-encoding"]).lower().split(b",")
    codings = [coding.strip() for coding in codings if coding.strip() not in (b"", b"identity")]
    if not codings:
        return headers, body
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        shown = b", ".join(codings)[:100].decode("latin-1")
        raise UnsupportedContent(
            f"content encoding '{shown}' is not served here; send one of gzip and deflate, or none"
        )
    body = await asyncio.to_thread(inflated, body, limit=limit, coding=codings[0].decode())
    return [pair for pair in headers if pair[0] not in (b"content-encoding", b"content-length")], body


def inflated(body: bytes, *, limit: int, coding: str) -> bytes:
    """Inflate gzip, of one part or several, or deflate, with zlib's header or bare, as clients send both.

    Raises InvalidInput for bytes that are neither, or end too early; BodyTooLarge beyond `limit` bytes, of which no
    more are ever made.
    """
    parts: list[bytes] = []
    left = limit
    while body:
        bare = coding == "deflate" and not parts and not _has_zlib_header(body)
        stream = zlib.decompressobj(-zlib.MAX_WBITS if bare else _EITHER)
        try:
            parts.append(stream.decompress(body, left + 1))
        except zlib.error as error:
            raise InvalidInput(f"the body is declared to be {coding}, and is not: {str(error)[:100]}") from None
        left -= len(parts[-1])
        if left < 0:
            raise body_too_large(limit)
        if not stream.eof:
            raise InvalidInput(f"the body is declared to be {coding}, and ends before that does")
        body = stream.unused_data
    return b"".join(parts)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


async def compress(answer: Answer) -> None:
    """Deflate an answer's body in place, if its caller says that it takes that."""
    coding = accepted(answer.call.headers)
    if coding is not None:
        answer.body = await asyncio.to_thread(_deflated, answer.body, _WINDOWS[coding])
        answer.headers = [*answer.headers, (b"content-encoding", coding), (b"vary", b"accept-encoding")]


def accepted(headers: Headers) -> bytes | None:
    """The encoding that a client likes best of those made here, by its Accept-Encoding; None: send it plain."""
    said = b",".join([value for name, value in headers if name == b"accept-encoding"])
    weights = {} if not said else dict(map(_weighed, said.lower().split(b",")[:_MOST_CODINGS]))
    others = weights.get(b"*", 0.0)
    best = max((b"gzip", b"deflate"), key=lambda coding: weights.get(coding, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get(b"identity", 0.0) else None


def _weighed(coding: bytes) -> tuple[bytes, float]:
    """One of Accept-Encoding's codings, and its weight; 0 where that is no number."""
    name, _, parameters = coding.partition(b";")
    key, _, value = parameters.partition(b"=")
    if key.strip() != b"q":
        return name.strip(), 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), 0.0


def _deflated(body: bytes, window: int) -> bytes:
    stream = zlib.compressobj(_QUICK, wbits=window)
    return stream.compress(body) + stream.flush()
