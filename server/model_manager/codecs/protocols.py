"""Which protocols are spoken: the table of codecs, by the name that a call carries. A new codec is a line here."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from model_manager.call import Headers
from model_manager.codecs.arrow import V2OrArrowCodec
from model_manager.codecs.v1 import V1Codec
from model_manager.signature import Array, PredictRequest, Signature


class Codec(Protocol):
    """Headers and bytes ⇄ arrays, for one protocol and one version."""

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Read a request. Raises RequestRefused with what is wrong, where, and what to do."""
        ...

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Write the answer: its headers, less the length, and its body. Arrays of rows by output name."""
        ...


_CODECS: Final[Mapping[str, Callable[..., Codec]]] = {"v1": V1Codec, "v2": V2OrArrowCodec}


def codecs_for(signature: Signature, *, max_rows: int, model: str, version: str) -> dict[str, Codec]:
    """The codecs of one version, by protocol; a request of more than `max_rows` rows is refused."""
    return {
        protocol: codec(signature, max_rows=max_rows, model=model, version=version)
        for protocol, codec in _CODECS.items()
    }
