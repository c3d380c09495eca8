"""One prediction that an operator tries from the admin port: the flow of every other one, counted as such.

In the flow: console → **attempt** → answering.
"""

from time import perf_counter

import msgspec

from model_manager.call import Call
from model_manager.serving.answering import Answering

_JSON = ((b"content-type", b"application/json"),)


class Attempt(msgspec.Struct):
    """What came of it: HTTP's code, and the body of V1's answer or a sentence about what was wrong."""

    code: int
    body: str


async def attempt(answering: Answering, model: str, version: str, body: str) -> Attempt:
    """Ask one version for what a body of V1 asks for."""
    path = f"/v1/models/{model}/versions/{version}:predict"
    call = Call("v1", "/v1/models/{model}:predict", "POST", path, _JSON, model, version, perf_counter())
    answer = await answering.answer(call, body.encode("utf-8", "replace"), None)
    try:
        problem = answer.problem
        if problem is not None:
            return Attempt(problem.code, problem.message)
        return Attempt(answer.code, answer.body.decode())
    finally:
        answer.ended()
