"""CSV → Rows: the first line names the columns, and the signature says what the text in each is.

Nothing is guessed: a zip code stays 01234 where the model takes strings, and NA is a missing value only where it takes
numbers. Quotes and line ends are those of RFC 4180.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from model_manager.codecs.json_text import excerpt
from model_manager.codecs.rows import check_names, declared_columns, refuse_empty, refuse_too_many, rows_from_instances
from model_manager.errors import InvalidInput
from model_manager.signature import Column, Layout, Rows, Signature

_SOURCE: Final = "CSV"
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "<na>", "#n/a", "null", "none"})
"""What stands for a missing number or boolean, in any case; of text only an empty field is missing."""
_TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}
_is_integer: Final = re.compile(r"[+-]?[0-9]{1,25}").fullmatch
_is_number: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch


def rows_from_csv(body: bytes, signature: Signature, *, max_rows: int) -> Rows:
    """Read a table whose first line names columns, in any order where the model has names, else in its own.

    Raises InvalidInput naming row and column; rows are counted from 0 behind the line of names.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{_SOURCE}: the body is not UTF-8: {error.reason} at byte {error.start}") from None
    lines = _lines(text)
    header = next(lines, None)
    if header is None:
        raise InvalidInput(f"{_SOURCE}: the body is empty; expected a line of column names, then rows")
    order, columns = _columns(header, signature)
    table: list[object] = []
    readers = [_reader(column) for column in columns]
    for number, fields in enumerate(islice(lines, max_rows + 1)):
        if len(fields) != len(header):
            raise InvalidInput(f"{_SOURCE}: row {number}: expected {len(header)} fields, got {len(fields)}")
        table.append([read(fields[at]) for at, read in zip(order, readers, strict=True)])
    refuse_empty(len(table), _SOURCE)
    refuse_too_many(len(table), max_rows, _SOURCE)
    return rows_from_instances(table, signature, source=_SOURCE)


def _lines(text: str) -> Iterator[list[str]]:
    """The fields of every line that has any."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidInput(f"{_SOURCE}: line {reader.line_num} cannot be read: {error}") from None
        if fields:
            yield fields


def _columns(header: list[str], signature: Signature) -> tuple[list[int], tuple[Column, ...]]:
    """Where each of the model's columns is in a line, and what it takes."""
    columns = declared_columns(signature, lambda: len(header))
    names = [column.name for column in columns]
    by_name = signature.named or signature.layout is Layout.FRAME
    if by_name or sorted(header) == sorted(names):
        if len(set(header)) != len(header):
            repeated = next(name for name in header if header.count(name) > 1)
            raise InvalidInput(f"{_SOURCE}: the column {excerpt(repeated)} is there more than once")
        check_names(dict.fromkeys(header), names, f"{_SOURCE}: the first line, which names columns")
        return [header.index(name) for name in names], columns
    if signature.layout is not Layout.TEXT and all(_is_number(name.strip()) for name in header):
        raise InvalidInput(f"{_SOURCE}: the first line holds numbers; it has to name the columns, by any names")
    if len(header) != len(columns):
        raise InvalidInput(f"{_SOURCE}: expected {len(columns)} columns, got {len(header)}")
    return list(range(len(columns))), columns


def _reader(column: Column) -> Callable[[str], object]:
    """What makes of a field the value that rows.py checks: the text itself where it can be no other."""
    if column.datatype == "BYTES":
        return _read_nullable_text if column.nullable else str
    if column.datatype == "BOOL":
        return _read_truth
    return _read_number


def _read_nullable_text(field: str) -> object:
    return field or None


def _read_truth(field: str) -> object:
    word = field.strip().lower()
    return None if word in _MISSING else _TRUTHS.get(word, field)


def _read_number(field: str) -> object:
    word = field.strip()
    if _is_integer(word):
        return int(word)
    if _is_number(word):
        return float(word)
    lower = word.lower()
    if lower in ("true", "false"):
        return lower == "true"
    return None if lower in _MISSING else field
