"""Dates and times as ISO 8601 strings ⇄ counts since 1970: the one reading of them, for every protocol and path."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from model_manager.signature import Array, Moments

_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
DATES: Final = "datetime"
"""The content_type by which V2 clients and servers mark BYTES that are such strings."""

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH: Final = datetime(1970, 1, 1)
_NOT_A_TIME: Final = -(2**63)
"""The count that numpy takes for a missing one."""


def example_of(moments: Moments) -> str:
    """Write a moment as a client should."""
    return "2024-03-05T13:45:00" + ("Z" if moments.zone is not None else "")


def count_of(text: str, moments: Moments) -> int:
    """Count the units from 1970 to a moment, exactly.

    Raises ValueError with what is wrong: not ISO 8601, no such day, an offset where the estimator saw none or none
    where it saw a time zone, out of range, or finer than the unit.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError("not of that form")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    if offset is None and moments.zone is not None:
        raise ValueError(f"it needs an offset, such as Z: the model was trained on times of the zone {moments.zone}")
    if offset is not None and moments.zone is None:
        raise ValueError("it has an offset, and the model was trained on times without one")
    passed = moment - _EPOCH
    seconds = passed.days * 86_400 + passed.seconds - _offset_of(offset)
    per_second = _PER_SECOND[moments.unit]
    part, rest = divmod(int((fraction or "").ljust(9, "0")) * per_second, 10**9)
    if rest:
        raise ValueError(f"finer than the model's {moments.unit}")
    count = seconds * per_second + part
    if not _NOT_A_TIME < count < -_NOT_A_TIME:
        raise ValueError("out of range")
    return count


def block_of(texts: Sequence[str | None], moments: Moments) -> Array:
    """Store moments as a (rows,) block; None is a missing one. Raises ValueError."""
    counts = [_NOT_A_TIME if text is None else count_of(text, moments) for text in texts]
    return np.array(counts, dtype=np.int64).view(moments.dtype)


def texts_of(block: Array, moments: Moments) -> list[Any]:
    """Write a block as ISO 8601 strings; None for a missing one."""
    ending = "" if moments.zone is None else "Z"
    texts = np.datetime_as_string(block).tolist()
    return [None if text == "NaT" else text + ending for text in texts]


def _offset_of(text: str | None) -> int:
    """The seconds east of UTC. Raises ValueError for one that there is not."""
    if text is None or text == "Z":
        return 0
    zone = datetime.strptime(text, "%z").tzinfo or UTC
    offset = zone.utcoffset(None)
    assert offset is not None, "%z reads offsets"
    return int(offset.total_seconds())
