"""Arrow streams: the same rows and answers as JSON, memory that is not copied, and hostile bytes refused."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.codecs.arrow import ARROW, V2OrArrowCodec
from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput, UnsupportedContent
from model_manager.signature import Column, Layout, Moments, Output, Signature

HEADERS = [(b"content-type", ARROW)]
OUTPUTS = (Output("predict", "BYTES", (-1,)), Output("predict_proba", "FP64", (-1, 2)))
FRAME = Signature(
    Layout.FRAME,
    (
        Column("size", "FP64"),
        Column("count", "INT64", nullable=True),
        Column("city", "BYTES", nullable=True),
        Column("new", "BOOL"),
        Column("day", "BYTES", moments=Moments("ns")),
    ),
    True,
    OUTPUTS,
)
NUMBERS = Signature(Layout.ARRAY, tuple(Column(name, "FP64") for name in ("a", "b")), True, OUTPUTS)
ROWS: list[dict[str, Any]] = [
    {"size": 1.5, "count": 3, "city": "Köln", "new": True, "day": "2026-01-31T00:00:00"},
    {"size": -2.0, "count": None, "city": None, "new": False, "day": "1999-12-31T00:00:00"},
    {"size": 0.0, "count": -7, "city": "Köln", "new": True, "day": "2026-01-31T12:30:00"},
]


def codec(signature: Signature, max_rows: int = 100) -> V2OrArrowCodec:
    return V2OrArrowCodec(signature, max_rows=max_rows, model="m", version="1")


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def mixed() -> pa.Table:
    frame = pd.DataFrame(ROWS).assign(day=pd.to_datetime([row["day"] for row in ROWS]))
    frame["city"] = frame["city"].astype("category")
    return pa.Table.from_pandas(frame, preserve_index=False)


def test_a_frame_is_read_as_the_same_rows_of_json_are() -> None:
    table = mixed().select(["new", "day", "city", "count", "size"])  # in another order
    request = codec(FRAME).decode(HEADERS, stream(pa.concat_tables([table, table]), allow_64bit=True))
    expected = rows_from_instances([*ROWS, *ROWS], FRAME)
    for found, wanted in zip(request.rows.blocks, expected.blocks, strict=True):
        assert found.dtype == wanted.dtype
        pd.testing.assert_series_equal(pd.Series(found), pd.Series(wanted))
    assert request.outputs == ("predict", "predict_proba")


def test_numbers_of_the_very_type_are_not_copied() -> None:
    signature = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "INT64")), True, OUTPUTS)
    body = stream(pa.table({"a": np.arange(1000.0), "b": np.arange(1000)}))
    request = codec(signature, 1000).decode(HEADERS, body)
    begin = pa.py_buffer(body).address
    for block in request.rows.blocks:
        assert begin <= block.__array_interface__["data"][0] < begin + len(body)
    tensor = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2000.0)), 2)
    body = stream(pa.table({"input": tensor}))
    (block,) = codec(NUMBERS, 1000).decode(HEADERS, body).rows.blocks
    assert block.tolist() == np.arange(2000.0).reshape(1000, 2).tolist()
    assert pa.py_buffer(body).address <= block.__array_interface__["data"][0] < pa.py_buffer(body).address + len(body)


def test_answers_are_streams_and_name_the_version() -> None:
    table = pa.table({"b": [1.0, 2.0], "a": [3, 4]}).replace_schema_metadata(
        {"outputs": "predict_proba,predict", "id": "7"}
    )
    v2 = codec(NUMBERS)
    request = v2.decode(HEADERS, stream(table))
    assert request.rows.blocks[0].tolist() == [[3.0, 1.0], [4.0, 2.0]]
    labels: Any = np.array(["no", "yes"], dtype=object)
    headers, body = v2.encode(request, {"predict": labels, "predict_proba": np.array([[1.0, 0.0], [0.25, 0.75]])})
    assert dict(headers)[b"content-type"] == ARROW
    answer = pa.ipc.open_stream(body).read_all()
    assert answer.column_names == ["predict_proba", "predict"]
    assert answer["predict"].to_pylist() == ["no", "yes"]
    assert answer["predict_proba"].to_pylist() == [[1.0, 0.0], [0.25, 0.75]]
    assert answer.schema.metadata == {b"model_name": b"m", b"model_version": b"1", b"id": b"7"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"a": [1.0, 2.0]}), '"b"'),
        (pa.table({"a": [1.0], "b": [1.0], "c": [1.0]}), '"c"'),
        (pa.table({"a": [1.0, None], "b": [1.0, 2.0]}), 'row 1, column "a"'),
        (pa.table({"a": [1.0, 2.0], "b": [1.0, float("nan")]}), 'row 1, column "b"'),
        (pa.table({"a": [1.0, float("inf")], "b": [1.0, 2.0]}), 'row 1, column "a"'),
        (pa.table({"a": ["x"], "b": [1.0]}), 'row 0, column "a": expected a number (FP64), got "x"'),
        (pa.table({"a": [[1.0]], "b": [1.0]}), "is of the type"),
        (pa.table({"a": pa.array([], pa.float64()), "b": pa.array([], pa.float64())}), "no rows"),
        (pa.table({"a": pa.nulls(200), "b": pa.nulls(200)}), "200"),
        (pa.table({"input": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0]), 3)}), "got 3"),
        (pa.table({"a": [1.0], "b": [1.0]}).replace_schema_metadata({"outputs": "wings"}), '"wings"'),
    ],
)
def test_what_does_not_fit_is_named_by_place(table: pa.Table, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        codec(NUMBERS).decode(HEADERS, stream(table))
    assert said in str(refused.value)


def test_what_would_unpack_to_more_is_refused_before_it_is_read() -> None:
    table = pa.table({"a": np.zeros(10), "b": np.zeros(10)})
    for compression in ("lz4", "zstd"):
        with pytest.raises(InvalidInput, match="compressed"):
            codec(NUMBERS).decode(HEADERS, stream(table, compression=compression))
    words = pa.table({"a": pa.array(["x"] * 9).dictionary_encode(), "b": np.zeros(9)})
    with pytest.raises(InvalidInput, match="compressed"):
        codec(NUMBERS).decode(HEADERS, stream(words, compression="zstd"))
    with pytest.raises(UnsupportedContent):
        codec(NUMBERS).decode([*HEADERS, (b"content-encoding", b"gzip")], stream(table))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_that_no_calendar_has_are_refused(unit: str) -> None:
    far = pa.array([2**62, 0, 1], pa.timestamp(unit))
    table = mixed().set_column(4, "day", far)
    assert table.column_names == [column.name for column in FRAME.columns or ()]
    if unit == "ns":  # it is the year 2116
        assert len(codec(FRAME).decode(HEADERS, stream(table)).rows) == 3
        return
    with pytest.raises(InvalidInput, match="row 0"):
        codec(FRAME).decode(HEADERS, stream(table))


def test_other_types_are_no_streams() -> None:
    with pytest.raises((UnsupportedContent, InvalidInput)):
        codec(NUMBERS).decode([(b"content-type", b"application/json")], stream(pa.table({"a": [1.0], "b": [1.0]})))


BODY = stream(mixed())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(BODY)), st.lists(st.tuples(st.integers(0, len(BODY) - 1), st.integers(0, 255)), max_size=6))
def test_damaged_streams_are_refused_or_read_and_raise_nothing_else(
    length: int, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(BODY)
    for at, value in changes:
        damaged[at] = value
    body = bytes(damaged[:length] if not changes else damaged)
    try:
        request = codec(FRAME).decode(HEADERS, body)
    except (InvalidInput, UnsupportedContent):
        return
    assert 0 < len(request.rows) <= 100
