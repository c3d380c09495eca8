"""V1, as TensorFlow Serving and KServe speak it: `instances` → `predictions`, columnar `inputs` → `outputs`.

A list of rows under `inputs` is answered under both: TensorFlow Serving says `outputs` there, KServe `predictions`.

In the flow: answering → **codec** → answering: bytes → PredictRequest on the way in, arrays → bytes on the way out. A
body is read by typed decoders first (typed_decoding.py); at any doubt it is read again by the reference path (rows.py),
which names the fault.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from model_manager.call import Headers
from model_manager.codecs.answer_form import form_of
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds
from model_manager.codecs.content import is_plain_json, json_headers, require_json
from model_manager.codecs.json_text import (
    excerpt,
    has_no_repeated_key,
    nan_as_null,
    parse_object,
    refuse_repeated_key,
)
from model_manager.codecs.outputs import OutputChoice, encode_json, encode_literals, infinities
from model_manager.codecs.parameters import check_request_parameters
from model_manager.codecs.rows import refuse_too_many, rows_from_columns, rows_from_instances
from model_manager.codecs.typed_decoding import DOUBTS, Doubt, TypedColumns, TypedRows, list_type, struct_type
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Layout, PredictRequest, Rows, Signature

_NULL = b"null"
"""Searched for by `find`: `in` of bytes begins by trying whether it was given an integer, which costs more."""
_DEFAULT_SIGNATURE = "serving_default"


class V1Codec:
    """Decode and encode V1 bodies for one version."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._headers = json_headers(model, version)
        self._choice = OutputChoice(signature)
        self._bounds = Bounds(signature, max_rows=max_rows)
        self._undoubted_rows = min(max_rows, self._choice.most_rows or max_rows)
        self._by_name = signature.columns is not None and (signature.named or signature.layout is Layout.FRAME)
        self._fast = _compile(signature)

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a body into rows in the signature's blocks.

        Raises InvalidInput naming row and column, UnsupportedContent for what cannot be meant as JSON.
        """
        if headers and not is_plain_json(headers):
            require_json(headers, body)
        if len(body) > SMALLEST_COUNTED:
            self._bounds.check(body)
        if self._fast is not None:
            try:
                return self._fast_request(body, *self._fast)
            except DOUBTS:
                pass
            if b"NaN" in body:
                try:
                    return self._fast_request(nan_as_null(body), *self._fast)
                except DOUBTS:
                    pass
        return self._reference_request(body)

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode results, arrays of rows by output name, as `predictions` by row, as columnar `outputs`, or as both."""
        if request.form is not None:
            return self._headers, self._encode(request, results, encode_literals)
        names = request.outputs
        if len(names) == 1 and not request.columnar:
            body = b'{"predictions":%b}' % encode_json(results[names[0]].tolist())
        else:
            body = self._encode(request, results, encode_json)
        if body.find(_NULL) >= 0:
            count = sum(infinities(results[name]) for name in names)
            if count:
                return [*self._headers, (b"x-infinite-values", b"%d" % count)], body
        return self._headers, body

    def _encode(
        self, request: PredictRequest, results: Mapping[str, Array], encode: Callable[[object], bytes]
    ) -> bytes:
        opening = b'{"outputs":' if request.columnar else b'{"predictions":'
        names = request.outputs
        if len(names) == 1:
            values = encode(results[names[0]].tolist())
            if request.both:
                return b'{"predictions":%b,"outputs":%b}' % (values, values)
            return opening + values + b"}"
        columns = {name: results[name].tolist() for name in names}
        if request.columnar and not request.both:
            return opening + encode(columns) + b"}"
        rows = encode([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])
        if request.both:
            return b'{"predictions":%b,"outputs":%b}' % (rows, encode(columns))
        return opening + rows + b"}"

    def _fast_request(
        self, body: bytes, decoder: msgspec.json.Decoder[Any], typed_rows: TypedRows, typed_columns: TypedColumns | None
    ) -> PredictRequest:
        document = decoder.decode(body)
        given = document.instances
        columnar = both = False
        if given is not None:
            rows, count = typed_rows.read(given), len(given)
            keys = 1 if type(given[0]) is tuple else 1 + typed_rows.keys(given)
        else:
            given, columnar = document.inputs, True
            if typed_columns is not None and type(given) is typed_columns.type:
                rows = Rows(typed_columns.blocks(given))
                keys = 1 + len(given.__struct_fields__)
            else:
                both = True
                rows = typed_rows.read(given)
                keys = 1 + typed_rows.keys(given)
            count = len(rows)
        chosen = self._choice.default
        if document.signature_name is not None or document.outputs is not None:
            keys += (document.signature_name is not None) + (document.outputs is not None)
            chosen = self._chosen(document.signature_name, document.outputs)
        if count > self._undoubted_rows or not has_no_repeated_key(body, keys):
            raise Doubt
        return PredictRequest(rows, chosen, None, columnar, None, None, both)

    def _reference_request(self, body: bytes) -> PredictRequest:
        document = parse_object(body)
        given = [key for key in ("instances", "inputs") if key in document]
        if len(given) != 1:
            has = "has both" if given else "has neither"
            raise InvalidInput(f'the body {has} of "instances" (a list of rows) and "inputs" (columns); send one')
        parameters = document.get("parameters")
        timeout_s, priority = check_request_parameters(parameters, None)
        source = given[0]
        columnar, both = source == "inputs", source == "inputs" and isinstance(document["inputs"], list)
        rows = self.read_rows(document[source], source)
        chosen = self._chosen(document.get("signature_name"), document.get("outputs"))
        self._choice.refuse_too_large(chosen, len(rows))
        form = form_of(parameters, (), ())
        return PredictRequest(rows, chosen, None, columnar, timeout_s, priority, both, form)

    def read_rows(self, value: object, source: str) -> Rows:
        """Read what stands under `instances` or `inputs`, as `source` says. Raises InvalidInput naming the place."""
        if source == "inputs" and isinstance(value, dict):
            names = [column.name for column in self._signature.columns or ()] if self._by_name else []
            tensor = self._signature.tensor
            if self._signature.layout is Layout.FRAME or (names and (tensor in names or tensor not in value)):
                return self._reference_columns(value, source)
            # TensorFlow Serving's clients name the tensor: {"inputs": {"input": [[…]]}}.
            refuse_repeated_key(value, source)
            if list(value) != [tensor]:
                raise InvalidInput(f"{source}: expected a list of rows, or an object of {excerpt(tensor)} alone")
            source, value = f"{source}: {excerpt(tensor)}", value[tensor]
        if not isinstance(value, list):
            raise InvalidInput(f"{source}: expected a list of rows, got {excerpt(value)}")
        refuse_too_many(len(value), self._max_rows, source)
        return rows_from_instances(value, self._signature, source=source)

    def _reference_columns(self, columns: dict[str, object], source: str) -> Rows:
        for values in columns.values():
            if isinstance(values, list):
                refuse_too_many(len(values), self._max_rows, source)
        return rows_from_columns(columns, self._signature, source=source)

    def _chosen(self, signature_name: object, outputs: object) -> tuple[str, ...]:
        if not isinstance(signature_name, str | None):
            raise InvalidInput(f"signature_name: expected the name of an output, got {excerpt(signature_name)}")
        if outputs is not None:
            if isinstance(outputs, str):
                outputs = [outputs]
            if not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs):
                raise InvalidInput(f"outputs: expected the name of an output or a list of them, got {excerpt(outputs)}")
            if signature_name not in (None, _DEFAULT_SIGNATURE):
                raise InvalidInput(
                    'the body names outputs twice, in "signature_name" and in "outputs"; send one of them'
                )
            return self._choice.choose(outputs) or self._choice.default
        if signature_name is None or signature_name == _DEFAULT_SIGNATURE:
            return self._choice.default
        return self._choice.choose((signature_name,))


def _compile(signature: Signature) -> tuple[msgspec.json.Decoder[Any], TypedRows, TypedColumns | None] | None:
    """Compile the decoder of whole bodies, or None where only the reference path reads this signature."""
    try:
        rows = TypedRows(signature)
    except Doubt:
        return None
    columns = None
    instances = list_type(rows.row_type)
    inputs: Any = instances
    if signature.columns and (signature.named or signature.layout is Layout.FRAME):
        try:
            columns = TypedColumns(signature)
            inputs = instances | columns.type
        except Doubt:
            columns = None
    fields = (
        ("instances", instances | None, None),
        ("inputs", inputs | None, None),
        ("signature_name", str | None, None),
        ("outputs", list[str] | str | None, None),
    )
    # `parameters` is left out: who sends it is read by the reference path, which knows how many keys it holds.
    return msgspec.json.Decoder(struct_type("V1Body", fields)), rows, columns
