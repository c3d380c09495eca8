"""Rows to a process of a model and answers back, through memory that both have mapped.

In the flow: isolated predictor (server) → **shared memory** → isolated child, and back. One of the two has its turn; it
writes blocks from the beginning on and a header behind them, and tells the other where that is. Numbers lie there as
they are. The server pickles what rows hold of objects. What a child wrote is foreign: it is copied, then checked, and
nothing of it is unpickled.
"""

import fcntl
import mmap
import os
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from model_manager.errors import PredictionFailed
from model_manager.signature import DTYPES, Array, Output, Rows

_LEAST_BYTES: Final = 1 << 20  # of addresses: pages come with their use
_KEPT_BYTES: Final = 4 << 20
_MOST_ANSWER_BYTES: Final = 1 << 30
_MOST_OBJECT_BYTES: Final = 64 << 20
_MOST_HEADER_BYTES: Final = 16 << 20  # of a table with half a million columns
_MOST_DIMENSIONS: Final = 8
_ALIGNED: Final = 64
_OBJECTS: Final = "O"

Place: TypeAlias = tuple[int, int]
"""Where a header begins, and its length in bytes."""


class Garbled(Exception):
    """What the other side wrote is not what it should."""


class Block(msgspec.Struct, frozen=True, array_like=True):
    """An array: its dtype as numpy writes it, its shape, whether columns come first, where it begins, its bytes."""

    dtype: str
    shape: tuple[int, ...]
    columns_first: bool
    at: int
    bytes: int


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A batch: the outputs asked for, and its rows."""

    outputs: tuple[str, ...]
    blocks: tuple[Block, ...]


class Given(msgspec.Struct, frozen=True, tag=True):
    """The answers, one block for each output."""

    blocks: dict[str, Block]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A PredictionFailed."""

    message: str
    shown: str


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_asked: Final = msgspec.msgpack.Decoder(Asked).decode
_decode_answer: Final = msgspec.msgpack.Decoder(Given | Failed).decode


