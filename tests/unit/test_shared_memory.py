"""Shared memory: rows and answers come over as they were, and what a model's process wrote is looked at first."""

import os
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.serving.shared_memory import Block, Failed, Garbled, Given, SharedMemory
from model_manager.signature import DTYPES, Array, Datatype, Output, Rows

ROWS = {
    "numbers": Rows((np.arange(12.0).reshape(3, 4),)),
    "columns first": Rows((np.asfortranarray(np.arange(12.0).reshape(3, 4)),)),
    "every other": Rows((np.arange(24.0).reshape(3, 8)[:, ::2],)),
    "one of many": Rows((np.arange(12.0, dtype=np.float32).reshape(3, 4)[1:2],)),
    "none": Rows((np.empty((0, 4)),)),
    "gaps": Rows((np.array([np.nan, np.inf, -0.0]),)),
    "texts": Rows((np.array(["", "grüezi", "𝄞", "a\0b"], object),)),
    "boxed": Rows((np.array([[1, True, None, np.nan, "x"], [2.5, False, -1, 2**60, ""]], object),)),
    "a table": Rows(
        (
            np.array([1, -1], np.int8),
            np.array(["a", None], object),
            np.array(["2024-02-29", "NaT"], "datetime64[ns]"),
            np.array([True, False]),
            np.array([1.5, 2.5], np.float16),
        )
    ),
}


WIDE = Rows(tuple(np.array([float(column)]) for column in range(60_000)))


def two_sides() -> tuple[SharedMemory, SharedMemory]:
    server = SharedMemory.create()
    return server, SharedMemory(os.dup(server.file))


def assert_same(one: Array, other: Array) -> None:
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    if one.dtype.hasobject:
        assert [(type(value), repr(value)) for value in one.ravel()] == [(type(v), repr(v)) for v in other.ravel()]
    else:
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", ROWS)
def test_rows_come_over_as_they_were(name: str) -> None:
    server, child = two_sides()
    rows, outputs = child.read_rows(server.write_rows(ROWS[name], ("predict", "std")))
    assert outputs == ("predict", "std")
    for got, sent in zip(rows.blocks, ROWS[name].blocks, strict=True):
        assert_same(got, sent)
        assert got.flags.f_contiguous == sent.flags.f_contiguous or not sent.flags.contiguous
        assert got.flags.writeable
        assert got.flags.owndata or got.base is not None
    for side in (server, child):
        side.close()


def test_a_very_wide_table_comes_over() -> None:
    server, child = two_sides()
    rows, _ = child.read_rows(server.write_rows(WIDE, ("predict",)))
    assert [block[0] for block in rows.blocks] == [block[0] for block in WIDE.blocks]
    for side in (server, child):
        side.close()


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 2), (3, 0)])
def test_answers_come_over_as_they_were(datatype: Datatype, shape: tuple[int, ...]) -> None:
    server, child = two_sides()
    count = int(np.prod(shape))
    plain: list[Any] = ["grün", 1, None, 2.5, True, "", -(2**63), float("inf"), "x", [1, "y"], b"bytes", {"a": 1}]
    values = plain[:count] if datatype == "BYTES" else list(range(count))
    answer = np.empty(count, object)
    for index, value in enumerate(values):
        answer[index] = value
    made = answer.reshape(shape).astype(DTYPES[datatype], copy=False)
    output = Output("predict", datatype, (-1, *shape[1:]))
    got = server.read_answers(child.write_answers({"predict": np.asfortranarray(made)}), 3, [output])
    assert_same(got["predict"], made)
    for side in (server, child):
        side.close()


def test_labels_of_numpy_come_over_as_json_would_show_them() -> None:
    server, child = two_sides()
    labels = np.array([np.str_("a"), np.int64(2), np.float32(0.5)], object)
    got = server.read_answers(child.write_answers({"predict": labels}), 3, [Output("predict", "BYTES", (-1,))])
    assert got["predict"].tolist() == ["a", 2, 0.5]
    for side in (server, child):
        side.close()


