"""A table and the signature of a version → Rows, as a server would read them, and the column that holds the truth.

Place in the flow: after table_files. The signature decides what a cell means: 01234 stays text where the model takes
text, and is a number where it takes one. Columns that the model does not take are let be.
"""

import difflib
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from model_manager.codecs.cells import read_cell
from model_manager.codecs.json_text import excerpt
from model_manager.codecs.rows import assemble, way_out
from model_manager.errors import InvalidInput, TableRefused
from model_manager.signature import Array, Column, Layout, Rows, Signature
from model_manager.tables.columns import RawColumn, is_missing
from model_manager.tables.numbers import DecimalMark, Notation, common_sign, is_code, marks_that_fit
from model_manager.tables.table_files import AnyColumn, Table

_MOST_NAMED: Final = 10
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def typed_rows(table: Table, signature: Signature, *, besides: Collection[str] = ()) -> Rows:
    """Read every column that a version takes as it wants it.

    `besides` names columns that are no inputs: the truth; needed where the model's columns have no names, and those of
    the table are taken in order. Raises TableRefused with the file, the line or row and the column, for values that do
    not fit; and for columns that are missing, with those that look like them.
    """
    matched = _matched(table, signature, besides)
    text = signature.layout is Layout.TEXT
    blocks = [_block(table, given, column, signature.dtype_of(column), text=text) for given, column in matched]
    return assemble(blocks, signature)  # type: ignore[arg-type]  # an array is a sequence of its values


def numbers_in(table: Table, name: str) -> Array:
    """Read a column of quantities as floats, NaN where one is missing. Raises TableRefused for anything else."""
    column = Column(name, "FP64", nullable=True)
    return _block(table, _present(table, name), column, np.dtype(np.float64), text=False)


def labels_in(table: Table, name: str, classes: Sequence[object]) -> list[object]:
    """Read a column of labels, each as the class of the model that it stands for; None where it is missing.

    A label that is none of the classes stays as it is written.
    """
    given = _present(table, name)
    known = {_key(one): one for one in classes}
    mark = table.mark

    def read(value: object) -> object:
        if value is None:
            return None
        if (found := next((known[key] for key in _keys(value, mark) if key in known), None)) is not None:
            return found
        return None if isinstance(value, str) and is_missing(value) else value

    if isinstance(given, RawColumn):
        into = {text: read(text) for text in given.counts}
        return [into[cell] for cell in given.cells]
    return [read(cell) for cell in given.cells]


def nearest(name: str, names: Sequence[str]) -> str:
    """Suggest the column that may be meant, or list what there is."""
    folded = {one.casefold(): one for one in names}
    if close := difflib.get_close_matches(name.casefold(), folded, 1):
        return f"did you mean {folded[close[0]]!r}?"
    return f"there are {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """List names, the first of them where there are many."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more


def _present(table: Table, name: str) -> AnyColumn:
    column = table.named(name)
    if column is None:
        raise TableRefused(f"{table.source}: no column {name!r}; {nearest(name, list(table.columns))}")
    return column


def _matched(table: Table, signature: Signature, besides: Collection[str]) -> list[tuple[AnyColumn, Column]]:
    """Pair the columns of a table with those that the model takes, in the model's order."""
    wanted = signature.columns or ()
    if signature.layout is Layout.TEXT:
        return [(_only_text(table, signature, besides), wanted[0] if wanted else Column(signature.tensor, "BYTES"))]
    if signature.named or signature.layout is Layout.FRAME:
        return _by_name(table, wanted)
    if wanted and all(column.name in table.columns for column in wanted):
        return _by_name(table, wanted)
    given = [column for name, column in table.columns.items() if name not in besides]
    if signature.columns is None:
        return [(column, Column(column.name, "FP64", nullable=True)) for column in given]
    if len(given) != len(wanted):
        told = f"the model takes {len(wanted)} columns that have no names, and the table has {len(given)}"
        beside = f" beside {listed(list(besides))}" if besides else ""
        raise TableRefused(f"{table.source}: {told}{beside}: {listed([one.name for one in given])}")
    return list(zip(given, wanted, strict=True))


def _by_name(table: Table, wanted: Sequence[Column]) -> list[tuple[AnyColumn, Column]]:
    found = [(table.named(column.name), column) for column in wanted]
    missing = [column.name for given, column in found if given is None]
    if not missing:
        return [(given, column) for given, column in found if given is not None]
    names = list(table.columns)
    folded = {one.casefold(): one for one in names if one not in {column.name for column in wanted}}
    told = []
    for name in missing[:_MOST_NAMED]:
        close = difflib.get_close_matches(name.casefold(), folded, 1)
        told.append(f"{name!r} (did you mean {folded[close[0]]!r}?)" if close else repr(name))
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    what = "column that the model takes is" if len(missing) == 1 else "columns that the model takes are"
    raise TableRefused(
        f"{table.source}: {len(missing)} {what} missing: {', '.join(told)}{more}; the table has {listed(names)}"
    )


