"""V2's output `explanation`: taken out of a request before it is read as any other, and put behind what that answers.

In the flow: serving.explaining → **here** and v2.py → serving.explaining. It is a tensor of BYTES, a string of JSON for
each row: what `:explain` answers under `explanations`. Its `parameters` are those of `:explain`, too.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from model_manager.call import Headers
from model_manager.codecs.json_text import parse_object, refuse_repeated_key
from model_manager.codecs.outputs import encode_json
from model_manager.codecs.v2_answers import tensor_text
from model_manager.codecs.v2_binary import LENGTH_HEADER, json_length
from model_manager.errors import InvalidInput

EXPLANATION: Final = "explanation"
_OUTPUTS: Final = b',"outputs":['


class Taken(NamedTuple):
    """A request without the output; its parameters; whether it was the only one that was asked for."""

    headers: Headers
    body: bytes
    parameters: Mapping[str, object]
    alone: bool


def take_explanation(headers: Headers, body: bytes, default: str) -> Taken | None:
    """Take the output out of a request, or give None where none is asked for; `default` stands in for it alone.

    Raises InvalidInput for a body that is no JSON, or asks for it twice.
    """
    length = json_length(headers, len(body))
    text, tail = (body, b"") if length is None else (body[:length], body[length:])
    if not text:
        return None
    document = parse_object(text)
    outputs = document.get("outputs")
    if not isinstance(outputs, list):
        return None
    asked = [one for one in outputs if isinstance(one, dict) and one.get("name") == EXPLANATION]
    if not asked:
        return None
    if len(asked) > 1:
        raise InvalidInput(f'outputs: "{EXPLANATION}" is asked for more than once')
    refuse_repeated_key(document, "the body")
    refuse_repeated_key(asked[0], f'output "{EXPLANATION}"')
    parameters = asked[0].get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f'output "{EXPLANATION}": parameters: expected an object')
    refuse_repeated_key(parameters, f'output "{EXPLANATION}": parameters')
    others = [one for one in outputs if one is not asked[0]]
    text = encode_json({**document, "outputs": others or [{"name": default}]})
    if length is not None:
        headers = [pair if pair[0] != LENGTH_HEADER else (LENGTH_HEADER, b"%d" % len(text)) for pair in headers]
    return Taken(headers, text + tail, parameters, not others)


def put_explanation(answer: bytes, explanations: list[dict[str, Any]], *, alone: bool) -> bytes:
    """Put the output behind those of an answer that is all JSON, or in their place if it is `alone`."""
    texts = np.array([encode_json(one).decode() for one in explanations], dtype=object)
    tensor = b'{"name":"%b"' % EXPLANATION.encode() + tensor_text(texts)
    if alone:
        return answer[: answer.index(_OUTPUTS)] + _OUTPUTS + tensor + b"]}"
    return answer[:-2] + b"," + tensor + b"]}"
