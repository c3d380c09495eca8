"""A CSV or Parquet file, or a DataFrame → a table of named columns, whose values wait for somebody to say their types.

Place in the flow: where a model exists already, and its signature says what columns hold: typed_rows and target read
the values as it wants them. Where nobody knows that yet, reading.py finds types out.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd

from model_manager.errors import TableRefused, one_line
from model_manager.tables.columns import RawColumn, raw_column
from model_manager.tables.numbers import DecimalMark
from model_manager.tables.reading import raw_columns, read_content
from model_manager.tables.records import Records
from model_manager.tables.text import decode

_PARQUET: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """One column of values that have types already: None where missing, dates and times as ISO 8601 text."""

    name: str
    cells: Sequence[object]


AnyColumn: TypeAlias = RawColumn | ValueColumn


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length. `source` is what messages call it, `sha256` the digest of the file if it is one.

    `lines` says where in the file each row begins; None where there are no lines, and rows are counted from `first`.
    """

    source: str
    columns: dict[str, AnyColumn]
    rows: int
    lines: Sequence[int] | None = None
    mark: DecimalMark = "."
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    first: int = 0

    def place(self, position: int) -> str:
        """Name a row for people: by its line, or by its number where there are no lines."""
        return f"row {self.first + position}" if self.lines is None else f"line {self.lines[position]}"

    def named(self, name: str) -> AnyColumn | None:
        """Give a column by its name, spaces around which count for nothing; None where there is none."""
        return self.columns.get(name) or self.columns.get(name.strip())

    def part(self, start: int, end: int) -> "Table":
        """Give some of its rows, which read as they do among all."""
        return replace(
            self,
            columns={name: _part(column, start, end) for name, column in self.columns.items()},
            rows=end - start,
            lines=None if self.lines is None else self.lines[start:end],
            first=self.first + start,
        )

    def cells(self, name: str) -> Sequence[object]:
        """Give the values of a column that is there, as they are written; None or "" or a word where one is missing."""
        column = self.named(name)
        assert column is not None, "asked for columns that are there"
        return column.cells


def read_table(path: Path) -> Table:
    """Read a CSV file with a header, or a Parquet file, told by its content.

    Raises TableRefused with the file, and where it can be said the line.
    """
    content = read_content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        if content.startswith(_PARQUET):
            return table_of(_parquet(content), source=str(path), sha256=sha256)
        return csv_table(content, source=str(path), sha256=sha256)[0]
    except TableRefused as refused:
        raise TableRefused(f"{path}: {refused}") from refused


def csv_table(content: bytes, *, source: str, sha256: str | None = None) -> tuple[Table, Records]:
    """Read the bytes of a CSV file as a table, and as the records that it is written as.

    Raises TableRefused with the line.
    """
    file = decode(content)
    records, raw, mark = raw_columns(file.text)
    table = Table(
        source=source,
        columns={column.name: column for column in raw if column.name},
        rows=len(records.rows),
        lines=records.lines,
        mark=mark,
        sha256=sha256,
        notes=(*file.notes, *records.notes),
    )
    return table, records


def table_of(frame: pd.DataFrame, *, source: str = "the table", sha256: str | None = None) -> Table:
    """Take the columns of a DataFrame by their names. Raises TableRefused for names that are given twice, and no rows.

    A `sha256` that is not given stays unknown: a DataFrame has no bytes.
    """
    names = [str(name).strip() for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableRefused(f"two columns are called {repeated[0]!r}; rename one")
    if not len(frame):
        raise TableRefused("it has no rows")
    columns: dict[str, AnyColumn] = {
        name: ValueColumn(name, _values(frame.iloc[:, at])) for at, name in enumerate(names)
    }
    return Table(source, columns, len(frame), sha256=sha256)


def _part(column: AnyColumn, start: int, end: int) -> AnyColumn:
    if isinstance(column, RawColumn):  # whose notation all of its values decide
        return replace(raw_column(column.name, column.cells[start:end]), kind=column.kind, fits=column.fits)
    return replace(column, cells=column.cells[start:end])


def _parquet(content: bytes) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except ImportError:
        message = "it is a Parquet file, and pyarrow, which reads those, is not installed"
        raise TableRefused(f"{message}: pip install 'model-manager[parquet]'") from None
    except Exception as error:  # pyarrow raises what it likes for a damaged file
        raise TableRefused(f"it is a Parquet file that cannot be read: {one_line(error)}") from error


def _values(column: "pd.Series[Any]") -> list[object]:
    """A column's values as JSON has them, None for a missing one."""
    missing = column.isna().tolist()
    return [
        None if absent else _plain(value) for value, absent in zip(column.astype(object).tolist(), missing, strict=True)
    ]


def _plain(value: Any) -> object:
    if hasattr(value, "isoformat"):  # dates and times of Python and of pandas
        return value.isoformat()
    if isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "as_integer_ratio"):  # decimals, and the numbers of numpy
        return float(value)
    return value.item() if hasattr(value, "item") else value
