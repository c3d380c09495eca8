"""Answers: which outputs a request asks for, and arrays → JSON text. Shared by the protocols, last in the flow."""

from collections.abc import Sequence

import msgspec
import numpy as np

from model_manager.codecs.json_text import excerpt, listing
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Signature


def _plain(value: object) -> object:
    """Unwrap the numpy scalars that object arrays may hold."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"an output holds a {type(value).__name__}, which JSON cannot carry")


encode_json = msgspec.json.Encoder(enc_hook=_plain).encode
"""Encode plain values to compact JSON; NaN and infinities become null."""


class OutputChoice:
    """The outputs of one signature, to be chosen from by name."""

    def __init__(self, signature: Signature) -> None:
        self.every: tuple[str, ...] = tuple(output.name for output in signature.outputs)
        self.default: tuple[str, ...] = (signature.default_output,)
        self._known = frozenset(self.every)

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """Check the names asked for; raise InvalidInput for an unknown or a repeated one."""
        for name in names:
            if name not in self._known:
                raise InvalidInput(f"outputs: unknown output {excerpt(name)}; this version has {listing(self.every)}")
        if len(set(names)) != len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"outputs: {excerpt(repeated)} is asked for more than once")
        return tuple(names)


def encode_values(array: Array) -> bytes:
    """Encode an array as nested JSON lists, rows first."""
    return encode_json(array.tolist())


def encode_flat(array: Array) -> bytes:
    """Encode an array as one flat JSON list, row-major."""
    return encode_json(array.tolist() if array.ndim == 1 else array.reshape(-1).tolist())
