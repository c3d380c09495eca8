"""Python values → Rows: the one reference implementation of validation, which names the place of every fault.

The fast paths of the protocols must agree with it; golden rows of a package are read by it directly.
"""

import difflib
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model_manager.codecs.cells import read_cell
from model_manager.codecs.json_text import excerpt, listing, refuse_repeated_key
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Column, Layout, Rows, Signature

Cells = Sequence[Sequence[object]]
"""Checked values, one sequence per column."""

_BASE64 = "b64"
_MOST_NAMES_COMPARED = 256
_LONGEST_NAME_COMPARED = 64


def rows_from_instances(instances: Sequence[object], signature: Signature, *, source: str = "instances") -> Rows:
    """Check rows and store them as blocks.

    A row is a list in declared order, an object keyed by column (FRAME, or ARRAY of named columns), a bare value when
    there is one column, or any of these in an object of the tensor's name (ARRAY, TEXT). Text may be given as
    {"b64": …}. Raises InvalidInput naming `source`, row and column.
    """
    refuse_empty(len(instances), source)
    # A column of the tensor's name goes before the tensor.
    own = {column.name for column in signature.columns or ()} if signature.named else ()
    tensor = signature.tensor if signature.layout is not Layout.FRAME and signature.tensor not in own else None
    columns = declared_columns(signature, lambda: _first_width(_inside(instances[0], tensor), source))
    names = [column.name for column in columns] if signature.named or signature.layout is Layout.FRAME else None
    dtypes = [signature.dtype_of(column) for column in columns]
    text = signature.layout is Layout.TEXT
    cells: list[list[object]] = [[] for _ in columns]
    for number, row in enumerate(instances):
        place = f"{source}: row {number}"
        values = _row_values(_inside(row, tensor), names, len(columns), place, text=text)
        for column, dtype, value, column_cells in zip(columns, dtypes, values, cells, strict=True):
            try:
                column_cells.append(read_cell(_text_of(value, column), column, dtype))
            except InvalidInput as refused:
                told = f"{place}{column_label(column, signature)}: {refused}{way_out(column, value)}"
                raise InvalidInput(told) from None
    return assemble(cells, signature)


def rows_from_columns(columnar: dict[str, object], signature: Signature, *, source: str = "inputs") -> Rows:
    """Check columns, given as lists of equal length keyed by name, and store them as blocks.

    Raises InvalidInput naming `source`, column and row.
    """
    columns = signature.columns or ()
    check_names(columnar, [column.name for column in columns], source)
    cells: list[list[object]] = []
    for column in columns:
        place = f"{source}: column {excerpt(column.name)}"
        values = columnar[column.name]
        if not isinstance(values, list):
            raise InvalidInput(f"{place}: expected a list with one value per row, got {excerpt(values)}")
        if cells and len(values) != len(cells[0]):
            first = excerpt(columns[0].name)
            raise InvalidInput(f"{place}: has {len(values)} rows, but column {first} has {len(cells[0])}")
        cells.append(_read_column(values, column, signature.dtype_of(column), place))
    refuse_empty(len(cells[0]), source)
    return assemble(cells, signature)


def assemble(cells: Cells, signature: Signature) -> Rows:
    """Store checked cells as the blocks of the signature's layout and dtypes."""
    if signature.layout is Layout.FRAME:
        dtypes = [signature.dtype_of(column) for column in signature.columns or ()]
        return Rows(tuple(_block(each, dtype) for each, dtype in zip(cells, dtypes, strict=True)))
    if signature.layout is Layout.TEXT:
        return Rows((_block(cells[0], signature.dtype),))
    block = np.empty((len(cells[0]), len(cells)), dtype=signature.dtype)
    for position, each in enumerate(cells):
        block[:, position] = _block(each, block.dtype)
    return Rows((block,))


def declared_columns(signature: Signature, width: Callable[[], int]) -> tuple[Column, ...]:
    """Give the declared columns, or as many FP64 ones as the first row is wide when the signature does not say."""
    if signature.columns is not None:
        return signature.columns
    if signature.layout is Layout.TEXT:
        return (Column(signature.tensor, "BYTES"),)
    return tuple(Column(str(position), "FP64") for position in range(width()))


def column_label(column: Column, signature: Signature) -> str:
    """Name a column behind a row number: by name if it has one, by position if not, not at all for TEXT."""
    if signature.layout is Layout.TEXT:
        return ""
    named = signature.named or signature.layout is Layout.FRAME
    return f", column {excerpt(column.name)}" if named else f", column {column.name}"


