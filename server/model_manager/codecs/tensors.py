"""V2 tensors as Python values → Rows: the reference path of the Open Inference Protocol.

Checks each tensor by itself (name, datatype, shape against data), then gives every value to the rules of cells.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, cast

import numpy as np

from model_manager.codecs.binary_tensors import array_of
from model_manager.codecs.cells import read_cell
from model_manager.codecs.encodings import decoded
from model_manager.codecs.json_text import Infinite, excerpt, listing, refuse_repeated_key
from model_manager.codecs.moments import DATES
from model_manager.codecs.parameters import BINARY_SIZE, check_input_parameters, check_request_parameters
from model_manager.codecs.rows import (
    assemble,
    check_names,
    column_label,
    declared_columns,
    refuse_empty,
    refuse_too_many,
    way_out,
)
from model_manager.codecs.tail import Tail
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Column, Datatype, Layout, Rows, Signature

_JSON = ("pd_json", "hg_json")
_LONGEST_DIMENSION = 2**31
_MOST_TOO_MANY = 16  # tensors that are read although the model cannot take them, so that what is wrong is named
_NO_HALF = "16-bit floats cannot be written in JSON; send FP32 or FP64, or a binary tensor"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One checked input tensor, its values flat and row-major."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    values: Sequence[object]
    content_type: object = None

    @property
    def is_json(self) -> bool:
        """Whether its values are what was written in its strings, so that its own datatype says nothing of them."""
        return self.content_type in _JSON

    @property
    def place(self) -> str:
        """Name the tensor in a message."""
        return f"input {excerpt(self.name)}"


def rows_from_tensors(
    inputs: object, signature: Signature, *, max_rows: int, parameters: object = None, tail: Tail | None = None
) -> tuple[Rows, tuple[float | None, int | None]]:
    """Check the `inputs` of a V2 request, and its `parameters`; store the first as blocks, and read how urgent it is.

    One tensor of shape [rows, columns] for the whole (any name), or one of shape [rows] or [rows, 1] per named column,
    in any order. `tail` holds the bytes of those that are binary. Raises InvalidInput naming input, row and column.
    """
    if not isinstance(inputs, list):
        raise InvalidInput(f"inputs: expected a list of tensors, got {excerpt(inputs)}")
    if not inputs:
        raise InvalidInput("inputs: expected at least one tensor")
    most = max(1, len(signature.columns or ()))
    if len(inputs) > most + _MOST_TOO_MANY:
        raise InvalidInput(f"inputs: expected {most} tensor{'s' if most > 1 else ''} at most, got {len(inputs)}")
    tensors = [_tensor(value, f"inputs[{position}]", tail, max_rows) for position, value in enumerate(inputs)]
    if tail is not None:
        tail.end()
    urgency = check_request_parameters(parameters, {tensor.name: tensor.datatype for tensor in tensors})
    for tensor in tensors:
        refuse_empty(tensor.shape[0], tensor.place)
        refuse_too_many(tensor.shape[0], max_rows, tensor.place)
    if _is_by_column(tensors, signature):
        return _rows_from_columns(tensors, signature), urgency
    if len(tensors) != 1:
        raise InvalidInput(f"inputs: expected one tensor, got {len(tensors)}: {listing([t.name for t in tensors])}")
    return _rows_from_one(tensors[0], signature), urgency


def _is_by_column(tensors: Sequence[Tensor], signature: Signature) -> bool:
    """Tell whether tensors are columns: several of them, or one that is named like a column or cannot be the whole."""
    if signature.layout is Layout.TEXT or signature.columns is None:
        return False
    if not signature.named and signature.layout is not Layout.FRAME:
        return False
    if len(tensors) > 1:
        return True
    columns = signature.columns
    if len(columns) == 1 and tensors[0].name == columns[0].name:
        return True
    whole = signature.layout is Layout.ARRAY or all(column.datatype != "BYTES" for column in columns)
    return not whole or (len(columns) > 1 and tensors[0].shape[1:] in ((), (1,)) and _is_column(tensors[0], columns))


def _is_column(tensor: Tensor, columns: Sequence[Column]) -> bool:
    return any(column.name == tensor.name for column in columns)


def _rows_from_columns(tensors: Sequence[Tensor], signature: Signature) -> Rows:
    by_name: dict[str, object] = {}
    for tensor in tensors:
        if tensor.name in by_name:
            raise InvalidInput(f"inputs: {excerpt(tensor.name)} is given more than once")
        by_name[tensor.name] = tensor
    columns = signature.columns or ()
    check_names(by_name, [column.name for column in columns], "inputs")
    cells: list[list[object]] = []
    for column in columns:
        tensor = cast(Tensor, by_name[column.name])
        if len(tensor.shape) == 2 and tensor.shape[1] != 1:
            _refuse_shape(tensor, "[rows] or [rows, 1]")
        if tensor.shape[0] != tensors[0].shape[0]:
            raise InvalidInput(
                f"{tensor.place}: has {tensor.shape[0]} rows, but {tensors[0].place} has {tensors[0].shape[0]}"
            )
        _check_datatype(tensor, (column,))
        _check_dates(tensor, column)
        dtype = signature.dtype_of(column)
        cells.append([_cell(tensor, value, column, dtype, row, "") for row, value in enumerate(tensor.values)])
    return assemble(cells, signature)


def _rows_from_one(tensor: Tensor, signature: Signature) -> Rows:
    columns = declared_columns(signature, lambda: _width(tensor))
    width = len(columns)
    text = signature.layout is Layout.TEXT
    if len(tensor.shape) == 1 and not text:
        hint = f"; one row is [1, {width}]" if tensor.shape[0] == width else ""
        _refuse_shape(tensor, f"[rows, {width}]", hint)
    if tensor.shape[1:] not in ((width,), ()):
        _refuse_shape(tensor, "[rows] or [rows, 1]" if text else f"[rows, {width}]")
    _check_datatype(tensor, columns)
    _check_dates(tensor, *columns)
    cells: list[list[object]] = []
    for position, column in enumerate(columns):
        label = column_label(column, signature)
        values = tensor.values[position::width]
        dtype = signature.dtype_of(column)
        cells.append([_cell(tensor, value, column, dtype, row, label) for row, value in enumerate(values)])
    return assemble(cells, signature)


def _cell(tensor: Tensor, value: object, column: Column, dtype: np.dtype[Any], row: int, label: str) -> object:
    """Read one value by the rules of its carrier, then by those of its column, which a block of `dtype` holds."""
    try:
        if tensor.datatype != "BYTES" and not (isinstance(value, bool) and tensor.datatype != "BOOL"):
            value = read_cell(value, _carrier(tensor.datatype, nullable=column.nullable), DTYPES[tensor.datatype])
        return read_cell(value, column, dtype)
    except InvalidInput as refused:
        raise InvalidInput(f"{tensor.place}: row {row}{label}: {refused}") from None


@lru_cache(maxsize=64)
def _carrier(datatype: Datatype, *, nullable: bool) -> Column:
    """The rules of a tensor's own datatype; true and false are numbers in any."""
    return Column("", datatype, nullable=nullable)


