"""An Arrow IPC stream as a body of V2's infer, for bulk scoring: a column per input in, a column per output out.

In the flow: answering → **codec** → answering, as v2.py, of which it takes the bodies that are such streams. Numbers of
the model's own types are not copied. https://arrow.apache.org/docs/format/Columnar.html
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from model_manager.call import Headers
from model_manager.codecs.cells import read_cell
from model_manager.codecs.content import version_headers
from model_manager.codecs.json_text import excerpt
from model_manager.codecs.outputs import OutputChoice
from model_manager.codecs.rows import check_names, refuse_empty, refuse_too_many, way_out
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput, UnsupportedContent, one_line
from model_manager.signature import Array, Column, Layout, PredictRequest, Rows, Signature
from model_manager.version import pip_install

ARROW: Final = b"application/vnd.apache.arrow.stream"
_CONTINUATION: Final = b"\xff\xff\xff\xff"
"""What every message of a stream begins with, and no text."""
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


class ArrowRequest(PredictRequest, frozen=True, eq=False):
    """A request that came as a stream, and is answered with one."""


class V2OrArrowCodec(V2Codec):
    """V2, whose bodies may be Arrow streams where the content type says so."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        super().__init__(signature, max_rows=max_rows, model=model, version=version)
        self._arrow = _ArrowCodec(signature, max_rows=max_rows, model=model, version=version)

    def _decode_as_said(self, headers: Headers, body: bytes) -> PredictRequest:
        if body.startswith(_CONTINUATION) and _is_arrow(headers):
            return self._arrow.decode(headers, body)
        return super()._decode_as_said(headers, body)

    def _formed(self, opening: bytes, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        if type(request) is ArrowRequest:
            return self._arrow.encode(request, results)
        return super()._formed(opening, request, results)


def _is_arrow(headers: Headers) -> bool:
    return any(name == b"content-type" and value.partition(b";")[0].strip().lower() == ARROW for name, value in headers)


class _ArrowCodec:
    """Reads and writes streams for one version; pyarrow is imported when the first of them comes."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._choice = OutputChoice(signature)
        self._headers = [(b"content-type", ARROW), *version_headers(model, version)]
        self._said = {"model_name": model, "model_version": version}

    def decode(self, headers: Headers, body: bytes) -> ArrowRequest:
        """Read a stream. Its schema's metadata may hold `outputs`, names with commas between them, and an `id`."""
        pa = _pyarrow()
        for name, value in headers:
            if name == b"content-encoding" and value.lower() != b"identity":
                raise UnsupportedContent("an Arrow stream is sent with no content encoding")
        rows = _count_rows(body)
        refuse_empty(rows, "the stream")
        refuse_too_many(rows, self._max_rows, "the stream")
        try:
            reader = pa.ipc.open_stream(pa.py_buffer(body))
            _refuse_types(pa, reader.schema)
            table = reader.read_all()
            table.validate(full=True)  # what it points at lies within it
        except (pa.ArrowException, OSError, ValueError, struct.error) as error:
            raise InvalidInput(f"the body is no Arrow stream that can be read: {one_line(error)}") from None
        said = table.schema.metadata or {}
        named = [one.strip() for one in said.get(b"outputs", b"").decode("utf-8", "replace").split(",") if one.strip()]
        chosen = self._choice.choose(named) if named else self._choice.every
        self._choice.refuse_too_large(chosen, rows)
        id = said[b"id"].decode("utf-8", "replace") if b"id" in said else None
        return ArrowRequest(self._rows(pa, table), chosen, id, form=ARROW)

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Write a stream of one batch: several values a row are a list of fixed size."""
        pa = _pyarrow()
        arrays = [_array(pa, results[name]) for name in request.outputs]
        said = self._said | ({"id": request.id} if request.id is not None else {})
        fields = [pa.field(name, array.type) for name, array in zip(request.outputs, arrays, strict=True)]
        schema = pa.schema(fields, metadata=said)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        return self._headers, sink.getvalue().to_pybytes()

    def _rows(self, pa: Any, table: Any) -> Rows:
        signature = self._signature
        names: list[str] = table.schema.names
        if len({*names}) != len(names):
            raise InvalidInput("the stream names two columns alike")
        if signature.layout is Layout.ARRAY and len(names) == 1 and pa.types.is_fixed_size_list(table.schema.types[0]):
            return Rows((self._tensor(pa, table.column(0)),))
        columns = signature.columns or tuple(Column(name, "FP64") for name in names)
        if signature.layout is Layout.TEXT:
            columns = (Column(signature.tensor, "BYTES"),)
        elif signature.layout is Layout.FRAME or signature.named:
            check_names(dict.fromkeys(names), [column.name for column in columns], "the stream")
        if len(names) != len(columns):
            raise InvalidInput(f"the stream: expected {len(columns)} columns, got {len(names)}")
        by_name = signature.layout is Layout.FRAME or signature.named
        given = [table.column(column.name if by_name else at) for at, column in enumerate(columns)]
        blocks = [
            _block(pa, one, column, signature.dtype_of(column)) for one, column in zip(given, columns, strict=True)
        ]
        return Rows(tuple(blocks) if signature.layout is not Layout.ARRAY else (np.column_stack(blocks),))

    def _tensor(self, pa: Any, column: Any) -> Array:
        """The rows of one list column, each as wide as the model's."""
        array = _whole(column)
        columns, width = self._signature.columns, array.type.list_size
        if columns is not None and len(columns) != width:
            raise InvalidInput(f"the stream: expected rows of {len(columns)} columns, got {width}")
        if array.null_count:
            raise InvalidInput("the stream: a whole row is null; send null within a row for what is missing")
        nullable = any(one.nullable for one in columns or ())
        carrier = Column(self._signature.tensor, self._signature.datatype, nullable=nullable)
        return _block(pa, array.flatten(), carrier, self._signature.dtype).reshape(-1, width)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ImportError:
        told = f"Arrow streams are not read here: pyarrow is not installed ({pip_install('arrow')})"
        raise UnsupportedContent(told) from None
    return pa


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _block(pa: Any, given: Any, column: Column, dtype: np.dtype[Any]) -> Array:
    """One column's values: the stream's own memory where it has the very type and nothing is missing or odd."""
    array = _whole(given) if isinstance(given, pa.ChunkedArray) else given
    found = _numbers(pa, array, dtype) if dtype.kind in "iuf" else None
    if found is not None and (dtype.kind != "f" or _undoubted(found, column)):
        return found
    block: Array = np.empty(len(array), dtype=dtype)
    for row, value in enumerate(_values(pa, array)):
        try:
            block[row] = read_cell(value, column, dtype)
        except InvalidInput as refused:
            told = f"the stream: row {row}, column {excerpt(column.name)}: {refused}{way_out(column, value)}"
            raise InvalidInput(told) from None
    return block


def _numbers(pa: Any, array: Any, dtype: np.dtype[Any]) -> Array | None:
    """Numbers as this dtype, NaN for null; None where that is for read_cell to say."""
    target = pa.from_numpy_dtype(dtype)
    numeric = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    if not numeric or (dtype.kind != "f" and (array.null_count or not pa.types.is_integer(array.type))):
        return None
    if array.type != target:
        try:
            array = array.cast(target)
        except pa.ArrowInvalid:  # a whole number that does not fit
            return None
    found: Array = array.to_numpy(zero_copy_only=False)
    return found


def _undoubted(block: Array, column: Column) -> bool:
    if column.datatype not in ("FP64", "FP32"):  # whole numbers that are held as floats
        return False
    return bool(np.isfinite(block).all()) or (column.nullable and not np.isinf(block).any())


def _values(pa: Any, array: Any) -> list[Any]:
    """Values as JSON would carry them; those of a dictionary once each, however many rows share one."""
    if pa.types.is_dictionary(array.type):
        known = _values(pa, array.dictionary)
        return [None if at is None else known[at] for at in array.indices.to_pylist()]
    if pa.types.is_temporal(array.type):
        return [_moment(one, row) for row, one in enumerate(array)]
    values: list[Any] = array.to_pylist()
    return values


def _moment(scalar: Any, row: int) -> str | None:
    try:
        moment = scalar.as_py()
        return None if moment is None else str(moment.isoformat())
    except (OverflowError, ValueError) as error:
        raise InvalidInput(f"the stream: row {row}: a date that no calendar has: {one_line(error)}") from None


def _array(pa: Any, results: Array) -> Any:
    flat = results.reshape(-1) if results.ndim > 1 else results
    if flat.dtype == object:
        made = pa.array([None if one is None else str(one) for one in flat.tolist()], pa.string())
    else:
        made = pa.array(flat)
    return made if results.ndim == 1 else pa.FixedSizeListArray.from_arrays(made, int(np.prod(results.shape[1:])))


def _refuse_types(pa: Any, schema: Any) -> None:
    """Raise InvalidInput for types of which a small stream may make much memory, or which no model takes."""
    for field in schema:
        inner = field.type
        if pa.types.is_dictionary(inner) or pa.types.is_fixed_size_list(inner):
            inner = inner.value_type
        plain = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
        more = (pa.types.is_large_string, pa.types.is_timestamp, pa.types.is_date, pa.types.is_null)
        if not any(fits(inner) for fits in (*plain, *more)):
            told = f"column {excerpt(field.name)} is of the type {excerpt(str(field.type))}"
            raise InvalidInput(f"the stream: {told}; send numbers, truths, text, dates or dictionaries of these")


def _count_rows(body: bytes) -> int:
    """Count the rows of a stream by its messages, before any of them is unpacked.

    Raises InvalidInput for one that is cut short or compressed: nothing would bound what that unpacks to.
    """
    at = rows = 0
    try:
        while at < len(body):
            mark, size = struct.unpack_from("<4si", body, at)
            if mark != _CONTINUATION or size < 0:
                raise InvalidInput("the body is no Arrow stream that can be read: a message has no beginning")
            if size == 0:
                return rows
            at += 8
            message = _Table(body, at + struct.unpack_from("<I", body, at)[0])
            kind = message.number(1, "<B")
            if kind in (_DICTIONARY_BATCH, _RECORD_BATCH):
                batch = message.table(2)
                if kind == _DICTIONARY_BATCH:
                    batch = batch.table(1)
                elif (count := batch.number(0, "<q")) >= 0:
                    rows += count
                if batch.has(3):
                    raise InvalidInput("the stream is compressed; send it uncompressed")
            at += size + message.number(3, "<q")
    except struct.error:
        raise InvalidInput("the body is no Arrow stream that can be read: it is cut short") from None
    return rows


class _Table:
    """A table of a flatbuffer, read where it lies. Raises struct.error for what lies outside."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if at < 0 or self._fields < 0:
            raise struct.error("it points outside")
        self._size = struct.unpack_from("<H", data, self._fields)[0]

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self._offset(field) != 0

    def number(self, field: int, format: str) -> int:
        """A number; 0 where it is left out."""
        offset = self._offset(field)
        return int(struct.unpack_from(format, self._data, self._at + offset)[0]) if offset else 0

    def table(self, field: int) -> "_Table":
        """A table within this one."""
        offset = self._offset(field)
        if not offset:
            raise struct.error("there is no such table")
        place = self._at + offset
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def _offset(self, field: int) -> int:
        entry = 4 + 2 * field
        return int(struct.unpack_from("<H", self._data, self._fields + entry)[0]) if entry < self._size else 0
