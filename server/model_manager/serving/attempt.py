"""One prediction that an operator tries from the admin port: the flow of every other one, counted as such; and why.

In the flow: console → **attempt** → answering, then explaining.
"""

import json
from time import perf_counter
from typing import Final

import msgspec

from model_manager.call import Call
from model_manager.serving.answering import Answering
from model_manager.serving.explaining import Explaining
from model_manager.serving.outcomes import explain

_JSON = ((b"content-type", b"application/json"),)
_COLUMNS: Final = 8
_PATIENCE_US: Final = 3_000_000
"""So long a page waits for an explanation, whatever the version allows: its answer is there already."""


class Attempt(msgspec.Struct):
    """What came of it: HTTP's code, and the body of V1's answer or a sentence about what was wrong.

    Where it was answered `explanation` is the body of `:explain`, or empty and `unexplained` says why there is none.
    """

    code: int
    body: str
    explanation: str = ""
    unexplained: str = ""


async def attempt(answering: Answering, explaining: Explaining, model: str, version: str, body: str) -> Attempt:
    """Ask one version for what a body of V1 asks for, and what moved its answer."""
    call = _call("predict", model, version)
    answer = await answering.answer(call, body.encode("utf-8", "replace"), None)
    try:
        problem = answer.problem
        if problem is not None:
            return Attempt(problem.code, problem.message)
        answered = Attempt(answer.code, answer.body.decode())
    finally:
        answer.ended()
    call = _call("explain", model, version)
    asked = {
        "instances": json.loads(body)["instances"],
        "parameters": {"top_k": _COLUMNS, "text": True, "timeout": _PATIENCE_US},
    }
    try:
        _, told = await explaining.explain(call, json.dumps(asked).encode("utf-8", "replace"))
        answered.explanation = told.decode()
    except Exception as error:
        answered.unexplained = explain(error, call.headers, call.path).message
    return answered


def _call(verb: str, model: str, version: str) -> Call:
    path = f"/v1/models/{model}/versions/{version}:{verb}"
    return Call("v1", f"/v1/models/{{model}}:{verb}", "POST", path, _JSON, model, version, perf_counter())
