"""A file → a table to learn from, and a report of what was decided: encoding, separator, types, gaps, what is left out.

Place in the flow: the door of this room. Nothing is decided in silence: what could be read in two ways is refused with
the line and the way out, or told in the report.
"""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from model_manager.errors import TableRefused
from model_manager.tables.columns import Kind, RawColumn, TypedColumn, raw_column, typed_column
from model_manager.tables.dialect import SEPARATORS
from model_manager.tables.header import refuse_data, refuse_repeated
from model_manager.tables.numbers import DecimalMark, decide_mark
from model_manager.tables.records import Records, read_records
from model_manager.tables.roles import doubts, why_left_out
from model_manager.tables.text import FileText, decode

Role = Literal["feature", "target", "left out"]
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """What was decided of one column. `missing` counts the words that were taken for nothing known; "" is an empty one.

    `number` is its place in the file, from 1; a column without a name has the name "" and is always left out.
    """

    number: int
    name: str
    role: Role
    kind: Kind
    distinct: int
    missing: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableReport:
    """What was decided of a file and of each of its columns; plain data, fit for JSON."""

    encoding: str
    separator: str
    decimal_mark: DecimalMark
    rows: int
    notes: tuple[str, ...]
    columns: tuple[ColumnReport, ...]


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table as it was read. `frame` has every named column, in order; `lines` says where in the file each row begins,
    `sha256` which bytes were read.

    Numbers are int64 or float64, truths bool (float64 if some are missing), all else str objects; missing is NaN.
    """

    frame: pd.DataFrame
    lines: tuple[int, ...]
    report: TableReport
    sha256: str = ""

    @property
    def features(self) -> pd.DataFrame:
        """The columns to learn from."""
        return self.frame[[column.name for column in self.report.columns if column.role == "feature"]]


def read_csv_table(path: Path, *, target: str | None = None) -> CsvTable:
    """Read a CSV file with a header. `target` is a column to predict: never left out, and known in every row.

    Raises TableRefused with the file, and where it can be said the line, for everything that cannot be read for
    certain: rows of another width than the header, no header, repeated names, a broken quote, an unknown encoding.
    """
    content = read_content(path)
    try:
        return replace(_table(decode(content), target), sha256=hashlib.sha256(content).hexdigest())
    except TableRefused as refused:
        raise TableRefused(f"{path}: {refused}") from refused


def read_content(path: Path) -> bytes:
    """Read the bytes of a table's file. Raises TableRefused with the file where that cannot be done."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TableRefused(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TableRefused(f"{path}: it is a folder; name a CSV file") from None
    except OSError as error:
        raise TableRefused(f"{path}: it cannot be read: {error.strerror}") from error


def raw_columns(text: str) -> tuple[Records, list[RawColumn], DecimalMark]:
    """Part a text into columns as they are written, under the names of its header; and tell its decimal mark.

    Raises TableRefused with the line.
    """
    records = read_records(text)
    names = [name.strip() for name in records.header]
    refuse_repeated(names, records.header_line)
    cells: Sequence[Sequence[str]] = list(zip(*records.rows, strict=True))
    raw = [raw_column(name, column) for name, column in zip(names, cells, strict=True)]
    refuse_data(raw, records.header_line)
    mark = decide_mark(((column.present, column.fits) for column in raw), separator=records.dialect.separator)
    return records, raw, mark


def _table(file: FileText, target: str | None) -> CsvTable:
    records, raw, mark = raw_columns(file.text)
    if target is not None:
        _check_target(raw, target, records.lines)
    unsure = records.dialect.separator != ","
    columns = [typed_column(column, records.lines, mark=mark, ambiguous_is_news=unsure) for column in raw]
    reports = tuple(_column_report(number, column, target) for number, column in enumerate(columns, 1))
    _check_named(reports, raw, records.header_line)
    frame = pd.DataFrame({column.name: column.values for column in columns if column.name})
    separator = records.dialect.separator
    report = TableReport(
        encoding=file.encoding,
        separator=SEPARATORS.get(separator, separator),
        decimal_mark=mark,
        rows=len(frame),
        notes=(*file.notes, *_told_of_dialect(records, mark), *records.notes, *_told_of_spaces(raw)),
        columns=reports,
    )
    return CsvTable(frame, tuple(records.lines), report)


def _column_report(number: int, column: TypedColumn, target: str | None) -> ColumnReport:
    role: Role = "feature"
    notes = column.notes
    if column.name and column.name == target:
        role = "target"
    elif (why := why_left_out(column, number - 1)) is not None:
        role, notes = "left out", (why, *notes)
    else:
        notes = (*notes, *doubts(column))
    return ColumnReport(number, column.name, role, column.kind, column.distinct, column.missing, notes)


def _check_named(reports: Sequence[ColumnReport], columns: Sequence[RawColumn], line: int) -> None:
    for report, column in zip(reports, columns, strict=True):
        if not report.name and report.role == "feature":
            shown = next(iter(column.present))
            raise TableRefused(f"line {line}: column {report.number} ({shown!r}, …) has no name; give it one")


def _check_target(columns: Sequence[RawColumn], target: str, lines: Sequence[int]) -> None:
    names = [column.name for column in columns if column.name]
    if target not in names:
        raise TableRefused(f"no column {target!r}; {_nearest(target, names)}")
    column = columns[[column.name for column in columns].index(target)]
    if column.missing:
        first = next(at for at, cell in enumerate(column.cells) if cell in column.missing)
        words = ", ".join(f"{word!r}" if word else "empty" for word in column.missing)
        count = sum(column.missing.values())
        told = f"target {target!r} is missing in {count:,} of {len(lines):,} rows ({words})"
        raise TableRefused(f"{told}, the first on line {lines[first]}; fill it in, or delete these rows")


def _nearest(name: str, names: Sequence[str]) -> str:
    folded = {one.casefold(): one for one in names}
    if close := difflib.get_close_matches(name.casefold(), folded, 1):
        return f"did you mean {folded[close[0]]!r}?"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"there are {', '.join(names[:_MOST_NAMED])}{more}"


def _told_of_dialect(records: Records, mark: DecimalMark) -> list[str]:
    notes = []
    separator = records.dialect.separator
    if separator != ",":
        notes.append(f"the separator is the {SEPARATORS.get(separator, repr(separator))}")
    if mark == ",":
        notes.append("numbers are written with a decimal comma")
    if records.dialect.backslash:
        notes.append('quotes within quotes are written \\"')
    return notes


def _told_of_spaces(columns: Sequence[RawColumn]) -> list[str]:
    count = sum(column.spaced for column in columns)
    return [f"spaces around {count:,} values are left out"] if count else []
