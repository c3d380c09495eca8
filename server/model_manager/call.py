"""One call for a prediction, as any protocol puts it: what the flow and whoever observes it need to know of it.

In the flow: connection, ASGI or gRPC → adapter → **call** → serving.answering. Below every room, so that codecs and
traces read a call's headers without knowing where they came from.
"""

import uuid
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values; HTTP's headers, or another protocol's metadata."""


class Call(msgspec.Struct, gc=False):  # made for every request, and in no cycle
    """What is asked, and by which way it came.

    `protocol` names the codec. `route` is the path with the names of its parts in it, which is what traces and logs
    group by; `method` and `path` are as they came. `version` is None where the caller leaves the choice to the model.
    `began` is when it arrived, in perf_counter seconds. `client` is the id of its API key, never the key; empty where
    none was asked for.
    """

    protocol: str
    route: str
    method: str
    path: str
    headers: Headers
    model: str
    version: str | None
    began: float
    client: str = ""


def sent_request_id(headers: Headers) -> str | None:
    """The caller's x-request-id, which a mesh sets."""
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode("latin-1")
    return None


def request_id(headers: Headers) -> str:
    """The caller's x-request-id, or a new one."""
    return sent_request_id(headers) or uuid.uuid4().hex
