"""What went wrong → a gRPC status. The codes that metrics count by are HTTP's, in serving.outcomes."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import quote

import grpc

from model_manager.serving.outcomes import Problem
from model_manager.serving.servable import Servable

STATUS: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_MOST_SAID: Final = 4096  # bytes on the wire; clients take 8 KiB of metadata altogether
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


async def refuse(context: Any, problem: Problem, servable: Servable | None = None) -> NoReturn:
    """End a call with a problem; it names the version that it is one of, if any."""
    metadata = [("x-request-id", problem.request_id)]
    if problem.retry_after_s is not None:
        metadata += [
            ("retry-after", str(problem.retry_after_s)),
            ("grpc-retry-pushback-ms", str(problem.retry_after_s * 1000)),  # what a client's retry policy reads
        ]
    if servable is not None:
        metadata += [("x-model-name", servable.id.model), ("x-model-version", servable.id.version)]
    await context.abort(STATUS[problem.code], shortened(problem.message), tuple(metadata))
    raise AssertionError("abort raises")


def shortened(message: str) -> str:
    """Cut a message to what gRPC carries: all but printable ASCII takes three bytes for each of its own."""
    if len(message) * 12 <= _MOST_SAID or len(quote(message, safe=_PLAIN)) <= _MOST_SAID:
        return message
    kept, size = 0, 0
    for character in message:
        size += len(quote(character, safe=_PLAIN))
        if size > _MOST_SAID:
            break
        kept += 1
    return message[:kept] + "…"
