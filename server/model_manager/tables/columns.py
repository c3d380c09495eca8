"""The strings of one column → typed values: what is missing, and whether the rest are numbers, truths, dates or text.

Place in the flow: after records; roles decides afterwards which columns are worth learning from. Works on the distinct
values of a column, so that a long column of few values costs little.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from model_manager.tables.numbers import (
    DecimalMark,
    Notation,
    common_sign,
    is_code,
    is_number,
    is_plain,
    marks_that_fit,
)

Kind = Literal["number", "boolean", "text", "code", "date", "empty"]
"""What a column holds. `code`: digits that are no quantity, such as 01234, kept as text."""

_MISSING: Final = re.compile(
    r"[?.]?|--?|NA|na|N/A|n/a|<NA>|-?NaN|-?nan|NAN|None|NULL|[Nn]ull|[-+]?[Ii]nf(?:inity)?"
    r"|#N/A(?: N/A)?|#NA|-?1\.#(?:IND|QNAN)|#(?:DIV/0|REF|VALUE|NUM|NULL)!|#NAME\?"
)
"""What tools write for a value that is not there. As they write it: "Na" is sodium, "none" an answer, "Nan" a name."""
_TRUTHS: Final = {"true": True, "false": False}
_MONTH: Final = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY: Final = (
    r"(?:(?:19|20)[0-9]{2}-[01][0-9]|[0-9]{4}([-/.])[01]?[0-9]\1[0-3]?[0-9]"
    r"|[0-3]?[0-9]([-/.])[0-3]?[0-9]\2(?:[0-9]{4}|[0-9]{2})"
    rf"|[0-3]?[0-9][- ]{_MONTH}\.?,?[- ][0-9]{{2,4}}|{_MONTH}\.? [0-3]?[0-9],? [0-9]{{4}})"
)
_TIME: Final = r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?\s*(?:[ap]m)?\s*(?:Z|UTC|[-+][0-9]{2}:?[0-9]{2})?"
_DATE: Final = re.compile(rf"{_DAY}(?:(?:T|,? +){_TIME})?", re.IGNORECASE | re.ASCII)
_DAY_NUMBER: Final = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])", re.ASCII)
_MOSTLY: Final = 0.8
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """One column: `values` as fit takes them (NaN where missing), and what was decided. `missing` counts by word."""

    name: str
    kind: Kind
    values: "pd.Series[Any]"
    distinct: int
    missing: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column as it is written, the spaces around its `spaced` values taken off.

    `counts` holds its distinct values, parted into those that are `missing` and those that are `present`; `kind` and
    the decimal marks that `fits` are what the latter look like.
    """

    name: str
    cells: Sequence[str]
    spaced: int
    counts: Mapping[str, int]
    missing: Mapping[str, int]
    present: Collection[str]
    kind: Kind
    fits: tuple[DecimalMark, ...]


def raw_column(name: str, cells: Sequence[str]) -> RawColumn:
    """Take the spaces off every value, count what is left, and look at what the distinct values are."""
    stripped = [cell.strip() for cell in cells]
    counts = Counter(stripped)
    missing = {value: count for value, count in counts.items() if is_missing(value)}
    present = [value for value in counts if value not in missing]
    fits = marks_that_fit(present)
    spaced = sum(map(str.__ne__, cells, stripped))
    return RawColumn(name, stripped, spaced, counts, missing, present, kind_of(present, fits), fits)


def is_missing(value: str) -> bool:
    """Whether a value stands for "not known": empty, or one of the words that tools write for it."""
    return _MISSING.fullmatch(value) is not None


def kind_of(values: Collection[str], fits: tuple[DecimalMark, ...]) -> Kind:
    """Say what distinct values, none of them missing, are; `fits` are the decimal marks with which they are numbers."""
    if not values:
        return "empty"
    if all(value.lower() in _TRUTHS for value in values):
        return "boolean"
    if all(map(_DAY_NUMBER.fullmatch, values)) or all(map(_DATE.fullmatch, values)):
        return "date"
    if not fits:
        return "text"
    return "code" if any(map(is_code, values)) else "number"


def typed_column(raw: RawColumn, lines: Sequence[int], *, mark: DecimalMark, ambiguous_is_news: bool) -> TypedColumn:
    """Convert one column; `mark` is the file's decimal mark, for values that could be read either way."""
    present, kind, fits = raw.present, raw.kind, raw.fits
    notes: list[str] = []
    into: dict[str, Any] = {value: value for value in present}
    dtype: Any = object
    if kind == "boolean":
        into = {value: _TRUTHS[value.lower()] for value in present}
        dtype = np.float64 if raw.missing else np.bool_
    elif kind == "number":
        notation = Notation(mark if mark in fits else fits[0], common_sign(present))
        into = notation.parse_all(present)
        dtype = np.int64 if not raw.missing and all(map(notation.is_whole, present)) else np.float64
        notes += _told_of_notation(into, unsure=ambiguous_is_news and len(fits) > 1)
    elif kind == "code":
        notes.append(_told_of_codes(present))
    elif kind == "text":
        notes += _told_of_mixture(raw, present, lines)
    else:
        dtype = np.float64 if kind == "empty" else object
    filled = {**into, **dict.fromkeys(raw.missing, np.nan)}
    values = pd.Series([filled[cell] for cell in raw.cells], name=raw.name, dtype=dtype)
    return TypedColumn(raw.name, kind, values, len(set(into.values())), dict(raw.missing), tuple(notes))


def _told_of_notation(into: Mapping[str, float], *, unsure: bool) -> list[str]:
    """Say how a number is read that float() would not read, or otherwise."""
    for text, value in into.items():
        if not is_plain(text, value):
            return [f"{text!r} is read as {value:.15g}"]
        if unsure and "." in text:
            return [f"{text!r} is read as {value:.15g}; nothing in the file tells whether its point parts thousands"]
    return []


def _told_of_codes(values: Collection[str]) -> str:
    example = next(filter(is_code, values))
    why = "leading zeros" if example.lstrip("+-").startswith("0") else "more digits than a number keeps"
    return f"{why} ({example!r}): kept as text"


def _told_of_mixture(raw: RawColumn, values: Collection[str], lines: Sequence[int]) -> list[str]:
    """Warn of text that is nearly all numbers: one typing error changes what a whole column means."""
    others = [value for value in values if not is_number(value)]
    total = sum(raw.counts[value] for value in values)
    odd = sum(raw.counts[value] for value in others)
    if not others or 1 - odd / total < _MOSTLY:
        return []
    line = lines[raw.cells.index(others[0])]
    shown = ", ".join(map(repr, others[:_SHOWN])) + (", …" if len(others) > _SHOWN else "")
    return [f"read as text, though {total - odd:,} of {total:,} values are numbers: {shown}, the first on line {line}"]
