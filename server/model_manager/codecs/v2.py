"""V2, the Open Inference Protocol: named tensors in, named tensors out.

Between the endpoint and the servable, as v1.py is for V1. Data may come flat or nested to its shape and leaves flat,
row-major; binary tensors come and leave behind the JSON (v2_binary.py, v2_answers.py). A missing value is null both
ways: JSON has no NaN, and the protocol says nothing of it. Where a writer put NaN all the same, it is taken for null.
"""

import secrets
from collections.abc import Mapping
from itertools import count
from typing import Any, cast

import msgspec

from model_manager.call import Headers
from model_manager.codecs.answer_form import form_of
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds
from model_manager.codecs.content import is_plain_json, json_headers, require_json
from model_manager.codecs.json_text import excerpt, has_no_repeated_key, nan_as_null, parse_object, refuse_repeated_key
from model_manager.codecs.large_tensors import SMALLEST_BODY, LargeTensors
from model_manager.codecs.outputs import OutputChoice, encode_json
from model_manager.codecs.parameters import (
    BINARY_SIZE,
    Parameters,
    check_input_parameters,
    check_output_parameters,
    check_request_parameters,
)
from model_manager.codecs.tail import Tail
from model_manager.codecs.tensors import rows_from_tensors
from model_manager.codecs.typed_decoding import DOUBTS, Doubt
from model_manager.codecs.typed_tensors import RawTensor, TypedTensors
from model_manager.codecs.v2_answers import Answers
from model_manager.codecs.v2_binary import BinaryTensors, json_length, raw_tensor
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Datatype, PredictRequest, Rows, Signature

_PROCESS = secrets.token_hex(6).encode()
_ANSWERS = count(1)
"""Ids of answers to requests without one: unique for as long as anyone looks for them, and cheaper than a UUID."""


class _RawOutput(msgspec.Struct, gc=False):
    name: str
    parameters: Parameters = msgspec.UNSET


class _RawRequest(msgspec.Struct, gc=False):
    inputs: list[RawTensor]
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    outputs: list[_RawOutput] | msgspec.UnsetType | None = msgspec.UNSET
    parameters: Parameters = msgspec.UNSET
    # Some clients repeat what the path already says; the path decides, and another version than it leads to is refused.
    model_name: str | msgspec.UnsetType | None = msgspec.UNSET
    model_version: str | msgspec.UnsetType | None = msgspec.UNSET