def _check_datatype(tensor: Tensor, columns: Sequence[Column]) -> None:
    """Refuse a datatype that cannot hold the columns' values: strings for numbers, numbers for booleans or strings."""
    if tensor.is_json:
        return
    wanted = {column.datatype for column in columns}
    if "BYTES" in wanted:
        fits = tensor.datatype == "BYTES"
    elif wanted == {"BOOL"}:
        fits = tensor.datatype == "BOOL"
    else:
        fits = tensor.datatype != "BYTES"
    if not fits:
        named = "BYTES" if "BYTES" in wanted else wanted.pop() if len(wanted) == 1 else "FP64"
        guessed = next((way_out(column, "") for column in columns if column.assumed), "")
        hint = guessed if tensor.datatype == "BYTES" else ""
        raise InvalidInput(f"{tensor.place}: expected datatype {named}, got {tensor.datatype}{hint}")


def _check_dates(tensor: Tensor, *columns: Column) -> None:
    """Refuse values that are declared to be dates and would be read as something else."""
    if tensor.content_type == DATES and any(column.moments is None for column in columns):
        raise InvalidInput(
            f'{tensor.place}: content_type "{DATES}" does not describe it: this model takes no dates here; leave it out'
        )


def _width(tensor: Tensor) -> int:
    if len(tensor.shape) != 2 or tensor.shape[1] == 0:
        _refuse_shape(tensor, "[rows, columns]")
    return tensor.shape[1]