class SharedMemory:
    """The memory, as one of its two sides has it mapped. It grows when a batch needs more, and cannot be made smaller:

    a process that reads mapped memory which somebody cut off is killed.
    """

    def __init__(self, file: int) -> None:
        """`file` is the descriptor of the memory, which this closes."""
        self.file = file
        self._mapped = mmap.mmap(file, os.fstat(file).st_size)
        self._used = 0

    @classmethod
    def create(cls) -> "SharedMemory":
        """New memory. Raises OSError."""
        file = os.memfd_create("rows", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(file, _LEAST_BYTES)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            return cls(file)
        except BaseException:
            os.close(file)
            raise

    def close(self) -> None:
        """Let go of it; its pages go with the last who has it mapped."""
        os.close(self.file)
        with suppress(BufferError):  # an array that an error still refers to: it goes with that
            self._mapped.close()

    def write_rows(self, rows: Rows, outputs: tuple[str, ...]) -> Place:
        """Write a batch."""
        blocks, at, pickled = [], 0, {}
        for position, block in enumerate(rows.blocks):
            if block.dtype.hasobject:
                pickled[position] = pickle.dumps(block, 5)
                made = Block(_OBJECTS, block.shape, False, at, len(pickled[position]))
            else:
                columns_first = block.flags.f_contiguous and not block.flags.c_contiguous
                made = Block(block.dtype.str, block.shape, columns_first, at, block.nbytes)
            blocks.append(made)
            at += _aligned(made.bytes)
        self._fit(at)
        for position, (made, block) in enumerate(zip(blocks, rows.blocks, strict=True)):
            if position in pickled:
                self._mapped[made.at : made.at + made.bytes] = pickled[position]
            else:
                np.copyto(self._view(made, block.dtype), block)
        return self._write_header(Asked(outputs, tuple(blocks)), at)

    def read_rows(self, place: Place) -> tuple[Rows, tuple[str, ...]]:
        """Read a batch; its arrays are copies, which the model may keep or change."""
        asked = _decode_asked(self._read_header(place))
        blocks: list[Array] = []
        for block in asked.blocks:
            if block.dtype == _OBJECTS:
                blocks.append(pickle.loads(self._mapped[block.at : block.at + block.bytes]))  # by the server
            else:
                view = self._view(block, np.dtype(block.dtype))
                blocks.append(view.copy(order="F" if block.columns_first else "C"))
        return Rows(tuple(blocks)), asked.outputs

    def write_answers(self, answers: Mapping[str, Array]) -> Place:
        """Write answers, which are of their declared dtypes. Raises whatever a value raises that has no plain form."""
        blocks, at = {}, 0
        for name, answer in answers.items():
            plain = _object_bytes(answer) if answer.dtype.hasobject else np.ascontiguousarray(answer)
            size = len(plain) if isinstance(plain, bytes) else plain.nbytes
            block = Block(answer.dtype.str, answer.shape, False, at, size)
            self._fit(at + size)
            if isinstance(plain, bytes):
                self._mapped[at : at + size] = plain
            else:
                np.copyto(self._view(block, plain.dtype), plain)
            blocks[name] = block
            at += _aligned(size)
        return self._write_header(Given(blocks), at)

    def write_failure(self, message: str, shown: str) -> Place:
        """Write that there is no answer, and why."""
        return self._write_header(Failed(_text(message), _text(shown)), 0)

    def read_answers(self, place: Place, count: int, outputs: Sequence[Output]) -> dict[str, Array]:
        """Read the answers to `count` rows, and check them. Raises PredictionFailed, as told, and Garbled."""
        try:
            answer = _decode_answer(self._read_header(place))
            if isinstance(answer, Failed):
                raise PredictionFailed(answer.message[:2000], shown=answer.shown[:200])
            return {output.name: self._answer(answer.blocks[output.name], count, output) for output in outputs}
        except (msgspec.DecodeError, KeyError, ValueError, OverflowError, RecursionError) as error:
            raise Garbled(f"what it answered cannot be read ({type(error).__name__})") from error

    def tidy(self) -> None:
        """Give back the pages of a large batch."""
        if self._used > _KEPT_BYTES:
            self._mapped.madvise(mmap.MADV_REMOVE)
            self._used = 0

    def _answer(self, block: Block, count: int, output: Output) -> Array:
        dtype, shape = DTYPES[output.datatype], block.shape
        if not 0 < len(shape) <= _MOST_DIMENSIONS or min(shape) < 0 or shape[0] != count:
            raise Garbled(f"it answered {list(shape)} to {count} rows")
        values = prod(shape)
        if dtype.hasobject:
            self._check(block.at, block.bytes, _MOST_OBJECT_BYTES)
            return _objects(self._mapped[block.at : block.at + block.bytes], values).reshape(shape)
        if block.bytes != values * dtype.itemsize:
            raise Garbled(f"it answered {block.bytes} bytes for {values} numbers")
        self._check(block.at, block.bytes, _MOST_ANSWER_BYTES)
        stored = np.dtype(np.uint8) if dtype.kind == "b" else dtype  # a boolean is 0 or 1, and nothing else
        return np.frombuffer(self._mapped, stored, values, block.at).reshape(shape).astype(dtype)

    def _read_header(self, place: Place) -> bytes:
        at, length = place
        self._check(at, length, _MOST_HEADER_BYTES)
        return self._mapped[at : at + length]

    def _write_header(self, header: Asked | Given | Failed, at: int) -> Place:
        encoded = _encode(header)
        self._fit(at + len(encoded))
        self._mapped[at : at + len(encoded)] = encoded
        return at, len(encoded)

    def _check(self, at: int, length: int, most: int) -> None:
        """See that the other side speaks of memory that there is, and have that mapped."""
        if not (0 <= at <= 4 * _MOST_ANSWER_BYTES and 0 <= length <= most):
            raise Garbled("it told of a place that is none")
        if at + length > len(self._mapped):
            size = os.fstat(self.file).st_size
            if at + length > size:
                raise Garbled("it told of memory that is not there")
            self._mapped = mmap.mmap(self.file, size)
        self._used = max(self._used, at + length)

    def _fit(self, size: int) -> None:
        """See that there is so much memory."""
        self._used = max(self._used, size)
        if size > len(self._mapped):
            there = os.fstat(self.file).st_size
            if size > there:
                there = max(2 * there, _aligned(size))
                os.ftruncate(self.file, there)
            self._mapped = mmap.mmap(self.file, there)

    def _view(self, block: Block, dtype: np.dtype[Any]) -> Array:
        flat = np.frombuffer(self._mapped, dtype, prod(block.shape), block.at)
        return flat.reshape(block.shape, order="F" if block.columns_first else "C")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _plain(value: object) -> object:
    """Unwrap the numpy scalars that object arrays may hold, as JSON would be written of them."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"an output holds a {type(value).__name__}, which no message can carry")


def _no_extension(code: int, data: memoryview) -> object:
    raise ValueError("an extension type")


_encode_value: Final = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode_value: Final = msgspec.msgpack.Decoder(ext_hook=_no_extension).decode


def _object_bytes(answer: Array) -> bytes:
    """The length of every value, then the values, in msgpack."""
    values = [_encode_value(value) for value in answer.reshape(-1).tolist()]
    return np.array([len(value) for value in values], np.uint32).tobytes() + b"".join(values)


def _objects(stored: bytes, count: int) -> Array:
    begin = 4 * count
    if begin > len(stored):
        raise Garbled(f"it answered {len(stored)} bytes for {count} values")
    lengths = np.frombuffer(stored, np.uint32, count).tolist()
    if begin + sum(lengths) != len(stored):
        raise Garbled("the lengths of what it answered are not those of what it wrote")
    values = np.empty(count, object)
    for index, length in enumerate(lengths):
        values[index] = _decode_value(stored[begin : begin + length])
        begin += length
    return values


def _text(text: str) -> str:
    return text[:2000].encode(errors="replace").decode()