def way_out(column: Column, value: object) -> str:
    """Say what to do where a string came for a number, and that numbers are wanted is but a guess."""
    if not column.assumed or not isinstance(value, str):
        return ""
    return "; the model does not say what this column holds: pack it with a sample, or declare strings in metadata.json"


def check_names(given: dict[str, object], names: Sequence[str], place: str) -> None:
    """Raise InvalidInput if columns are repeated, unknown (with the nearest known name) or missing."""
    refuse_repeated_key(given, place)
    known = set(names)
    for name in given:
        if name not in known:
            raise InvalidInput(f"{place}: unknown column {excerpt(name)}{suggestion(name, names)}")
    if len(given) != len(names):
        missing = [name for name in names if name not in given]
        raise InvalidInput(f"{place}: missing column{'s' if len(missing) > 1 else ''} {listing(missing)}")


def suggestion(name: str, names: Sequence[str]) -> str:
    """Suggest the nearest known name, or list what is known."""
    if len(name) <= _LONGEST_NAME_COMPARED:  # comparing is quadratic, and the name is the caller's
        near = difflib.get_close_matches(name, names[:_MOST_NAMES_COMPARED], n=1)
        if near:
            return f"; did you mean {excerpt(near[0])}?"
    return f"; known: {listing(names)}"


def refuse_empty(count: int, source: str) -> None:
    """Raise InvalidInput for a request of no rows."""
    if count == 0:
        raise InvalidInput(f"{source}: no rows; send at least one")


def refuse_too_many(count: int, max_rows: int, source: str) -> None:
    """Raise InvalidInput for more rows than the server takes at once."""
    if count > max_rows:
        raise InvalidInput(
            f"{source}: {count} rows are more than the {max_rows} this server takes in one request "
            "(max_rows_per_request); split the request"
        )


def _first_width(row: object, source: str) -> int:
    if not isinstance(row, list | tuple):
        raise InvalidInput(f"{source}: row 0: expected a list of numbers, got {excerpt(row)}")
    if not row:
        raise InvalidInput(f"{source}: row 0: expected at least one value, got {excerpt(row)}")
    return len(row)


def _read_column(values: Sequence[object], column: Column, dtype: np.dtype[Any], place: str) -> list[object]:
    """Check one column's values; InvalidInput names `place` and the row."""
    cells: list[object] = []
    for number, value in enumerate(values):
        try:
            cells.append(read_cell(_text_of(value, column), column, dtype))
        except InvalidInput as refused:
            raise InvalidInput(f"{place}: row {number}: {refused}{way_out(column, value)}") from None
    return cells


def _inside(row: object, tensor: str | None) -> object:
    """What a row holds in which the tensor is named, {"input": [5.1, …]}, as TensorFlow Serving's clients write it."""
    if type(row) is dict and len(row) == 1 and tensor is not None and tensor in row:
        return row[tensor]
    return row


def _text_of(value: object, column: Column) -> object:
    """The text that an object of base64 stands for, as TensorFlow Serving writes bytes; any other value as it is."""
    if type(value) is not dict or len(value) != 1 or _BASE64 not in value or column.datatype != "BYTES":
        return value
    encoded = value[_BASE64]
    if not isinstance(encoded, str):
        raise InvalidInput(f'"{_BASE64}": expected a string, got {excerpt(encoded)}')
    try:
        return b64decode(encoded, validate=True).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f'"{_BASE64}": the bytes are no text in UTF-8, which is what is read here') from None
    except ValueError:  # of base64, and of characters beyond ASCII
        raise InvalidInput(f'"{_BASE64}": {excerpt(encoded)} is not base64') from None


def _row_values(row: object, names: Sequence[str] | None, width: int, place: str, *, text: bool) -> Sequence[object]:
    if isinstance(row, list | tuple):
        if len(row) != width:
            raise InvalidInput(f"{place}: expected {width} values, got {len(row)}")
        return row
    if isinstance(row, dict) and not (width == 1 and list(row) == [_BASE64] and names != [_BASE64]):
        if text and names is None:
            raise InvalidInput(f"{place}: expected a string, got an object: a row of this model is the text itself")
        if names is None:
            raise InvalidInput(f"{place}: expected a list, got an object: this model's columns have no names")
        check_names(row, names, place)
        return [row[name] for name in names]
    if width == 1:
        return (row,)
    or_object = " or an object keyed by column" if names is not None else ""
    raise InvalidInput(f"{place}: expected a list of {width} values{or_object}, got {excerpt(row)}")


def _block(cells: Sequence[object], dtype: np.dtype[Any]) -> Array:
    block: Array = np.empty(len(cells), dtype=dtype)
    block[:] = cells
    return block