def _refuse_shape(tensor: Tensor, expected: str, hint: str = "") -> NoReturn:
    raise InvalidInput(f"{tensor.place}: expected shape {expected}, got {list(tensor.shape)}{hint}")


def _tensor(value: object, place: str, tail: Tail | None, max_rows: int) -> Tensor:
    if not isinstance(value, dict):
        raise InvalidInput(
            f"{place}: expected a tensor, an object with name, shape, datatype and data; got {excerpt(value)}"
        )
    refuse_repeated_key(value, place)
    name = value.get("name")
    if not isinstance(name, str):
        raise InvalidInput(f"{place}: expected a name, got {excerpt(name)}")
    place = f"input {excerpt(name)}"
    for key in ("shape", "datatype"):
        if key not in value:
            raise InvalidInput(f"{place}: {key} is missing")
    parameters = value.get("parameters")
    given = parameters if isinstance(parameters, dict) else {}
    binary = given.get(BINARY_SIZE) is not None and "data" not in value
    shape, datatype = _shape(value["shape"], place), _datatype(value["datatype"], place, binary=binary)
    check_input_parameters(parameters, name, datatype, binary=binary)
    content_type = given.get("content_type")
    if binary:
        refuse_too_many(shape[0], max_rows, place)
        return Tensor(name, datatype, shape, _binary(tail, given, shape, datatype, place), content_type)
    if "data" not in value:
        raise InvalidInput(f"{place}: data is missing")
    values = decoded(_flat(value["data"], shape, place), content_type, place)
    return Tensor(name, datatype, shape, values, content_type)


def _binary(
    tail: Tail | None, parameters: dict[str, object], shape: tuple[int, ...], datatype: Datatype, place: str
) -> Sequence[object]:
    """The values behind the JSON, as JSON would have them."""
    if tail is None:
        raise InvalidInput(
            f"{place}: {BINARY_SIZE} says that its values follow the JSON, and the header "
            "Inference-Header-Content-Length, which says where that ends, is missing"
        )
    array = array_of(tail.take(parameters[BINARY_SIZE], place), shape, datatype, place).reshape(-1)
    values: list[object] = array.tolist()
    if array.dtype.kind == "f" and np.isinf(array).any():
        values = [Infinite(value) if value in (np.inf, -np.inf) else value for value in values]
    return decoded(values, parameters.get("content_type"), place)


def _datatype(value: object, place: str, *, binary: bool) -> Datatype:
    if not isinstance(value, str) or value not in DTYPES:
        raise InvalidInput(f"{place}: unknown datatype {excerpt(value)}; known: {', '.join(DTYPES)}")
    if value == "FP16" and not binary:
        raise InvalidInput(f"{place}: datatype FP16 cannot be read: {_NO_HALF}")
    return value


def _shape(value: object, place: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InvalidInput(f"{place}: expected a shape such as [rows, columns], got {excerpt(value)}")
    if len(value) not in (1, 2):
        raise InvalidInput(f"{place}: expected a shape of one or two dimensions, got {len(value)}")
    for dimension in value:
        if isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 0:
            raise InvalidInput(f"{place}: expected a shape of whole numbers from 0, got {excerpt(dimension)} in it")
        if dimension > _LONGEST_DIMENSION:
            raise InvalidInput(f"{place}: a dimension of {excerpt(dimension)} is more than any request can hold")
    return tuple(value)


def _flat(data: object, shape: tuple[int, ...], place: str) -> Sequence[object]:
    """Give data flat, whether it came flat or nested to the shape."""
    if not isinstance(data, list):
        raise InvalidInput(f"{place}: expected data to be a list, got {excerpt(data)}")
    if len(shape) == 2 and data and isinstance(data[0], list):
        rows, width = shape
        if len(data) != rows:
            raise InvalidInput(f"{place}: shape {list(shape)} needs {rows} rows, data has {len(data)}")
        for number, row in enumerate(data):
            if not isinstance(row, list):
                raise InvalidInput(f"{place}: row {number}: expected a list of {width} values, got {excerpt(row)}")
            if len(row) != width:
                raise InvalidInput(f"{place}: row {number}: expected {width} values, got {len(row)}")
        return [value for row in data for value in row]
    count = shape[0] if len(shape) == 1 else shape[0] * shape[1]
    if len(data) != count:
        raise InvalidInput(f"{place}: shape {list(shape)} needs {count} values, data has {len(data)}")
    return data
