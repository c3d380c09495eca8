"""One large V2 tensor of numbers, from text straight into a numpy buffer, with no Python object for any number.

In front of the typed decoders of V2, for bodies in which numbers are nearly everything. simdjson parses the whole body
once; like every fast path, whatever is not surely right raises Doubt and is read by the next. So is everything where
simdjson is not installed (the extra `fast`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_manager.codecs.bounds import LARGE_BODY
from model_manager.codecs.cells import FLOAT_LIMITS
from model_manager.codecs.typed_decoding import Blocks, Doubt
from model_manager.signature import Array, Layout, Signature

try:
    import simdjson
except ImportError:
    _Parser: Any = None
else:
    _Parser = simdjson.Parser

SMALLEST_BODY = 16 * 1024
"""In bytes; below this the typed decoders are as quick."""

_REQUEST_KEYS = frozenset({"inputs", "id", "outputs", "parameters", "model_name", "model_version"})
_TENSOR_KEYS = frozenset({"name", "shape", "datatype", "data", "parameters"})
_PLAIN_PARAMETERS = {"content_type": "np"}


@dataclass(frozen=True, slots=True)
class LargeRequest:
    """What a large body holds: the blocks, and the few small things around them."""

    blocks: Blocks
    id: str | None
    outputs: tuple[str, ...]


class LargeTensors:
    """Read bodies with one tensor of floats for one signature; `usable` where that can be all of a version's input.

    Only those that are usable may read.
    """

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns
        self._frame = signature.layout is Layout.FRAME
        self._names = frozenset(column.name for column in columns or () if self._frame or signature.named)
        self._width = None if columns is None else len(columns)
        floats = columns is None or (
            {column.datatype for column in columns} == {"FP64"} and not any(column.boxed for column in columns)
        )
        self.usable = _Parser is not None and floats and signature.layout is not Layout.TEXT
        self._parser: Any = _Parser() if self.usable else None

    def read(self, body: bytes) -> LargeRequest:
        """Read a whole body. Raises Doubt."""
        # A parser keeps what its largest document took, and is one thread's: a large body is read on another.
        parser = self._parser if len(body) < LARGE_BODY else _Parser()
        try:
            return self._read(parser.parse(body), body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Doubt from error
        except RuntimeError as error:  # something still holds on to the last document
            self._parser = _Parser()
            raise Doubt from error

    def _read(self, document: Any, body: bytes) -> LargeRequest:
        keys = _keys(document, _REQUEST_KEYS)
        (tensor,) = document["inputs"]
        if "parameters" in _keys(tensor, _TENSOR_KEYS) and dict(tensor["parameters"]) != _PLAIN_PARAMETERS:
            raise Doubt
        if tensor["name"] in self._names or "parameters" in keys:
            raise Doubt
        brackets = 3  # inputs, shape, data
        outputs: tuple[str, ...] = ()
        if "outputs" in keys and document["outputs"] is not None:
            outputs = tuple(_output_name(output) for output in document["outputs"])
            brackets += 1
        id = document["id"] if "id" in keys else None
        if not isinstance(id, str | None):
            raise Doubt
        rows, width = tensor["shape"]
        block, nested = _numbers(tensor, rows, width)
        # Flattening hides how rows were nested: so as many brackets as there should be, and every row of one length.
        if np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")) != brackets + (rows if nested else 0):
            raise Doubt
        if width != (self._width or width):
            raise Doubt
        return LargeRequest(tuple(block.T) if self._frame else (block,), id, outputs)


def _keys(value: Any, known: frozenset[str]) -> list[str]:
    """The keys of an object, if it has none twice and none that is not known."""
    keys = list(value.keys())
    if len(set(keys)) != len(keys) or not known.issuperset(keys):
        raise Doubt
    return keys


def _output_name(output: Any) -> str:
    if list(output.keys()) != ["name"] or not isinstance(output["name"], str):
        raise Doubt
    name: str = output["name"]
    return name


def _numbers(tensor: Any, rows: int, width: int) -> tuple[Array, bool]:
    """The numbers of a tensor as a (rows, width) block, and whether they were nested by row."""
    limit = FLOAT_LIMITS.get(tensor["datatype"])
    if limit is None and tensor["datatype"] != "FP64":
        raise Doubt
    data = tensor["data"]
    numbers = np.frombuffer(data.as_buffer(of_type="d"))
    if not numbers.size or rows < 1 or width < 1 or numbers.size != rows * width:
        raise Doubt
    nested = len(data) == rows and not isinstance(data[0], int | float)
    if nested and not all(len(row) == width for row in data):
        raise Doubt
    if limit is not None and np.abs(numbers).max() > limit:
        raise Doubt
    return numbers.reshape(rows, width), nested