def test_it_grows_from_either_side_and_gives_pages_back_and_nobody_can_cut_it_off() -> None:
    server, child = two_sides()
    large = Rows((np.random.default_rng(0).normal(size=(3, 400_000)),))
    rows, _ = child.read_rows(server.write_rows(large, ("transform",)))
    assert_same(rows.blocks[0], large.blocks[0])
    answer = np.random.default_rng(1).normal(size=(3, 900_000))
    output = Output("transform", "FP64", (-1, -1))
    assert_same(server.read_answers(child.write_answers({"transform": answer}), 3, [output])["transform"], answer)
    assert os.fstat(server.file).st_blocks * 512 > answer.nbytes
    server.tidy()
    assert os.fstat(server.file).st_blocks == 0
    with pytest.raises(PermissionError):
        os.ftruncate(child.file, 0)
    for side in (server, child):
        side.close()


def test_a_failure_comes_over_in_its_own_words() -> None:
    server, child = two_sides()
    with pytest.raises(PredictionFailed, match=r"^row 3: \?$") as failed:
        server.read_answers(child.write_failure("row 3: \ud800", "predict raised"), 1, [])
    assert failed.value.shown == "predict raised"
    for side in (server, child):
        side.close()


def numbers(**changed: Any) -> dict[str, Block]:
    block = Block("<f8", (3,), False, 0, 24)
    return {"predict": msgspec.structs.replace(block, **changed)}


@pytest.mark.parametrize(
    "blocks",
    [
        {},
        numbers(shape=(2,), bytes=16),
        numbers(shape=()),
        numbers(shape=(3, -1)),
        numbers(shape=(3, 2**40)),
        numbers(shape=(3, 2**62)),
        numbers(shape=(3,) * 30, bytes=8 * 3**30),
        numbers(bytes=23),
        numbers(at=-8),
        numbers(at=2**62),
        numbers(at=(1 << 20) - 8),
        numbers(shape=(3, 1 << 28), bytes=3 << 31),
    ],
)
def test_numbers_that_are_not_what_was_declared_are_refused(blocks: dict[str, Block]) -> None:
    server, child = two_sides()
    with pytest.raises(Garbled):
        server.read_answers(child._write_header(Given(blocks), 64), 3, [Output("predict", "FP64", (-1,))])
    for side in (server, child):
        side.close()


LENGTHS = struct.Struct("<3I")


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        LENGTHS.pack(1, 1, 1),
        LENGTHS.pack(2**32 - 1, 1, 1) + b"\xc0" * 3,
        LENGTHS.pack(1, 1, 1) + b"\xc0" * 4,
        LENGTHS.pack(1, 1, 1) + b"\xc1" * 3,  # no msgpack
        LENGTHS.pack(2, 1, 0) + b"\xc0" * 3,
        LENGTHS.pack(2, 3, 1) + b"\xa1\xff" + b"\xd4\x07\x00" + b"\xc0",  # no UTF-8, and an extension
        LENGTHS.pack(1, 20_000, 1) + b"\xc0" + b"\x91" * 20_000 + b"\xc0",  # nested deeply
    ],
)
def test_texts_that_are_not_what_they_should_be_are_refused(stored: bytes) -> None:
    server, child = two_sides()
    child._mapped[: len(stored)] = stored
    place = child._write_header(Given({"predict": Block("|O", (3,), False, 0, len(stored))}), 1 << 16)
    with pytest.raises(Garbled):
        server.read_answers(place, 3, [Output("predict", "BYTES", (-1,))])
    for side in (server, child):
        side.close()


@pytest.mark.parametrize("place", [(0, 2**40), (2**63, 8), (2**62, 8), (1 << 20, 1), (0, 0), (0, 16)])
def test_a_header_that_is_none_is_refused(place: tuple[int, int]) -> None:
    server, child = two_sides()
    with pytest.raises(Garbled):
        server.read_answers(place, 3, [])
    for side in (server, child):
        side.close()


def test_a_boolean_is_one_whatever_was_written() -> None:
    server, child = two_sides()
    child._mapped[:3] = b"\x00\x01\xff"
    place = child._write_header(Given({"predict": Block("|b1", (3,), False, 0, 3)}), 64)
    got = server.read_answers(place, 3, [Output("predict", "BOOL", (-1,))])
    assert got["predict"].tobytes() == b"\x00\x01\x01"
    for side in (server, child):
        side.close()


def test_what_a_failure_says_is_bounded() -> None:
    server, child = two_sides()
    place = child._write_header(Failed("m" * 100_000, "s" * 100_000), 0)
    with pytest.raises(PredictionFailed) as failed:
        server.read_answers(place, 1, [])
    assert (len(str(failed.value)), len(failed.value.shown)) == (2000, 200)
    for side in (server, child):
        side.close()
