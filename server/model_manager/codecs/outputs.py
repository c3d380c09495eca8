"""Answers: which outputs a request asks for, and arrays → JSON text. Shared by the protocols, last in the flow."""

import json
from collections.abc import Sequence

import msgspec
import numpy as np

from model_manager.codecs.json_text import excerpt, listing
from model_manager.errors import InvalidInput, UnknownOutput
from model_manager.signature import Array, Signature


def plain(value: object) -> object:
    """Unwrap the numpy scalars that object arrays may hold."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"an output holds a {type(value).__name__}, which JSON cannot carry")


encode_json = msgspec.json.Encoder(enc_hook=plain).encode
"""Encode plain values to compact JSON; NaN and infinities become null."""


def encode_literals(value: object) -> bytes:
    """Encode plain values as `encode_json` does, but NaN, Infinity and -Infinity as such: no JSON, and widely read."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=plain).encode()


class OutputChoice:
    """The outputs of one signature, to be chosen from by name.

    `every` are those of a request that names none. `most_rows`: requests of no more rows need not ask
    refuse_too_large; None where none need to.
    """

    def __init__(self, signature: Signature) -> None:
        self.every: tuple[str, ...] = tuple(output.name for output in signature.outputs)
        self.default: tuple[str, ...] = (signature.default_output,)
        self._offered = {output.name: output for output in signature.offered}
        self._known = frozenset(self._offered)
        self.most_rows = min((one.most_rows for one in signature.offered if one.most_rows is not None), default=None)

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """Check the names asked for; raise InvalidInput for an unknown or a repeated one."""
        for name in names:
            if name not in self._known:
                known = listing(tuple(self._offered))
                raise UnknownOutput(f"outputs: unknown output {excerpt(name)}; this version has {known}", name)
        if len(set(names)) != len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"outputs: {excerpt(repeated)} is asked for more than once")
        return tuple(names)

    def refuse_too_large(self, names: Sequence[str], rows: int) -> None:
        """Raise InvalidInput where an output is a sparse matrix that would be too large once it is dense."""
        for name in names:
            most = self._offered[name].most_rows
            if most is not None and rows > most:
                shape = " x ".join(map(str, self._offered[name].shape[1:]))
                what = f"{excerpt(name)} answers {shape} values a row, most of them zero"
                raise InvalidInput(f"outputs: {what}: at most {most} rows at once, got {rows}; ask for fewer at a time")


def infinities(array: Array) -> int:
    """How many values of an answer are infinite, which JSON cannot say: null stands for them, as for NaN."""
    return int(np.isinf(array).sum()) if array.dtype.kind == "f" else 0


def encode_flat(array: Array) -> bytes:
    """Encode an array as one flat JSON list, row-major."""
    return encode_json(array.tolist() if array.ndim == 1 else array.reshape(-1).tolist())
