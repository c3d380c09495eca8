"""`:explain`: V1's bodies → rows and how to explain them; contributions → JSON, and sentences for people.

Beside v1.py, whose `instances`, columnar `inputs` and `outputs` it takes. KServe says `predictions` and `explanations`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from model_manager.call import Headers
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds
from model_manager.codecs.content import json_headers, require_json
from model_manager.codecs.json_text import excerpt, listing, parse_object, refuse_repeated_key
from model_manager.codecs.outputs import encode_json
from model_manager.codecs.parameters import check_request_parameters
from model_manager.codecs.v1 import V1Codec
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Layout, Output, Rows, Signature

_OWN: Final = ("top_k", "text", "class")
_WHOSE: Final[Mapping[str, str]] = {
    "probability": "the chance of {}",
    "log-odds": "the log-odds of {}",
    "score": "the score of {}",
    "value": "the answer",
}
_LONGEST: Final = 60


class Wish(msgspec.Struct, frozen=True):
    """How an explanation is wanted: so many columns, the largest first (None: all); sentences; of which class.

    `label` is None where each row is to be explained for the class that it was given.
    """

    top_k: int | None = None
    text: bool = False
    label: str | int | float | bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows to explain, and how."""

    rows: Rows
    wish: Wish
    timeout_s: float | None
    priority: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """What explains the answers to rows: `answers` (rows, outputs) are `base` (outputs,) + the sum of `contributions`.

    `contributions`: (rows, columns, outputs), in what `unit` says; `method` says how they were found.
    """

    output: Output
    unit: str
    method: str
    base: Array
    contributions: Array
    answers: Array


def wish_of(parameters: Mapping[str, object], *, all_known: bool = False) -> Wish:
    """Read how an explanation is wanted. Raises InvalidInput; for any other parameter too, if `all_known`."""
    top_k, text, label = (parameters.get(name) for name in _OWN)
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
        raise InvalidInput(f"parameters: top_k: expected how many columns, from 1, got {excerpt(top_k)}")
    if not isinstance(text, bool | None):
        raise InvalidInput(f"parameters: text: expected true or false, got {excerpt(text)}")
    if label is not None and not isinstance(label, str | int | float):
        raise InvalidInput(f"parameters: class: expected one of the model's classes, got {excerpt(label)}")
    for name in parameters:
        if all_known and name not in _OWN:
            raise InvalidInput(f"parameters: {excerpt(name)} is not known here; known: {listing(_OWN)}")
    return Wish(top_k, bool(text), label)


