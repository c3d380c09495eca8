"""Written numbers → floats: decimal commas, thousands separators, signs of currency, decided for the whole file.

Place in the flow: columns asks here whether all values of a column are numbers, and in which notation.
"""

import contextlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

DecimalMark = Literal[".", ","]

_EXPONENT: Final = r"(?:[eE](?:\+?[012]?[0-9]{1,2}|-[0-9]{1,3}))?"  # none that ends at infinity
_SPACES: Final = " \u00a0\u202f'’"


def _pattern(mark: str, group: str) -> re.Pattern[str]:
    mark, group = re.escape(mark), re.escape(group)
    grouped = rf"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[1-9][0-9]{{0,2}}(?:[{_SPACES}][0-9]{{3}})+"
    return re.compile(rf"[-+]?(?:(?:{grouped}|[0-9]+)(?:{mark}[0-9]*)?|{mark}[0-9]+){_EXPONENT}", re.ASCII)


_PATTERNS: Final[dict[DecimalMark, re.Pattern[str]]] = {".": _pattern(".", ","), ",": _pattern(",", ".")}
_SPACED: Final = re.compile(rf"[-+]?[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})+", re.ASCII)
_SIGNS: Final = ("$", "€", "£", "¥", "%")
_EXACT_DIGITS: Final = 15
"""A float holds every whole number of so many digits."""
_CODE: Final = re.compile(rf"[-+]?0[0-9]|[0-9]{{{_EXACT_DIGITS + 1},}}\Z", re.ASCII)
_EXACT_BELOW: Final = 2.0**53


_TO_PLAIN: Final[dict[DecimalMark, dict[int, str]]] = {
    ".": str.maketrans(dict.fromkeys("," + _SPACES, "")),
    ",": str.maketrans({**dict.fromkeys("." + _SPACES, ""), ",": "."}),
}


@dataclass(frozen=True, slots=True)
class Notation:
    """How the numbers of one column are written: `sign` is taken off every value first."""

    mark: DecimalMark
    sign: str = ""

    def parse(self, value: str) -> float:
        """Read one number that is written in this notation."""
        bare = value.replace(self.sign, "") if self.sign else value
        return float(bare.translate(_TO_PLAIN[self.mark]))

    def is_whole(self, value: str) -> bool:
        """Whether a number is written as a whole one, and int64 and float64 hold it alike."""
        return not set(value) & {self.mark, "e", "E"} and abs(self.parse(value)) < _EXACT_BELOW

    def parse_all(self, values: Collection[str]) -> dict[str, float]:
        """Read numbers that are all written in this notation, at once where float() does."""
        if self.mark == "." and not self.sign:
            with contextlib.suppress(ValueError):
                return {value: float(value) for value in values}
        return {value: self.parse(value) for value in values}


def is_plain(value: str, number: float) -> bool:
    """Whether float() also reads a value as this number."""
    try:
        return float(value) == number
    except ValueError:
        return False


def common_sign(values: Collection[str]) -> str:
    """Find the one currency or percent sign that every value begins or ends with; empty if there is none."""
    for sign in _SIGNS:
        if all(value.startswith((sign, "-" + sign)) or value.endswith(sign) for value in values):
            return sign
    return ""


def marks_that_fit(values: Collection[str]) -> tuple[DecimalMark, ...]:
    """Say with which decimal marks all values are numbers: both where nothing tells, none where some value is none."""
    if not values:
        return ()
    sign = common_sign(values)
    bare = [value.replace(sign, "").strip() for value in values] if sign else values
    if _are_spaced_codes(bare):
        return ()
    return tuple(mark for mark, pattern in _PATTERNS.items() if all(map(pattern.fullmatch, bare)))


def decide_mark(columns: Iterable[tuple[Collection[str], tuple[DecimalMark, ...]]], *, separator: str) -> DecimalMark:
    """Choose the decimal mark of a file: the one its unambiguous columns prove, else what its separator suggests.

    A column is its distinct values and the marks that fit them all.
    """
    proven: set[DecimalMark] = set()
    ambiguous_comma = False
    for values, fits in columns:
        if not fits:
            continue
        marked = [value for value in values if "," in value or "." in value]
        if len(fits) == 1 and marked:
            proven.add(fits[0])
        else:
            ambiguous_comma |= any("," in value for value in marked)
    if len(proven) == 1:
        return proven.pop()
    return "," if separator == ";" and ambiguous_comma else "."


def is_code(value: str) -> bool:
    """Whether a written number would lose something as a float: leading zeros, or the last of too many digits."""
    return _CODE.match(value) is not None


def is_number(value: str) -> bool:
    """Whether a value is a number with one decimal mark or the other."""
    return any(pattern.fullmatch(value) for pattern in _PATTERNS.values())


def _are_spaced_codes(values: Collection[str]) -> bool:
    """Digits in groups of three and all of one length are numbers to dial, not to count with."""
    if not all(map(_SPACED.fullmatch, values)):
        return False
    return len(values) > 1 and len({len(value) for value in values}) == 1