def _only_text(table: Table, signature: Signature, besides: Collection[str]) -> AnyColumn:
    if (named := table.named(signature.tensor)) is not None:
        return named
    given = [column for name, column in table.columns.items() if name not in besides]
    if len(given) != 1:
        beside = f" beside {listed(list(besides))}" if besides else ""
        told = f"the model takes one text a row, and the table has {len(given)} columns{beside}"
        advice = f"call the one that is meant {signature.tensor!r}"
        raise TableRefused(f"{table.source}: {told}: {listed([one.name for one in given])}; {advice}")
    return given[0]


def _block(table: Table, given: AnyColumn, column: Column, dtype: np.dtype[Any], *, text: bool) -> Array:
    """Read one column; the distinct cells of a text once each."""
    if not isinstance(given, RawColumn):
        return _filled([_checked(table, given, column, dtype, cell, cell) for cell in given.cells], dtype)
    meant = _meaning(given, column, table.mark, text=text)
    if dtype == np.float64 and given.fits and (column.nullable or not given.missing):  # numbers, one and all
        into: dict[str, object] = {**_notation(given, table.mark).parse_all(given.present)}
        into |= dict.fromkeys(given.missing, np.nan)
        if column.datatype == "FP64":
            return _filled([into[cell] for cell in given.cells], dtype)
    into = {cell: _checked(table, given, column, dtype, meant(cell), cell) for cell in given.counts}
    return _filled([into[cell] for cell in given.cells], dtype)


def _filled(values: Sequence[object], dtype: np.dtype[Any]) -> Array:
    block: Array = np.empty(len(values), dtype=dtype)
    block[:] = values
    return block


def _notation(given: RawColumn, mark: DecimalMark) -> Notation:
    return Notation(mark if mark in given.fits else given.fits[0], common_sign(given.present))


def _meaning(given: RawColumn, column: Column, mark: DecimalMark, *, text: bool) -> Callable[[str], object]:
    """Say how a cell becomes the value that a client would send: None for a missing one.

    What cannot be what the model takes stays text, and is refused as that.
    """
    if column.datatype == "BYTES":
        known = {*column.categories}

        def as_text(cell: str) -> object:
            # A column in which nothing was ever missing holds words such as NA for what they say.
            absent = cell in given.missing and cell not in known and (column.nullable or not cell)
            return None if absent and not text else cell

        return as_text
    if column.datatype == "BOOL":
        return lambda cell: None if cell in given.missing else _TRUTHS.get(cell.lower(), cell)
    notation = _notation(given, mark) if given.fits else None
    whole = column.datatype not in ("FP16", "FP32", "FP64")

    def as_number(cell: str) -> object:
        if cell in given.missing:
            return None
        if cell.lower() in ("true", "false"):
            return _TRUTHS[cell.lower()]
        if whole and cell.lstrip("+-").isdecimal() and cell.isascii():
            return int(cell)  # whatever its number of digits
        if notation is not None:
            return notation.parse(cell)
        marks = marks_that_fit((cell,))
        return Notation(mark if mark in marks else marks[0], common_sign((cell,))).parse(cell) if marks else cell

    return as_number


def _checked(
    table: Table, given: AnyColumn, column: Column, dtype: np.dtype[Any], value: object, cell: object
) -> object:
    try:
        return read_cell(value, column, dtype)
    except InvalidInput as refused:
        _refuse(table, given, column, cell, f"{refused}{way_out(column, value)}")


def _refuse(table: Table, given: AnyColumn, column: Column, cell: object, why: str) -> NoReturn:
    """Name the first row that holds a cell, and how many more do."""
    at = [position for position, one in enumerate(given.cells) if one is cell or one == cell]
    more = f" (and {len(at) - 1:,} more rows like it)" if len(at) > 1 else ""
    if "got null" in why:
        shown = f"{excerpt(cell)} is " if isinstance(cell, str) and cell else "a value is "
        why = f"{shown}missing, and the model was fitted without missing values here; fill it in, or leave the row out"
    raise TableRefused(f"{table.source}: {table.place(at[0])}, column {given.name!r}: {why}{more}")


def _key(label: object) -> tuple[str, object]:
    """What two labels have in common that are one: True is not 1, and 1 is 1.0."""
    if isinstance(label, bool):
        return ("truth", label)
    if isinstance(label, int | float):
        return ("number", float(label) if abs(label) <= 2**53 else label)
    return ("text", label)


def _keys(value: object, mark: DecimalMark) -> list[tuple[str, object]]:
    """What a written or typed label may stand for, the likeliest first."""
    text = value if isinstance(value, str) else str(value)
    keys = [_key(value), ("text", text), ("text", text.lower())] if not isinstance(value, str) else [_key(value)]
    if text.lower() in _TRUTHS:
        keys.append(("truth", _TRUTHS[text.lower()]))
    if isinstance(value, float) and value in (0.0, 1.0):
        keys.append(("truth", bool(value)))
    if (marks := marks_that_fit((text,))) and not is_code(text):
        number = Notation(mark if mark in marks else marks[0], common_sign((text,))).parse(text)
        keys.append(("number", number))
        if number.is_integer():
            keys.append(("text", str(int(number))))
        if number in (0, 1):
            keys.append(("truth", bool(number)))
    return keys
