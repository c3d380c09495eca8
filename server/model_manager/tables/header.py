"""Is the first line a header? Names that are there, differ, and are not values of the rows below.

Place in the flow: after records, before a column is given its name. Refuses; changes nothing.
"""

from collections.abc import Sequence
from typing import Final

from model_manager.errors import TableRefused
from model_manager.tables.columns import RawColumn, kind_of
from model_manager.tables.numbers import is_code, is_number

_WRITE_ONE: Final = "write a line with the names of the columns above it"
_YEARS: Final = range(1800, 2200)


def refuse_repeated(names: Sequence[str], line: int) -> None:
    """Raise TableRefused where two columns have one name, or none has any."""
    if not any(names):
        raise TableRefused(f"line {line} names no column; {_WRITE_ONE}")
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name and name in seen:
            raise TableRefused(
                f"line {line} names two columns {name!r} (columns {seen[name]} and {number}); rename one"
            )
        seen[name] = number


def refuse_data(columns: Sequence[RawColumn], line: int) -> None:
    """Raise TableRefused where the first line is of the same kind as the rows below it, and so one of them."""
    alike = [column.name for column in columns if _is_like(column)]
    if alike and not _counts_up(alike):
        among = ", ".join(map(repr, alike[:3])) + (", …" if len(alike) > 3 else "")
        told = f"line {line} looks like a row, not like names: it says {among} above values of the same kind"
        raise TableRefused(f"{told}; {_WRITE_ONE}, or begin such names with a letter")
    named = [column for column in columns if column.name]
    again = [column.name for column in named if column.name in column.counts]
    if all(column.kind in ("text", "empty") for column in columns) and again and len(again) * 2 >= len(named):
        told = f"line {line} looks like a row, not like names: {again[0]!r} is a value below, too"
        raise TableRefused(f"{told}; {_WRITE_ONE}")


def _is_like(column: RawColumn) -> bool:
    if not column.name or column.kind == "empty":
        return False
    if is_number(column.name):
        return column.kind in ("number", "code") or any(map(is_number, column.present))
    return column.kind in ("date", "boolean") and kind_of([column.name], ()) == column.kind


def _counts_up(names: Sequence[str]) -> bool:
    """Whether numbers are names after all: 0, 1, 2, … as pandas gives them, or years in steps."""
    if len(names) < 3 or not all(name.isascii() and name.isdigit() and not is_code(name) for name in names):
        return False
    numbers = [int(name) for name in names]
    step = numbers[1] - numbers[0]
    if step < 1 or numbers != list(range(numbers[0], numbers[-1] + 1, step)):
        return False
    return (step == 1 and numbers[0] in (0, 1)) or all(number in _YEARS for number in numbers)