class V2Codec:
    """Decode and encode V2 bodies for one version."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._headers = json_headers(model, version)
        self._choice = OutputChoice(signature)
        self._bounds = Bounds(signature, max_rows=max_rows)
        self._undoubted_rows = min(max_rows, self._choice.most_rows or max_rows)
        self._version = version
        self._datatypes = {output.name: output.datatype for output in signature.offered}
        self._decoder = msgspec.json.Decoder(_RawRequest)
        self._tensors = TypedTensors(signature)
        self._binary = BinaryTensors(signature, self._tensors, most_rows=self._undoubted_rows)
        self._answers = Answers(signature, model, version)
        self._large = LargeTensors(signature)
        self._opening = b'{"model_name":%b,"model_version":%b' % (encode_json(model), encode_json(version))

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a body into rows in the signature's blocks.

        Raises InvalidInput naming input, row and column, UnsupportedContent for what cannot be meant as JSON.
        """
        if headers and not is_plain_json(headers):
            return self._decode_as_said(headers, body)
        return self._json_request(body)

    def _decode_as_said(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a body of which headers say more than that it is JSON."""
        length = json_length(headers, len(body))
        if length is not None:
            return self._binary_request(body, length)
        require_json(headers, body)
        return self._json_request(body)

    def _json_request(self, body: bytes) -> PredictRequest:
        if len(body) > SMALLEST_COUNTED:
            self._bounds.check(body)
        if len(body) >= SMALLEST_BODY and self._large.usable:
            try:
                return self._large_request(body)
            except DOUBTS:
                pass
        try:
            return self._fast_request(body)
        except DOUBTS:
            pass
        if b"NaN" in body:
            try:
                return self._fast_request(nan_as_null(body))
            except DOUBTS:
                pass
        return self._reference_request(body)

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode results, arrays of rows by output name, as tensors in the order asked for.

        The answer has the request's id, or one of its own where the request had none, as peers do it.
        """
        id = encode_json(request.id) if request.id is not None else b'"%b-%x"' % (_PROCESS, next(_ANSWERS))
        opening = self._opening + b',"id":' + id + b',"outputs":['
        if request.form is not None:
            return self._formed(opening, request, results)
        tensor = self._answers.tensor
        return self._headers, opening + b",".join([tensor(name, results[name]) for name in request.outputs]) + b"]}"

    def _formed(self, opening: bytes, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode results in the form that was asked for."""
        return self._answers.formed(opening, request, results)

    def _binary_request(self, body: bytes, length: int) -> PredictRequest:
        """Decode a body of which `length` bytes are JSON, or that is the values of the one input."""
        if length == 0:
            document, raw = raw_tensor(body, self._signature)
            text, tail = encode_json(document), memoryview(raw)
        else:
            text, tail = body[:length], memoryview(body)[length:]
        if length > SMALLEST_COUNTED:
            self._bounds.check(text)
        try:
            return self._fast_request(text, Tail(tail))
        except DOUBTS:
            return self._reference_request(text, Tail(tail))

    def _large_request(self, body: bytes) -> PredictRequest:
        request = self._large.read(body)
        if len(request.blocks[0]) > self._undoubted_rows:
            raise Doubt
        chosen = self._choice.choose(request.outputs) if request.outputs else self._choice.every
        return PredictRequest(Rows(request.blocks), chosen, request.id)

    def _fast_request(self, body: bytes, tail: Tail | None = None) -> PredictRequest:
        request: _RawRequest = self._decoder.decode(body)
        keys = _count_keys(request)
        if tail is None:
            stored = self._tensors.read(request.inputs)
        else:
            stored = Rows(self._binary.blocks(request.inputs, tail))
            tail.end()
            keys -= tail.taken  # data
        if not 0 < len(stored) <= self._undoubted_rows or not has_no_repeated_key(body, keys):
            raise Doubt
        if request.model_version and request.model_version != self._version:
            raise Doubt
        timeout_s: float | None = None
        priority: int | None = None
        if request.parameters:
            datatypes = {one.name: _known(one.datatype) for one in request.inputs}
            timeout_s, priority = check_request_parameters(request.parameters, datatypes)
        for tensor in request.inputs:
            if tensor.parameters:
                binary = tail is not None and BINARY_SIZE in tensor.parameters
                check_input_parameters(tensor.parameters, tensor.name, _known(tensor.datatype), binary=binary)
        chosen = self._choice.every
        if request.outputs:
            chosen = self._choice.choose([output.name for output in request.outputs])
            for output in request.outputs:
                if output.parameters:
                    check_output_parameters(output.parameters, output.name, self._datatypes[output.name])
        form = None
        if request.parameters or request.outputs:
            named = [(output.name, output.parameters) for output in request.outputs or ()]
            form = form_of(request.parameters, named, chosen)
        id = None if request.id is msgspec.UNSET else request.id
        return PredictRequest(stored, chosen, id, False, timeout_s, priority, form=form)

    def _reference_request(self, body: bytes, tail: Tail | None = None) -> PredictRequest:
        document = _parsed(body, tail)
        if "inputs" not in document:
            hint = "; instances is V1's word, sent to /v1/models/…:predict" if "instances" in document else ""
            raise InvalidInput(f'the body has no "inputs", a list of tensors{hint}')
        parameters = document.get("parameters")
        rows, (timeout_s, priority) = rows_from_tensors(
            document["inputs"], self._signature, max_rows=self._max_rows, parameters=parameters, tail=tail
        )
        self._check_version(document.get("model_version"))
        given_id = document.get("id")
        if not isinstance(given_id, str | None):
            raise InvalidInput(f"id: expected a string, got {excerpt(given_id)}")
        chosen = self._reference_outputs(document.get("outputs"))
        self._choice.refuse_too_large(chosen, len(rows))
        named = [(output["name"], output.get("parameters")) for output in document.get("outputs") or ()]
        form = form_of(parameters, named, chosen)
        return PredictRequest(rows, chosen, given_id, False, timeout_s, priority, form=form)

    def _reference_outputs(self, outputs: object) -> tuple[str, ...]:
        if outputs is None or outputs == []:
            return self._choice.every
        if not isinstance(outputs, list):
            raise InvalidInput(f"outputs: expected a list of objects with a name, got {excerpt(outputs)}")
        names = []
        for position, output in enumerate(outputs):
            name = output.get("name") if isinstance(output, dict) else None
            if not isinstance(output, dict) or not isinstance(name, str):
                raise InvalidInput(f"outputs[{position}]: expected an object with a name, got {excerpt(output)}")
            refuse_repeated_key(output, f"outputs[{position}]")
            names.append(name)
        chosen = self._choice.choose(names)
        for output in outputs:
            check_output_parameters(output.get("parameters"), output["name"], self._datatypes[output["name"]])
        return chosen

    def _check_version(self, version: object) -> None:
        if version not in (None, "", self._version):
            hint = "name the version in the path, /v2/models/…/versions/…/infer"
            raise InvalidInput(f"model_version: {excerpt(version)} is asked for, {self._version!r} was reached; {hint}")


def _parsed(body: bytes, tail: Tail | None) -> dict[str, Any]:
    """Parse the JSON of a request. Raises InvalidInput, which knows what binary tensors without their header are."""
    try:
        return parse_object(body)
    except InvalidInput:
        if tail is None and b'"binary_data_size"' in body:
            raise InvalidInput(
                "the body is JSON with binary tensors behind it, and the header Inference-Header-Content-Length, "
                "which says where the JSON ends, is missing"
            ) from None
        raise


def _known(datatype: str) -> Datatype:
    """A datatype by which a tensor was read already, so one that there is."""
    return cast(Datatype, datatype)


def _count_keys(request: _RawRequest) -> int:
    """Count the keys a parsed request holds, if none is repeated."""
    unset = msgspec.UNSET
    keys = 1 + 4 * len(request.inputs) + (request.id is not unset)
    keys += (request.model_name is not unset) + (request.model_version is not unset)
    if request.parameters is not unset:
        keys += _count_parameter_keys(request.parameters)
    for tensor in request.inputs:
        if tensor.parameters is not unset:
            keys += _count_parameter_keys(tensor.parameters)
    if request.outputs is not unset:
        keys += 1
        for output in request.outputs or ():
            keys += 1 + _count_parameter_keys(output.parameters)
    return keys


def _count_parameter_keys(parameters: Parameters) -> int:
    if parameters is msgspec.UNSET:
        return 0
    return 1 + len(parameters or ())
