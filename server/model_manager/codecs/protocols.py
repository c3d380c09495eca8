"""Which protocols are spoken: the table of codecs, by the name that a call carries. A new codec is a line here."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Protocol

from model_manager.call import Headers
from model_manager.codecs.arrow import V2OrArrowCodec
from model_manager.codecs.mlflow import MLflowCodec
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v1_examples import ClassifyCodec, RegressCodec
from model_manager.signature import Array, PredictRequest, Signature


class Codec(Protocol):
    """Headers and bytes ⇄ arrays, for one protocol and one version."""

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Read a request. Raises RequestRefused with what is wrong, where, and what to do."""
        ...

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Write the answer: its headers, less the length, and its body. Arrays of rows by output name."""
        ...


_CODECS: Final[Mapping[str, Callable[..., Codec]]] = {
    "v1": V1Codec,
    "v1-classify": ClassifyCodec,
    "v1-regress": RegressCodec,
    "v2": V2OrArrowCodec,
    "mlflow": MLflowCodec,
}

_LATE: Final[Mapping[str, tuple[str, str]]] = {"grpc": ("model_manager.codecs.protobuf", "ProtobufCodec")}
"""Module and name of those that need a library which not every server has: made where the first request comes."""


class _Codecs(dict[str, Codec]):
    """The codecs of one version; `arguments` make those that nobody has asked for yet."""

    def __init__(self, arguments: tuple[Signature, int, str, str]) -> None:
        super().__init__({protocol: self._make(codec, arguments) for protocol, codec in _CODECS.items()})
        self._arguments = arguments

    @staticmethod
    def _make(codec: Callable[..., Codec], arguments: tuple[Signature, int, str, str]) -> Codec:
        signature, max_rows, model, version = arguments
        return codec(signature, max_rows=max_rows, model=model, version=version)

    def __missing__(self, protocol: str) -> Codec:
        module, name = _LATE[protocol]
        codec: Any = getattr(import_module(module), name)
        self[protocol] = made = self._make(codec, self._arguments)
        return made


def codecs_for(signature: Signature, *, max_rows: int, model: str, version: str) -> dict[str, Codec]:
    """The codecs of one version, by protocol; a request of more than `max_rows` rows is refused."""
    return _Codecs((signature, max_rows, model, version))
