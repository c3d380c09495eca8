"""A version of a running server → what it takes, and its answers to rows: V2 over HTTP, asked with what Python has.

https://github.com/kserve/open-inference-protocol
"""

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from model_manager.codecs.outputs import encode_flat, encode_json
from model_manager.errors import ServerRefused, one_line
from model_manager.evaluation.patient_requests import TIMEOUT_S, ask, reason_of
from model_manager.signature import DTYPES, Array, Column, Datatype, Layout, Output, Rows, Signature

_MOST_ROWS: Final = 1_000
_MOST_CELLS: Final = 100_000
"""Of one request: far below what a server takes by default."""


class _Tensor(msgspec.Struct):
    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, Any] = {}


class _Metadata(msgspec.Struct):
    inputs: list[_Tensor]
    outputs: list[_Tensor]
    properties: dict[str, str] = {}


class _Answer(msgspec.Struct):
    name: str
    datatype: Datatype
    shape: list[int]
    data: list[Any]


class _Answers(msgspec.Struct):
    outputs: list[_Answer]


class ServedVersion:
    """One version at an address such as http://localhost:8080/iris/2.

    `patience_s`: how long it is asked again where it is busy or cannot be reached; without it, a few times where it
    says that it is busy. Every method raises ServerRefused when the server cannot be reached, does not speak V2, or
    refuses.
    """

    def __init__(self, address: str, api_key: str | None = None, *, patience_s: float | None = None) -> None:
        match = re.fullmatch(r"(https?://[^?#]+?)/([^/?#]+)/([^/?#]+)/?", address)
        if match is None or "/" not in match[1].replace("://", "") + "/":
            raise ServerRefused(f"{address}: write it as http://localhost:8080/iris/2, the model and the version last")
        server, self.model, self.version = match[1], *map(urllib.parse.unquote, match.groups()[1:])
        quoted = [urllib.parse.quote(part, safe="") for part in (self.model, self.version)]
        self._url = f"{server}/v2/models/{quoted[0]}/versions/{quoted[1]}"
        self._headers = {"content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._place = address
        self._patience_s = patience_s
        try:
            metadata = msgspec.json.decode(self._ask("", None), type=_Metadata)
        except msgspec.DecodeError as error:
            raise ServerRefused(f"{address} does not describe a model as V2 does: {error}") from None
        self.signature = _signature(metadata)
        self.sha256 = metadata.properties.get("sha256")

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"

    def predict(
        self, rows: Rows, outputs: tuple[str, ...], place: Callable[[int], str] = "row {}".format
    ) -> dict[str, Array]:
        """Answer rows, in as many requests as their number asks for. `place` names a row for people."""
        at_once = max(1, min(_MOST_ROWS, _MOST_CELLS // max(1, sum(int(np.prod(b.shape[1:])) for b in rows.blocks))))
        parts: list[dict[str, Array]] = []
        for start in range(0, len(rows), at_once):
            part = Rows(tuple(block[start : start + at_once] for block in rows.blocks))
            try:
                parts.append(self._answers(part, outputs))
            except ServerRefused as error:
                last = place(start + len(part) - 1)
                asked = place(start) if len(part) == 1 else f"from {place(start)} to {last}"
                raise ServerRefused(f"{error} ({asked})", status=error.status) from None
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    def _answers(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        wanted = ",".join(json.dumps({"name": name}) for name in outputs)
        body = b'{"inputs":[%b],"outputs":[%b]}' % (b",".join(self._tensors(rows)), wanted.encode())
        try:
            found = msgspec.json.decode(self._ask("/infer", body), type=_Answers)
            answers = {one.name: _array(one) for one in found.outputs}
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise ServerRefused(f"{self._place} does not answer as V2 does: {one_line(error)}") from None
        if missing := [name for name in outputs if name not in answers or len(answers[name]) != len(rows)]:
            raise ServerRefused(f"{self._place} does not answer {missing[0]} for {len(rows)} rows")
        return answers

    def _tensors(self, rows: Rows) -> list[bytes]:
        signature = self.signature
        if signature.layout is Layout.FRAME:
            described = [(one.name, one.datatype) for one in signature.columns or ()]
        else:
            described = [(signature.tensor, signature.datatype if signature.layout is Layout.ARRAY else "BYTES")]
        return [
            b'{"name":%b,"datatype":"%b","shape":%b,"data":%b}'
            % (encode_json(name), datatype.encode(), encode_json(block.shape), encode_flat(_sent(block, datatype)))
            for (name, datatype), block in zip(described, rows.blocks, strict=True)
        ]

    def _ask(self, path: str, body: bytes | None) -> bytes:
        return ask(f"{self._url}{path}", body, self._headers, place=self._place, patience_s=self._patience_s)


def default_version(url: str, model: str, api_key: str | None = None) -> str:
    """The version of a model that a server answers with where none is named. Raises ServerRefused, as above."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key is not None else {}
    try:
        request = urllib.request.Request(
            f"{url.rstrip('/')}/v2/models/{urllib.parse.quote(model, safe='')}", headers=headers
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return msgspec.json.decode(response.read(), type=_Metadata).properties["version"]
    except urllib.error.HTTPError as error:
        with error:
            told = f"{url} answers {error.code}: {reason_of(error.read(), error.reason)}"
        raise ServerRefused(told, status=error.code) from None
    except (msgspec.DecodeError, KeyError):
        raise ServerRefused(f"{url} does not tell which version of {model} answers; name one: {model}/2") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ServerRefused(f"{url} cannot be asked: {reason}") from None


def _signature(metadata: _Metadata) -> Signature:
    """What V2's metadata tells of a signature. Dates stay the texts that are sent."""
    outputs = tuple(
        Output(
            one.name,
            one.datatype,
            tuple(one.shape),
            tuple(one.parameters.get("classes") or ()),
            tuple(one.parameters.get("columns") or ()),
        )
        for one in metadata.outputs
    )
    first = metadata.inputs[0] if len(metadata.inputs) == 1 else None
    if first is not None and len(first.shape) == 2:
        return _array_signature(first, outputs)
    if first is not None and first.datatype == "BYTES":
        return Signature(Layout.TEXT, (Column(first.name, "BYTES"),), False, outputs, tensor=first.name)
    columns = tuple(
        Column(one.name, one.datatype, nullable=bool(one.parameters.get("nullable"))) for one in metadata.inputs
    )
    return Signature(Layout.FRAME, columns, True, outputs)


def _array_signature(tensor: _Tensor, outputs: tuple[Output, ...]) -> Signature:
    width, names = tensor.shape[1], tensor.parameters.get("columns")
    if width < 0:
        return Signature(Layout.ARRAY, None, False, outputs, tensor=tensor.name)
    nullable = tensor.parameters.get("nullable") or [False] * width
    columns = tuple(
        Column(str(names[at] if names else at), tensor.datatype, nullable=bool(nullable[at])) for at in range(width)
    )
    return Signature(Layout.ARRAY, columns, bool(names), outputs, tensor=tensor.name)


def _sent(block: Array, datatype: Datatype) -> Array:
    """Whole numbers and truths that are held as floats, because some are missing, as what they are."""
    if block.dtype.kind != "f" or DTYPES[datatype].kind not in "iub":
        return block
    kind: type = bool if datatype == "BOOL" else int
    sent: Array = np.empty(block.shape, dtype=object)
    sent.ravel()[:] = [None if value != value else kind(value) for value in block.ravel().tolist()]
    return sent


def _array(answer: _Answer) -> Array:
    dtype = DTYPES[answer.datatype]
    array: Array = np.empty(len(answer.data), dtype=dtype)
    array[:] = [np.nan if value is None else value for value in answer.data] if dtype.kind == "f" else answer.data
    return array.reshape(answer.shape)
