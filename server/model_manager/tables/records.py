"""Text → a header and rows of values, all of one width, each with the line it begins on.

Place in the flow: after text; header and columns look at what the values mean. Values are exactly those of the file.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from model_manager.errors import TableRefused
from model_manager.tables.dialect import SEPARATORS, Dialect, choose_dialect

_COMMENT: Final = "#"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Records:
    """A header and its rows; `lines` says on which physical line, from 1, each row begins."""

    header: tuple[str, ...]
    header_line: int
    rows: list[tuple[str, ...]]
    lines: list[int]
    dialect: Dialect
    comments: tuple[int, ...]
    notes: tuple[str, ...]


_Record: TypeAlias = tuple[int, tuple[str, ...]]
"""The line a record begins on, and its values: plain tuples, which the garbage collector does not visit again."""


def read_records(text: str) -> Records:
    """Part a text into records: a header, and rows that are as wide.

    Comments, blank lines, rows of empty values and repetitions of the header are left out, and said so. Raises
    TableRefused with the line: rows of another width, quotes that do not fit together, nothing to read.
    """
    lines = list(io.StringIO(text, newline=""))  # every kind of line end, kept
    told = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    skipped = 1 if told else 0
    content = lines[skipped:]
    filled = [line for line in content if line.strip()]
    if not filled:
        raise TableRefused("it is empty")
    if all(line.startswith(_COMMENT) for line in filled):
        raise TableRefused("it holds comments only: every line begins with #")
    comments = _Comments(filled)
    dialect = Dialect(told[1]) if told else choose_dialect(comments.without(content))
    header, *body = _parted(content, dialect, comments, first_line=skipped + 1)
    comments.refuse_doubtful(dialect, header)
    kept, notes = _without_idle_rows(header, body)
    _refuse_other_widths(header, kept, dialect)
    if not kept:
        raise TableRefused(f"it has a header ({_excerpt(', '.join(header[1]))}) and no rows")
    if comments.lines:
        count, first = len(comments.lines), comments.lines[0]
        notes.insert(0, f"{_count(count, 'line')} beginning with # left out as comments, the first is line {first}")
    return Records(
        header=header[1],
        header_line=header[0],
        rows=[values for _, values in kept],
        lines=[line for line, _ in kept],
        dialect=dialect,
        comments=tuple(comments.lines),
        notes=tuple(notes),
    )


class _Comments:
    """Which lines are comments: those that begin with #, unless half of all do, as colours or hash tags would."""

    def __init__(self, lines: Sequence[str]) -> None:
        marked = sum(line.startswith(_COMMENT) for line in lines)
        self.possible = marked * 2 < len(lines)
        self.lines: list[int] = []
        self._texts: list[str] = []

    def is_one(self, line: str) -> bool:
        return self.possible and line.startswith(_COMMENT)

    def without(self, lines: Sequence[str]) -> list[str]:
        """Leave out what looks like a comment, even within quotes: good enough to choose a dialect by."""
        return [line for line in lines if not self.is_one(line)]

    def note(self, number: int, line: str) -> None:
        self.lines.append(number)
        self._texts.append(line)

    def refuse_doubtful(self, dialect: Dialect, header: _Record) -> None:
        """Refuse a comment that could be a row or the header: it has just as many values."""
        width = len(header[1])
        if width < 2:
            return
        for number, line in zip(self.lines, self._texts, strict=True):
            try:
                values = next(dialect.reader([line]))
            except csv.Error:
                continue
            if len(values) == width:
                what = "the header" if number < header[0] else "a row"
                message = f"line {number} begins with # and has as many values as the others ({_excerpt(line.strip())})"
                raise TableRefused(f"{message}: if it is {what}, take the # away or quote the value; else delete it")


def _parted(lines: Sequence[str], dialect: Dialect, comments: _Comments, *, first_line: int) -> Iterator[_Record]:
    """Yield what is neither blank nor a comment; a # within quotes is a value."""
    number = first_line - 1
    began = 0  # the line of the record that is being read; 0 between two

    def feed() -> Iterator[str]:
        nonlocal number, began
        for line in lines:
            number += 1
            if not began and comments.is_one(line):
                comments.note(number, line)
                continue
            began = began or number
            yield line

    reader = dialect.reader(feed())
    while True:
        began = 0
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise _unreadable(str(error), began, number) from error
        if values is None:
            return
        if values:
            yield began, tuple(values)


def _unreadable(error: str, began: int, now: int) -> TableRefused:
    if "end of data" in error:
        return TableRefused(f"line {began}: a quote is opened and never closed")
    if "field limit" in error:
        return TableRefused(
            f"line {began}: a value is longer than {csv.field_size_limit():,} characters; is a quote open?"
        )
    hint = 'a quote within quotes is written twice ("")'
    if began != now:
        hint = f"was one left open on line {began}? {hint}"
    return TableRefused(f"line {now}: text follows a closing quote; {hint}")


def _without_idle_rows(header: _Record, body: list[_Record]) -> tuple[list[_Record], list[str]]:
    names = header[1]
    empty = [line for line, values in body if not any(map(str.strip, values))]
    again = [line for line, values in body if values == names]
    notes = [
        f"{_count(len(lines), what)} left out, the first on line {lines[0]}"
        for lines, what in ((empty, "row without a value"), (again, "repetition of the header"))
        if lines
    ]
    idle = {*empty, *again}
    return ([record for record in body if record[0] not in idle] if idle else body), notes


def _refuse_other_widths(header: _Record, rows: Sequence[_Record], dialect: Dialect) -> None:
    width = len(header[1])
    odd = [record for record in rows if len(record[1]) != width]
    if not odd:
        return
    line, values = odd[0]
    message = f"line {line} has {_count(len(values), 'value')}, the header {width}"
    if len(odd) > 1:
        message += f" (as {len(odd):,} of {len(rows):,} rows)" if len(odd) < len(rows) else " (as every row)"
    way_out = _way_out(header, [values for _, values in odd], every=len(odd) == len(rows), dialect=dialect)
    raise TableRefused(f"{message}; {way_out}")


def _way_out(header: _Record, odd: Sequence[tuple[str, ...]], *, every: bool, dialect: Dialect) -> str:
    name = SEPARATORS.get(dialect.separator, repr(dialect.separator))
    line, names = header
    width = len(names)
    if width == 1 and len(odd[0]) > 1:
        return f"line {line} says {_excerpt(names[0])}: is it a title? Begin with the names of the columns"
    if every and all(len(values) == width + 1 for values in odd):
        if not any(values[-1].strip() for values in odd):
            return f"every row ends with a {name} too many: delete it, or end the header with one, too"
        if len({values[0] for values in odd}) == len(odd):
            return "the first value of every row differs: if it is the row's name, name it in the header"
    if len(odd[0]) > width:
        return f"a value that holds a {name} must stand in quotes"
    return "write a missing value as an empty one, and close what was cut off"


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    plural = {"row without a value": "rows without a value", "repetition of the header": "repetitions of the header"}
    return f"{number:,} {plural.get(noun, noun + 's')}"
