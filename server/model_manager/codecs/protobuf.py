"""V2 over gRPC: messages of the Open Inference Protocol ⇄ rows and answers.

Between api/grpc.py and the servable, as v2.py is for JSON. Tensors of finite numbers become blocks at once; all others
are read by the reference path (tensors.py), so that what is refused, and in which words, is the same over both.
Whoever sends raw contents is answered with such; whoever sends typed ones gets those.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from model_manager.call import Headers
from model_manager.codecs.json_text import excerpt
from model_manager.codecs.outputs import OutputChoice
from model_manager.codecs.parameters import check_output_parameters, check_request_parameters
from model_manager.codecs.proto_files import read_proto
from model_manager.codecs.protobuf_tensors import (
    MessageTensors,
    document_of,
    parameters_of,
    raw_bytes,
    raw_field,
    set_contents,
)
from model_manager.codecs.tensors import rows_from_tensors
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Datatype, PredictRequest, Rows, Signature, datatype_of

INFERENCE: Final = read_proto("inference.proto")
_Request: Final = INFERENCE.messages["ModelInferRequest"]
_Response: Final = INFERENCE.messages["ModelInferResponse"]
_MODEL, _VERSION = 0x0A, 0x12  # the tags of the first two fields
_MOST_KNOWN: Final = 1024
_PRIORITY_WITHIN: Final = 1024
_PRIORITY: Final = b"\x0a\x08priority"


class ProtobufCodec:
    """Decode and encode ModelInfer's messages for one version."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._opening: bytes = _Response(model_name=model, model_version=version).SerializeToString()
        self._known: dict[tuple[str, Datatype, tuple[int, ...]], bytes] = {}
        self._choice = OutputChoice(signature)
        self._undoubted_rows = min(max_rows, self._choice.most_rows or max_rows)
        self._datatypes = {output.name: output.datatype for output in signature.offered}
        self._tensors = MessageTensors(signature)

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a ModelInferRequest into rows in the signature's blocks.

        Raises InvalidInput naming input, row and column.
        """
        request = parse_request(body)
        _check_address(request, body)
        raws = request.raw_input_contents
        if raws and len(raws) != len(request.inputs):
            raise InvalidInput(
                f"raw_input_contents: expected one for each input, {len(request.inputs)}, got {len(raws)}; contents of "
                "inputs and raw contents do not mix"
            )
        parameters = parameters_of(request.parameters) if request.parameters else None
        blocks = self._tensors.blocks(request.inputs, raws)
        if blocks is not None and 0 < len(blocks[0]) <= self._undoubted_rows:
            rows = Rows(blocks)
            urgency: tuple[float | None, int | None] = (None, None)
            if parameters:
                datatypes = {tensor.name: tensor.datatype for tensor in request.inputs}
                urgency = check_request_parameters(parameters, datatypes)
        else:
            given = [
                document_of(tensor, raws[place] if raws else None, self._max_rows)
                for place, tensor in enumerate(request.inputs)
            ]
            rows, urgency = rows_from_tensors(given, self._signature, max_rows=self._max_rows, parameters=parameters)
        chosen = self._outputs(request.outputs)
        if len(rows) > self._undoubted_rows:
            self._choice.refuse_too_large(chosen, len(rows))
        return PredictRequest(rows, chosen, request.id or None, False, *urgency, raw=bool(raws))

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode results, arrays of rows by output name, as a ModelInferResponse in the order asked for.

        The message itself says which version answered, so no metadata does.
        """
        parts = [self._opening]
        if request.id is not None:
            parts.append(_Response(id=request.id).SerializeToString())
        if not request.raw:
            parts += [self._typed(name, results[name]) for name in request.outputs]
            return (), b"".join(parts)
        raws: list[bytes] = []
        for name in request.outputs:
            array = results[name]
            datatype = datatype_of(array.dtype)
            parts.append(self._described(name, datatype, array.shape))
            raws += raw_field(raw_bytes(array, datatype))
        return (), b"".join(parts + raws)

    def _described(self, name: str, datatype: Datatype, shape: tuple[int, ...]) -> bytes:
        """An output less its values, as a part of an answer: the same for every answer of as many rows."""
        key = (name, datatype, shape)
        described = self._known.get(key)
        if described is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            response = _Response()
            _add_output(response, name, datatype, shape)
            self._known[key] = described = response.SerializeToString()
        return described

    def _typed(self, name: str, array: Array) -> bytes:
        datatype = datatype_of(array.dtype)
        if datatype == "FP16":
            array, datatype = array.astype(np.float32), "FP32"  # whose values hold those of FP16
        response = _Response()
        set_contents(_add_output(response, name, datatype, array.shape).contents, array, datatype)
        answer: bytes = response.SerializeToString()
        return answer

    def _outputs(self, outputs: Any) -> tuple[str, ...]:
        if not outputs:
            return self._choice.every
        chosen = self._choice.choose([output.name for output in outputs])
        for output in outputs:
            if output.parameters:
                check_output_parameters(parameters_of(output.parameters), output.name, self._datatypes[output.name])
        return chosen


def _add_output(response: Any, name: str, datatype: Datatype, shape: tuple[int, ...]) -> Any:
    tensor = response.outputs.add(name=name, datatype=datatype, shape=shape)
    tensor.parameters["content_type"].string_param = "str" if datatype == "BYTES" else "np"
    return tensor


def _check_address(request: Any, message: bytes) -> None:
    """Refuse a message that was led here by less of it than is read now."""
    read, led = (request.model_name, request.model_version or None), address_of(message)
    if read != led:
        asked, reached = (excerpt("/".join(part for part in place if part)) for place in (read, led))
        raise InvalidInput(
            f"model_name, model_version: {asked} is asked for, and {reached} was reached; write each once, and first "
            "in the message"
        )


def parse_request(message: bytes) -> Any:
    """Parse a ModelInferRequest. Raises InvalidInput."""
    try:
        return _Request.FromString(message)
    except DecodeError:
        raise InvalidInput("the message is no inference.ModelInferRequest") from None


def address_of(message: bytes) -> tuple[str, str | None]:
    """The model and the version that a ModelInferRequest names; None where it leaves the version to the model.

    Both stand first in what every library writes; only where they do not, all of it is parsed. Raises InvalidInput.
    """
    at, name, version = 0, b"", b""
    if len(message) > 1 and message[0] == _MODEL and message[1] < 0x80:
        at = 2 + message[1]
        name = message[2:at]
        if len(message) > at + 1 and message[at] == _VERSION and message[at + 1] < 0x80:
            version = message[at + 2 : at + 2 + message[at + 1]]
    try:
        if name:
            return name.decode(), version.decode() or None
    except UnicodeDecodeError:
        pass
    request = parse_request(message)
    return request.model_name, request.model_version or None


def priority_of(message: bytes) -> int | None:
    """The priority that the parameters of a ModelInferRequest set; None where they do not, or not to one there is."""
    if _PRIORITY not in message[:_PRIORITY_WITHIN]:
        return None
    try:
        given = parameters_of(parse_request(message).parameters)
        return check_request_parameters({"priority": given.get("priority")}, None)[1]
    except InvalidInput:
        return None  # decoding says what is wrong with it
