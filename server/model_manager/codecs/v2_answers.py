"""Arrays → the tensors of a V2 answer: JSON, and what a request may ask for instead: binary, classes, literals.

Last in the flow of V2. Every output says its content_type, by which MLServer's codecs know how to read it.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from model_manager.call import Headers
from model_manager.codecs.answer_form import AnswerForm, best_classes
from model_manager.codecs.binary_tensors import bytes_of
from model_manager.codecs.content import json_headers, version_headers
from model_manager.codecs.outputs import encode_flat, encode_json, encode_literals, infinities
from model_manager.codecs.v2_binary import LENGTH_HEADER
from model_manager.signature import DTYPES, Array, Output, PredictRequest, Signature, datatype_of

_ARRAY, _STRINGS = b',"parameters":{"content_type":"np"', b',"parameters":{"content_type":"str"'
_MIDDLE: Final = {
    # JSON has no 16-bit floats; their values fit FP32.
    dtype: b',"datatype":"%b","shape":' % ("FP32" if datatype == "FP16" else datatype).encode()
    for datatype, dtype in DTYPES.items()
}


def tensor_text(array: Array) -> bytes:
    """Write all of an output tensor behind its name, as JSON."""
    shape = encode_json(array.shape)
    data = encode_flat(array)
    dtype, said = array.dtype, _said(array)
    if b"null" in data and (count := infinities(array)):
        said = b'%b,"infinite_values":%d' % (said, count)
    return b'%b%b%b},"data":%b}' % (_MIDDLE.get(dtype) or _MIDDLE[DTYPES[datatype_of(dtype)]], shape, said, data)


class Answers:
    """Writes the tensors of one version, and answers that are more than JSON."""

    def __init__(self, signature: Signature, model: str, version: str) -> None:
        self._openings = {output.name: b'{"name":' + encode_json(output.name) for output in signature.offered}
        self._outputs = {output.name: output for output in signature.offered}
        self._of_one_row = {output.name: _up_to_data(output) for output in signature.offered}
        self._json_headers = json_headers(model, version)
        self._version_headers = version_headers(model, version)

    def tensor(self, name: str, array: Array) -> bytes:
        """Write all of an output's tensor as JSON. Of one row, which most requests have, only the data are written."""
        shape, dtype, opening = self._of_one_row[name]
        if array.shape == shape and array.dtype is dtype:
            data = encode_json(array.tolist() if len(shape) == 1 else array.tolist()[0])
            if data.find(b"null") < 0:  # which may stand for an infinity; `in` costs more (v1.py)
                return b"%b%b%b}" % (self._openings[name], opening, data)
        return self._openings[name] + tensor_text(array)

    def formed(self, opening: bytes, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Write an answer in the form that was asked for; `opening` is what stands before its outputs."""
        form = request.form
        assert isinstance(form, AnswerForm), "this codec made it"
        texts: list[bytes] = []
        tails: list[bytes] = []
        for name in request.outputs:
            array = results[name]
            if name in form.classes:
                array = best_classes(array, form.classes[name], self._outputs[name])
            if name in form.binary:
                tails.append(bytes_of(array))
                text = _binary_text(array, len(tails[-1]))
            else:
                text = _literal_text(array) if form.literals else tensor_text(array)
            texts.append(self._openings[name] + text)
        head = opening + b",".join(texts) + b"]}"
        if not form.binary:
            return self._json_headers, head
        headers = [
            (b"content-type", b"application/octet-stream"),
            *self._version_headers,
            (LENGTH_HEADER, b"%d" % len(head)),
        ]
        return headers, b"".join([head, *tails])


def _up_to_data(output: Output) -> tuple[tuple[int, ...], object, bytes]:
    """Shape and dtype of one row of an output, where those are known and flat, and its tensor from its name to them."""
    shape = (1, *output.shape[1:])
    if len(shape) > 2 or min(shape) < 1:
        return (), None, b""
    array = np.zeros(shape, DTYPES[output.datatype])
    before, found, _ = tensor_text(array).partition(b'"data":')
    return shape, array.dtype, before + found


def _binary_text(array: Array, size: int) -> bytes:
    datatype = datatype_of(array.dtype).encode()
    shape = encode_json(array.shape)
    return b',"datatype":"%b","shape":%b%b,"binary_data_size":%d}}' % (datatype, shape, _said(array), size)


def _literal_text(array: Array) -> bytes:
    """What `tensor_text` writes, but for NaN and infinities, which are written as such."""
    middle = _MIDDLE[DTYPES[datatype_of(array.dtype)]]
    data = encode_literals(array.reshape(-1).tolist())
    return b'%b%b%b},"data":%b}' % (middle, encode_json(array.shape), _said(array), data)


def _said(array: Array) -> bytes:
    return _STRINGS if array.dtype.kind in "OU" and array.ndim == 1 else _ARRAY
