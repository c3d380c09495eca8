"""Write a CSV file and read it: the table, what the report says of a column, or why it was refused."""

from pathlib import Path

import pytest
from model_manager.errors import TableRefused
from model_manager.tables.reading import ColumnReport, CsvTable, read_csv_table


def table_of(folder: Path, content: str | bytes, target: str | None = None) -> CsvTable:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv_table(path, target=target)


def refused(folder: Path, content: str | bytes, target: str | None = None) -> str:
    with pytest.raises(TableRefused) as refusal:
        table_of(folder, content, target)
    text = str(refusal.value)
    assert text.startswith(f"{folder / 'table.csv'}: ")
    return text.partition(": ")[2]


def column(table: CsvTable, name: str) -> ColumnReport:
    return next(one for one in table.report.columns if one.name == name)


def of_column(folder: Path, *values: str, rows: int = 12, separator: str = ",") -> tuple[CsvTable, ColumnReport]:
    """Read a table with a column x of these values over and over, beside one that is plain."""
    lines = [f"x{separator}other"]
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    lines += [f"{quoted[at % len(values)]}{separator}{'ab'[at % 2]}" for at in range(max(rows, len(values)))]
    table = table_of(folder, "\n".join(lines))
    return table, column(table, "x")
