"""Values of V2's BYTES that declare how they are encoded: base64, or a JSON value in each string → what they stand for.

Behind the shape's check and before the column's, on the reference path: what MLServer's codecs write.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from model_manager.codecs.json_text import excerpt
from model_manager.errors import InvalidInput


def decoded(values: Sequence[object], content_type: object, place: str) -> Sequence[object]:
    """Undo the encoding that an input declares, if it is one that can be undone; a missing value stays one.

    Raises InvalidInput naming the row.
    """
    undo = _UNDONE.get(content_type) if isinstance(content_type, str) else None
    if undo is None:
        return values
    plain: list[object] = []
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{place}: row {row}: expected a string of {content_type}, got {excerpt(value)}")
        try:
            plain.append(None if value is None else undo(value))
        except ValueError as error:  # of binascii, msgspec and UTF-8 too
            raise InvalidInput(
                f"{place}: row {row}: declared to be {content_type}, and is not: {excerpt(value)}: {error}"
            ) from None
        except RecursionError:
            raise InvalidInput(f"{place}: row {row}: its {content_type} is nested too deeply") from None
    return plain


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode()
    except UnicodeEncodeError:
        raise binascii.Error("it holds letters that base64 has not") from None
    except UnicodeDecodeError:
        raise ValueError("what it encodes is no UTF-8, and a column holds text") from None


def _from_json(text: str) -> object:
    return msgspec.json.decode(text)


_UNDONE: Final[Mapping[str, Callable[[str], object]]] = {
    "base64": _from_base64,
    "pd_json": _from_json,
    "hg_json": _from_json,
}