class ExplainCodec:
    """Decode bodies of `:explain`, and encode what explains their answers, for one version."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._v1 = V1Codec(signature, max_rows=max_rows, model=model, version=version)
        self._bounds = Bounds(signature, max_rows=max_rows)
        self._max_rows = max_rows
        self._classes = next((output.classes for output in signature.offered if output.classes), ())
        self.headers: Headers = json_headers(model, version)

    def decode(self, headers: Headers, body: bytes) -> Asked:
        """Decode a body. Raises InvalidInput naming row and column or parameter, UnsupportedContent as V1 does."""
        require_json(headers, body)
        if len(body) > SMALLEST_COUNTED:
            self._bounds.check(body)
        document = parse_object(body)
        given = [key for key in ("instances", "inputs") if key in document]
        if len(given) != 1:
            has = "has both" if given else "has neither"
            raise InvalidInput(f'the body {has} of "instances" (a list of rows) and "inputs" (columns); send one')
        for name in ("outputs", "signature_name"):
            if document.get(name) not in (None, "serving_default"):
                raise InvalidInput(f"{name}: what is explained is not chosen; ask :predict for other outputs")
        parameters = document.get("parameters")
        wish = Wish()
        if isinstance(parameters, dict):
            refuse_repeated_key(parameters, "parameters")
            wish = wish_of(parameters)
            parameters = {name: value for name, value in parameters.items() if name not in _OWN}
        timeout_s, priority = check_request_parameters(parameters, None)
        value = document[given[0]]
        if isinstance(value, list) and len(value) > self._max_rows:
            raise InvalidInput(f"{given[0]}: {len(value)} rows, and {self._max_rows} are explained at once; send fewer")
        return Asked(self._v1.read_rows(value, given[0]), wish, timeout_s, priority)

    def encode(self, asked: Asked, found: Found, predictions: Array) -> bytes:
        """Encode the answers and what explains each. Raises InvalidInput for a class that the model has not."""
        told = {
            "predictions": predictions.tolist(),
            "explanations": self.explanations(asked.rows, asked.wish, found),
            "explained": {"output": found.output.name, "unit": found.unit, "method": found.method},
        }
        return encode_json(told)

    def explanations(self, rows: Rows, wish: Wish, found: Found) -> list[dict[str, Any]]:
        """What explains each row, as plain values."""
        classes = self._classes
        base, contributions, answers = found.base, found.contributions, found.answers
        if len(classes) == 2 and len(base) == 1:  # one number tells of both: for the first class with the other sign
            base, answers = np.r_[-base, base], np.concatenate([-answers, answers], axis=1)
            contributions = np.concatenate([-contributions, contributions], axis=2)
        several = len(base) > 1
        chosen = self._chosen(classes, wish.label, answers) if several else np.zeros(len(rows), dtype=np.intp)
        if wish.label is not None and not several:
            raise InvalidInput("parameters: class: what is explained of this model is one number; leave class out")
        return [
            self._explanation(row, rows, wish, found.unit, classes[at] if several else None, base[at],
                              contributions[row, :, at], answers[row, at])
            for row, at in enumerate(chosen.tolist())
        ]  # fmt: skip

    def _chosen(self, classes: Sequence[object], label: object, answers: Array) -> Array:
        if label is None:
            return np.asarray(answers.argmax(axis=1))
        for at, known in enumerate(classes):
            if known == label and isinstance(known, bool) == isinstance(label, bool):
                return np.full(len(answers), at)
        raise InvalidInput(
            f"parameters: class: {excerpt(label)} is no class of this model; known: {listing(tuple(map(str, classes)))}"
        )

    def _explanation(
        self, row: int, rows: Rows, wish: Wish, unit: str, label: object, base: float, moved: Array, answer: float
    ) -> dict[str, Any]:
        order = np.argsort(-np.abs(moved), kind="stable")
        shown = order if wish.top_k is None else order[: wish.top_k]
        columns = self._signature.columns or ()
        parts = [
            {"column": columns[at].name, "value": self._value(rows, row, at), "contribution": float(moved[at])}
            for at in shown.tolist()
        ]
        told: dict[str, Any] = {} if label is None else {"class": label}
        told |= {"base": float(base), "contributions": parts}
        if len(shown) < len(order):
            told["others"] = float(moved[order[len(shown) :]].sum())
        told["answer"] = float(answer)
        if wish.text:
            told["text"] = [sentence(part, unit, label) for part in parts if f"{part['contribution']:.3g}" != "0"]
        return told

    def _value(self, rows: Rows, row: int, column: int) -> object:
        """A value as the client may have sent it; null where it is missing."""
        framed = self._signature.layout is Layout.FRAME
        value = rows.blocks[column][row] if framed else rows.blocks[0][row, column]
        if isinstance(value, np.datetime64):
            return None if np.isnat(value) else str(value)
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return None if isinstance(value, float) and value != value else value


def sentence(part: Mapping[str, Any], unit: str, label: object) -> str:
    """What one column did, for people: "tenure_months = 2 raised the chance of yes by 0.21"."""
    value, moved = part["value"], part["contribution"]
    what = f"{part['column']} is missing, which" if value is None else f"{part['column']} = {_shown(value)}"
    whose = _WHOSE[unit].format(_shown(label))
    if label is None and unit != "value":
        whose = "the score"
    return f"{what} {'raised' if moved > 0 else 'lowered'} {whose} by {abs(moved):.2g}"


def _shown(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
