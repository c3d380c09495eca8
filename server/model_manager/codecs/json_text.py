"""Strict JSON for the reference path: every fault of the text is named by its byte, and repeated keys stay visible.

The typed decoders of the fast path are quicker but forgiving (the last of two equal keys wins) and terse; whatever they
doubt is read again here.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from model_manager.errors import InvalidInput

_LONGEST_EXCERPT = 40
_BYTE_POSITION = re.compile(r"\(byte (\d+)\)")
_COLON_APART_FROM_KEY = (b" :", b"\t:", b"\n:", b"\r:")


class RepeatedKey(dict[str, object]):
    """A JSON object in which `key` stands more than once."""

    def __init__(self, pairs: list[tuple[str, object]], key: str) -> None:
        super().__init__(pairs)
        self.key = key


def parse(body: bytes) -> object:
    """Parse a body; an object with a repeated key comes back as RepeatedKey.

    Raises InvalidInput with the byte at which the text stops being JSON.
    """
    try:
        body.decode()
        msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except msgspec.ValidationError:
        # A number that no float holds, though the text may be sound: the standard library reads it as infinity, so that
        # the cell can be named. It also reads escaped lone surrogates, which nothing after it could write.
        if b"\\ud" in body.lower():
            raise InvalidInput("the body holds a number that is out of range") from None
    except msgspec.DecodeError as error:
        _refuse_malformed(body, str(error))
    except RecursionError:
        raise InvalidInput("the body is not served: it is nested too deeply") from None
    try:
        return json.loads(body, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput("the body is not served: it is nested too deeply") from None
    except ValueError as error:
        # Only reached behind a number out of range, so the first fault may as well be that number.
        raise InvalidInput(f"the body holds a number that is out of range, or is not JSON: {error}") from None


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


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"the body is not JSON: it holds {name}; send null where missing")


def _refuse_malformed(body: bytes, message: str) -> NoReturn:
    if not body.strip():
        raise InvalidInput("the body is empty, expected a JSON object")
    position = _BYTE_POSITION.search(message)
    if position is None:
        raise InvalidInput(f"the body is not JSON: it ends too early, at byte {len(body)}")
    fault = message[: position.start()].removeprefix("JSON is malformed: ").strip()
    at = int(position[1]) - (fault == "trailing characters")  # there msgspec counts one too many
    if body[at : at + 3].lower() in (b"nan", b"inf"):
        raise InvalidInput(f"the body is not JSON at byte {at}: NaN and Infinity are not JSON; send null where missing")
    raise InvalidInput(f"the body is not JSON: {fault} at byte {at}")
