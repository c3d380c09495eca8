"""Strict JSON for the reference path: every fault of the text is named by its byte, and repeated keys stay visible.

The typed decoders of the fast path are quicker but forgiving (the last of two equal keys wins) and terse; whatever they
doubt is read again here.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from model_manager.errors import InvalidInput

_LITERAL, _LONG_LITERAL = b"NaN", b"Infinity"
_LONE_SURROGATE = (
    "the body holds half of a surrogate pair, such as \\ud83d alone, which is no character; "
    "escape both halves, or send the character itself as UTF-8"
)
_LONGEST_EXCERPT = 40
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*"|NaN', re.DOTALL)
_BYTE_POSITION = re.compile(r"\(byte (\d+)\)")
_COLON_APART_FROM_KEY = (b" :", b"\t:", b"\n:", b"\r:")


class Infinite(float):
    """An infinity that was sent as one: a number too large for a float is read as infinity too, and is a mistake."""


class RepeatedKey(dict[str, object]):
    """A JSON object in which `key` stands more than once."""

    def __init__(self, pairs: list[tuple[str, object]], key: str) -> None:
        super().__init__(pairs)
        self.key = key


def parse(body: bytes) -> object:
    """Parse a body; an object with a repeated key comes back as RepeatedKey.

    The literals NaN, Infinity and -Infinity, which many writers make, are taken for what they say; an infinity is
    Infinite. Raises InvalidInput with the byte at which the text stops being JSON.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        msgspec.json.decode(body)
    except msgspec.ValidationError:
        # A number that no float holds, though the text may be sound: the standard library reads it as infinity, so that
        # the cell can be named. It also reads escaped lone surrogates, which nothing after it could write.
        if b"\\ud" in body.lower():
            raise InvalidInput("the body holds a number that is out of range") from None
    except msgspec.DecodeError as error:
        if _LITERAL not in body and _LONG_LITERAL not in body:
            _refuse_malformed(body, str(error))
        if b"\\ud" in body.lower() and _has_lone_surrogate(body):
            raise InvalidInput(_LONE_SURROGATE) from None
    except RecursionError:
        raise InvalidInput("the body is not served: it is nested too deeply") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise InvalidInput("the body is not served: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        at = len(error.doc[: error.pos].encode())
        raise InvalidInput(f"the body is not JSON: {error.msg} at byte {at}") from None
    except ValueError:
        raise InvalidInput(
            "the body holds an integer of thousands of digits, which no number of a model has; send what it takes"
        ) from None


def nan_as_null(body: bytes) -> bytes:
    """Write null for every literal NaN outside of strings: what it stands for, in words that every parser takes."""
    return _STRING_OR_NAN.sub(lambda found: b"null" if found[0] == _LITERAL else found[0], body)


def parse_object(body: bytes) -> dict[str, object]:
    """Parse a body that must be one JSON object without repeated keys. Raises InvalidInput."""
    document = parse(body)
    if not isinstance(document, dict):
        raise InvalidInput(f"the body must be a JSON object, got {excerpt(document)}")
    refuse_repeated_key(document, "the body")
    return document


def refuse_repeated_key(value: dict[str, object], place: str) -> None:
    """Raise InvalidInput if a key of this object stands more than once."""
    if isinstance(value, RepeatedKey):
        raise InvalidInput(f"{place}: {excerpt(value.key)} is given more than once")


def has_no_repeated_key(body: bytes, keys: int) -> bool:
    """Tell whether a decoded body of `keys` distinct keys surely repeats none; False means only that it may.

    Every key is followed by a colon, so as many colons as keys leave none for a repetition. Colons inside strings may
    spoil the first count; in the second a string's colon counts only behind an escaped quote.
    """
    if body.count(b":") == keys:
        return True
    return body.count(b'":') == keys and not any(apart in body for apart in _COLON_APART_FROM_KEY)


def excerpt(value: object) -> str:
    """Show a value in a message: short JSON for scalars, what it is for the rest."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} values" if len(value) != 1 else "a list of 1 value"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        shown = value if len(value) <= _LONGEST_EXCERPT else value[:_LONGEST_EXCERPT] + "…"
        return json.dumps(shown, ensure_ascii=False)
    text = json.dumps(value, default=repr)
    return text if len(text) <= _LONGEST_EXCERPT else text[:_LONGEST_EXCERPT] + "…"


def listing(names: Sequence[str], *, most: int = 10) -> str:
    """List names for a message, the first `most` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(excerpt(name) for name in names[:most]) + more


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    times = Counter(key for key, _ in pairs)
    return RepeatedKey(pairs, times.most_common(1)[0][0])


def _constant(name: str) -> float:
    return math.nan if name == _LITERAL.decode() else Infinite(name)


def _has_lone_surrogate(body: bytes) -> bool:
    """Whether a text is JSON but for characters that are escaped by half."""
    try:
        written = json.dumps(json.loads(body.decode()), ensure_ascii=False)
    except (ValueError, RecursionError):
        return False
    return any("\ud800" <= sign <= "\udfff" for sign in written)


def _refuse_malformed(body: bytes, message: str) -> NoReturn:
    if not body.strip():
        raise InvalidInput("the body is empty, expected a JSON object")
    if b"\\ud" in body.lower() and _has_lone_surrogate(body):
        raise InvalidInput(_LONE_SURROGATE)
    position = _BYTE_POSITION.search(message)
    if position is None:
        raise InvalidInput(f"the body is not JSON: it ends too early, at byte {len(body)}")
    fault = message[: position.start()].removeprefix("JSON is malformed: ").strip()
    at = int(position[1]) - (fault == "trailing characters")  # there msgspec counts one too many
    start = body.find(b"nan", max(0, at - 4), at + 3)  # msgspec takes the n for that of null, and reads on
    start = at if start < 0 else start
    if body[start : start + 3].lower() in (b"nan", b"inf"):
        raise InvalidInput(f"the body is not JSON at byte {start}: send null where missing; NaN and Infinity are taken")
    raise InvalidInput(f"the body is not JSON: {fault} at byte {at}")
