"""MLflow's `/invocations`: frames by split or by record, TensorFlow Serving's rows, CSV → `predictions`.

Between the endpoint and the servable, as v1.py is for V1, whose rows and answers these are. A frame's columns go by
name where the model has names, and by position where it has none, whatever the frame calls them.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from model_manager.call import Headers
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds
from model_manager.codecs.content import declared_type, may_be_json, media_type, refuse_type
from model_manager.codecs.csv_text import rows_from_csv
from model_manager.codecs.json_text import excerpt, has_no_repeated_key, listing, parse_object, refuse_repeated_key
from model_manager.codecs.outputs import OutputChoice
from model_manager.codecs.parameters import check_request_parameters
from model_manager.codecs.rows import check_names, refuse_too_many, rows_from_instances
from model_manager.codecs.typed_decoding import DOUBTS, Doubt, TypedRows, list_type, struct_type
from model_manager.codecs.v1 import V1Codec
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Layout, PredictRequest, Rows, Signature

_SOURCES: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CSV: Final = frozenset({b"text/csv", b"application/csv"})


class MLflowCodec:
    """Decode and encode bodies of MLflow's scoring protocol for one version."""

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._ids = (model, version)
        columns = signature.columns or ()
        self._names = [column.name for column in columns] if signature.layout is not Layout.TEXT else []
        self._by_name = bool(self._names) and (signature.named or signature.layout is Layout.FRAME)

    @cached_property  # compiled by the first request: most versions are never asked in this way
    def _v1(self) -> V1Codec:
        return V1Codec(self._signature, max_rows=self._max_rows, model=self._ids[0], version=self._ids[1])

    @cached_property
    def _choice(self) -> OutputChoice:
        return OutputChoice(self._signature)

    @cached_property
    def _bounds(self) -> Bounds:
        return Bounds(self._signature, max_rows=self._max_rows, indexed=True)

    @cached_property
    def _fast(self) -> tuple[msgspec.json.Decoder[Any], TypedRows] | None:
        return _compile(self._signature)

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a body, JSON or CSV, into rows in the signature's blocks.

        Raises InvalidInput naming row and column, UnsupportedContent for another content type.
        """
        declared = declared_type(headers)
        if media_type(declared) in _CSV:
            if len(body) > SMALLEST_COUNTED:
                self._bounds.check_values(body)
            rows = rows_from_csv(body, self._signature, max_rows=self._max_rows)
            return PredictRequest(rows, self._default(len(rows)))
        if not may_be_json(declared, body):
            refuse_type(declared, "JSON, with content-type: application/json, or text/csv")
        if len(body) > SMALLEST_COUNTED:
            self._bounds.check(body)
        try:
            return self._fast_request(body)
        except DOUBTS:
            return self._reference_request(body)

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode results, arrays of rows by output name, as `predictions` by row."""
        return self._v1.encode(request, results)

    def _default(self, rows: int) -> tuple[str, ...]:
        self._choice.refuse_too_large(self._choice.default, rows)
        return self._choice.default

    def _fast_request(self, body: bytes) -> PredictRequest:
        if self._fast is None:
            raise Doubt
        decoder, typed_rows = self._fast
        document = decoder.decode(body)
        split = document.dataframe_split
        if (split is None) + (document.dataframe_records is None) + (document.instances is None) != 2:
            raise Doubt
        keys = 1
        rows = document.dataframe_records or document.instances
        if split is not None:
            rows = split.data
            keys += 1 + (split.columns is not None) + (split.index is not None)
            if split.columns is not None and self._order(split.columns) is not None:
                raise Doubt
        blocks = typed_rows.blocks(rows)
        keys += typed_rows.keys(rows)
        count = len(blocks[0])
        if count > self._max_rows or not has_no_repeated_key(body, keys):
            raise Doubt
        return PredictRequest(Rows(blocks), self._default(count))

    def _reference_request(self, body: bytes) -> PredictRequest:
        document = parse_object(body)
        given = [key for key in _SOURCES if key in document]
        if len(given) != 1:
            has = f"has both {listing(given)}" if given else f"has none of {listing(_SOURCES)}"
            raise InvalidInput(f"the body {has}; send one of them, or CSV with content-type: text/csv")
        (source,) = given
        outputs, timeout_s, priority = self._parameters(document.get("params"))
        rows = self._rows(document[source], source)
        chosen = self._choice.choose(outputs) if outputs else self._choice.default
        self._choice.refuse_too_large(chosen, len(rows))
        return PredictRequest(rows, chosen, None, False, timeout_s, priority)

    def _rows(self, value: object, source: str) -> Rows:
        if source == "dataframe_split":
            return self._split(value, source)
        if source == "dataframe_records":
            if not isinstance(value, list):
                raise InvalidInput(f"{source}: expected a list of objects, got {excerpt(value)}")
            refuse_too_many(len(value), self._max_rows, source)
            return rows_from_instances(self._records(value), self._signature, source=source)
        return self._v1.read_rows(value, source)

    def _split(self, value: object, source: str) -> Rows:
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(data, list):
            raise InvalidInput(f'{source}: expected an object with "columns" and "data", a list of rows')
        refuse_repeated_key(value, source)
        refuse_too_many(len(data), self._max_rows, source)
        columns, place = value.get("columns"), f"{source}: data"
        if columns is None:
            return rows_from_instances(data, self._signature, source=place)
        if not isinstance(columns, list) or not all(isinstance(name, str | int) for name in columns):
            raise InvalidInput(f"{source}: columns: expected a list of names, got {excerpt(columns)}")
        for number, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(columns):
                got = f"{len(row)}" if isinstance(row, list) else excerpt(row)
                raise InvalidInput(f"{place}: row {number}: expected {len(columns)} values, one a column, got {got}")
        order = self._order(columns)
        if order is not None:
            data = [[row[at] for at in order] for row in data]
        return rows_from_instances(data, self._signature, source=place)

    def _order(self, columns: Sequence[object]) -> list[int] | None:
        """Where the model's columns are among a frame's; None where they are in order. Raises InvalidInput."""
        names = [str(name) for name in columns]
        if names == self._names or (not self._by_name and set(names) != set(self._names)):
            return None
        if len(set(names)) != len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"columns: {excerpt(repeated)} is given more than once")
        check_names(dict.fromkeys(names), self._names, "columns")
        at = {name: position for position, name in enumerate(names)}
        return [at[name] for name in self._names]

    def _records(self, records: list[object]) -> list[object]:
        """Records as rows; a model whose columns have no names takes them in the order of the first one's keys."""
        if self._by_name or not records or not isinstance(records[0], dict):
            return records
        keys = list(records[0])
        rows: list[object] = []
        for number, record in enumerate(records):
            if not isinstance(record, dict) or list(record) != keys:
                raise InvalidInput(
                    f"dataframe_records: row {number}: its keys are others than those of row 0, or in another order: "
                    "this model's columns have no names, so that their order counts"
                )
            refuse_repeated_key(record, f"dataframe_records: row {number}")
            rows.append([record[key] for key in keys])
        order = self._order(keys)
        return rows if order is None else [[row[at] for at in order] for row in rows]  # type: ignore[index]

    def _parameters(self, params: object) -> tuple[list[str] | None, float | None, int | None]:
        """Read `params`: the outputs asked for, and how urgent it is."""
        if not isinstance(params, dict | None):
            raise InvalidInput(f"params: expected an object, got {excerpt(params)}")
        if not params:
            return None, None, None
        refuse_repeated_key(params, "params")
        outputs = params.get("outputs")
        if isinstance(outputs, str):
            outputs = [outputs]
        if outputs is not None and not (isinstance(outputs, list) and all(isinstance(one, str) for one in outputs)):
            raise InvalidInput(f"params: outputs: expected the name of an output or a list, got {excerpt(outputs)}")
        known = {"outputs", "timeout", "priority"}
        unknown = [name for name in params if name not in known]
        if unknown:
            raise InvalidInput(
                f"params: {excerpt(unknown[0])} is not known here, and may not be left out unread; known: "
                f"{listing(sorted(known))}"
            )
        return outputs, *check_request_parameters({name: params[name] for name in params if name != "outputs"}, None)


def _compile(signature: Signature) -> tuple[msgspec.json.Decoder[Any], TypedRows] | None:
    """Compile the decoder of the usual bodies, or None where only the reference path reads this signature."""
    try:
        rows = TypedRows(signature)
    except Doubt:
        return None
    many = list_type(rows.row_type)
    split = struct_type(
        "Split", (("data", many), ("columns", list[str | int] | None, None), ("index", list[Any] | None, None))
    )
    fields = (
        ("dataframe_split", split | None, None),
        ("dataframe_records", many | None, None),
        ("instances", many | None, None),
    )
    return msgspec.json.Decoder(struct_type("MLflowBody", fields)), rows
