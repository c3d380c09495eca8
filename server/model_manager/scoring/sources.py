"""A file of rows, told by its content → pieces of it, and what each kind of file writes for a piece with new columns.

Place in the flow: between the file and typed_rows. CSV and JSON lines here; Arrow and Parquet in columnar. What is
written is the text that was read, and the new values after it.
"""

import codecs
import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from model_manager.codecs.json_text import excerpt
from model_manager.errors import TableRefused
from model_manager.scoring.added import AddedColumn
from model_manager.tables.records import Records
from model_manager.tables.table_files import Table, ValueColumn, csv_table

Values = Sequence[Sequence[object]]
"""The values of the added columns, a list each, None where there is none."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file, in order: as a table to read them by, and as the file has them."""

    table: Table
    written: Any


class Source(Protocol):
    """One file that is read. `kind` names its format, `rows` says how many it has; None where only reading tells."""

    kind: str
    rows: int | None
    notes: Sequence[str]

    def names(self) -> Sequence[str]:
        """The names of its columns, as far as they are known before it is read."""
        ...

    def pieces(self, at_once: int, *, skip: int) -> Iterator[Piece]:
        """Read it, but for the first rows. Raises TableRefused with the place of what cannot be read."""
        ...

    def head(self, added: Sequence[AddedColumn]) -> bytes:
        """What a file begins with."""
        ...

    def body(self, piece: Piece, added: Sequence[AddedColumn], values: Values) -> bytes:
        """A piece and its new values, fit to follow the one before."""
        ...

    def finish(self, parts: BinaryIO, out: BinaryIO) -> None:
        """Write the whole file out of head and bodies one after another."""
        ...


class CsvSource:
    """A CSV file, read whole: all of its values decide how its numbers are written, and its header what it holds."""

    kind = "csv"

    def __init__(self, content: bytes, source: str) -> None:
        try:
            self._table, self._records = csv_table(content, source=source)
        except TableRefused as refused:
            raise TableRefused(f"{source}: {refused}") from refused
        self.rows: int | None = self._table.rows
        self.notes: Sequence[str] = self._table.notes

    def names(self) -> Sequence[str]:
        """The names of its header."""
        return self._records.header

    def pieces(self, at_once: int, *, skip: int) -> Iterator[Piece]:
        """Part the table."""
        for start in range(skip, self._table.rows, at_once):
            end = min(start + at_once, self._table.rows)
            yield Piece(self._table.part(start, end), self._records.rows[start:end])

    def head(self, added: Sequence[AddedColumn]) -> bytes:
        """The header, with the new names."""
        return self._lines([(*self._records.header, *(column.name for column in added))])

    def body(self, piece: Piece, added: Sequence[AddedColumn], values: Values) -> bytes:
        """The rows as they were written, in this file's separator and decimal mark."""
        new = zip(*([self._cell(one) for one in column] for column in values), strict=True)
        return self._lines([(*row, *cells) for row, cells in zip(piece.written, new, strict=True)])

    def finish(self, parts: BinaryIO, out: BinaryIO) -> None:
        """Copy: head and bodies are a file already."""
        copy(parts, out)

    def _cell(self, value: object) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        text = str(value)
        return text.replace(".", ",") if self._table.mark == "," and isinstance(value, float) else text

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=_separator(self._records), lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "surrogateescape")


def _separator(records: Records) -> str:
    return records.dialect.separator


class JsonLinesSource:
    """JSON lines: an object a line, keyed by column."""

    kind = "jsonl"
    rows: int | None = None
    notes: Sequence[str] = ()

    def __init__(self, lines: BinaryIO, source: str) -> None:
        self._lines = lines
        self._source = source

    def names(self) -> Sequence[str]:
        """Only reading tells: a line has what it has."""
        return ()

    def pieces(self, at_once: int, *, skip: int) -> Iterator[Piece]:
        """Read objects line by line; blank lines are none."""
        numbers: list[int] = []
        texts: list[bytes] = []
        seen = 0
        for number, line in enumerate(self._lines, 1):
            text = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
            if not text:
                continue
            seen += 1
            if seen <= skip:
                continue
            numbers.append(number)
            texts.append(text)
            if len(texts) == at_once:
                yield self._piece(numbers, texts)
                numbers, texts = [], []
        if texts:
            yield self._piece(numbers, texts)
        if not seen:
            raise TableRefused(f"{self._source}: it has no rows")

    def head(self, added: Sequence[AddedColumn]) -> bytes:
        """Nothing."""
        return b""

    def body(self, piece: Piece, added: Sequence[AddedColumn], values: Values) -> bytes:
        """The objects as they were written, each with the new keys before it ends."""
        keys = [msgspec.json.encode(column.name) for column in added]
        for line, document in zip(piece.table.lines or (), piece.written, strict=True):
            if taken := [column.name for column in added if column.name in document[1]]:
                told = f"line {line} has a key {excerpt(taken[0])} already, which would be added"
                raise TableRefused(f"{self._source}: {told}; give --prefix, such as new_")
        lines = []
        for (text, document), row in zip(piece.written, zip(*values, strict=True), strict=True):
            new = b",".join(b"%b:%b" % (key, msgspec.json.encode(one)) for key, one in zip(keys, row, strict=True))
            lines.append(b"%b%b%b}\n" % (text[:-1].rstrip(), b"," if document else b"", new))
        return b"".join(lines)

    def finish(self, parts: BinaryIO, out: BinaryIO) -> None:
        """Copy: bodies are a file already."""
        copy(parts, out)

    def _piece(self, numbers: list[int], texts: list[bytes]) -> Piece:
        documents = [self._object(number, text) for number, text in zip(numbers, texts, strict=True)]
        names = dict.fromkeys(name for document in documents for name in document)
        columns = {name: ValueColumn(name, [document.get(name) for document in documents]) for name in names}
        table = Table(self._source, dict(columns), len(documents), lines=numbers)
        return Piece(table, list(zip(texts, documents, strict=True)))

    def _object(self, number: int, text: bytes) -> dict[str, Any]:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TableRefused(f"{self._source}: line {number} is no JSON: {_why(error)}") from None
        if not isinstance(document, dict):
            way_out = "one array is made lines of by: jq -c '.[]'"
            raise TableRefused(f"{self._source}: line {number}: expected an object keyed by column; {way_out}")
        return document


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else "it is nested too deeply"


_BLOCK: Final = 1 << 20


def copy(parts: BinaryIO, out: BinaryIO) -> None:
    """Copy a file to its end."""
    while block := parts.read(_BLOCK):
        out.write(block)
