"""Arrow and Parquet files → pieces, and pieces with new columns → such files; needs pyarrow.

Place in the flow: beside sources. What is written of a run that is not finished are Arrow streams one after another,
each whole by itself; in the end they become one file of the kind that was read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from model_manager.errors import TableRefused, one_line
from model_manager.scoring.added import AddedColumn
from model_manager.scoring.sources import Piece, Values
from model_manager.signature import Datatype
from model_manager.tables.table_files import Table, table_of

_TYPES: Final[dict[Datatype, Any]] = {
    "BOOL": pa.bool_(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "FP16": pa.float16(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BYTES": pa.string(),
}


class ColumnarSource:
    """A Parquet file, an Arrow file (Feather) or an Arrow stream, read batch by batch."""

    notes: Sequence[str] = ()

    def __init__(self, file: BinaryIO, kind: str, source: str) -> None:
        self.kind = kind
        self._source = source
        self.rows: int | None = None
        try:
            if kind == "parquet":
                self._parquet = pq.ParquetFile(file)
                self.rows, self._schema = self._parquet.metadata.num_rows, self._parquet.schema_arrow
            else:
                self._reader = pa.ipc.open_stream(file) if kind == "arrow stream" else pa.ipc.open_file(file)
                self._schema = self._reader.schema
        except Exception as error:  # pyarrow raises what it likes for a damaged file
            raise self._unreadable(error) from error

    def names(self) -> Sequence[str]:
        """The names in its schema."""
        return list(self._schema.names)

    def pieces(self, at_once: int, *, skip: int) -> Iterator[Piece]:
        """Read batches, cut to size."""
        start = 0
        for batch in self._batches(at_once):
            for at in range(0, batch.num_rows, at_once):
                part = batch.slice(at, at_once)
                if start + part.num_rows > skip:
                    yield self._piece(part.slice(max(0, skip - start)), max(start, skip))
                start += part.num_rows
        if not start:
            raise TableRefused(f"{self._source}: it has no rows")

    def head(self, added: Sequence[AddedColumn]) -> bytes:
        """Nothing: a stream says itself what it holds."""
        return b""

    def body(self, piece: Piece, added: Sequence[AddedColumn], values: Values) -> bytes:
        """The batch and the new columns, as a stream of one batch."""
        table = pa.Table.from_batches([piece.written])
        for column, of_column in zip(added, values, strict=True):
            kind = _TYPES[column.datatype]
            plain = [None if one is None else str(one) for one in of_column] if kind == pa.string() else of_column
            table = table.append_column(column.name, pa.array(plain, kind))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    def finish(self, parts: BinaryIO, out: BinaryIO) -> None:
        """Write the streams as one file."""
        writer: Any = None
        while parts.peek(1):  # type: ignore[attr-defined]  # a buffered reader's
            with pa.ipc.open_stream(parts) as reader:
                for batch in reader:
                    flat = self._flat(batch)
                    if writer is None:
                        writer = self._writer(out, flat.schema)
                    writer.write_batch(flat)
        if writer is not None:
            writer.close()

    def _writer(self, out: BinaryIO, schema: Any) -> Any:
        if self.kind == "parquet":
            return pq.ParquetWriter(out, schema)
        return pa.ipc.new_stream(out, schema) if self.kind == "arrow stream" else pa.ipc.new_file(out, schema)

    def _flat(self, batch: Any) -> Any:
        """In an Arrow file, dictionaries as what they stand for: it has one for all batches, and these have others."""
        if self.kind != "arrow file" or not any(pa.types.is_dictionary(one) for one in batch.schema.types):
            return batch
        types = [one.type.value_type if pa.types.is_dictionary(one.type) else one.type for one in batch.schema]
        schema = pa.schema(
            [one.with_type(kind) for one, kind in zip(batch.schema, types, strict=True)], batch.schema.metadata
        )
        return pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()[0]

    def _batches(self, at_once: int) -> Iterator[Any]:
        try:
            if self.kind == "parquet":
                yield from self._parquet.iter_batches(batch_size=at_once)
            elif self.kind == "arrow stream":
                yield from self._reader
            else:
                for number in range(self._reader.num_record_batches):
                    yield self._reader.get_batch(number)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _piece(self, batch: Any, first: int) -> Piece:
        try:
            read = table_of(batch.to_pandas(), source=self._source)
        except TableRefused as refused:
            raise TableRefused(f"{self._source}: {refused}") from refused
        return Piece(Table(self._source, read.columns, read.rows, first=first), batch)

    def _unreadable(self, error: BaseException) -> TableRefused:
        return TableRefused(f"{self._source}: it cannot be read as {self.kind}: {one_line(error)}")
