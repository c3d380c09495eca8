"""Signature → JSON Schemas of what a version takes and gives, and examples of it: what OpenAPI documents are made of.

Place in the flow: beside the codecs, of whose types the schemas are made, so that both say the same.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from model_manager.codecs.typed_decoding import Doubt, TypedRows, list_type
from model_manager.codecs.typed_tensors import RawTensor
from model_manager.codecs.v2_metadata import Label, Public
from model_manager.signature import DTYPES, Column, Layout, Output, Signature

Schema = dict[str, Any]
_LARGEST: Final = 48 * 1024
"""Bytes of the schemas of one model; a wider one's columns are not described one by one."""
_JSON_TYPES: Final = {"BOOL": "boolean", "BYTES": "string"}
_ANY_ROW: Final[Schema] = {"type": ["array", "object", "string"], "description": "A row: values in order, or by name."}


def rows_schema(signature: Signature) -> Schema:
    """What a row of V1 may be, as its decoder takes it: real names, types, bounds, and where null may stand."""
    try:
        row = _inlined(TypedRows(signature).row_type)
    except Doubt:
        return _ANY_ROW
    if len(json.dumps(row)) > _LARGEST:
        width = len(signature.columns or ())
        return {"type": ["array", "object"], "description": f"A row of {width:,} columns: values in order, or by name."}
    return row


def tensors_schema(signature: Signature) -> Schema:
    """What the `inputs` of V2 may be: the tensors of its decoder, under the names that this version takes."""
    tensor = _inlined(RawTensor)
    tensor["properties"]["datatype"] = {"type": "string", "enum": [*DTYPES]}
    tensor["properties"]["shape"] |= {"minItems": 1}
    named = {"type": "string", "enum": _tensor_names(signature)}
    if len(json.dumps(named)) <= _LARGEST:
        tensor["properties"]["name"] = named
    return {"type": "array", "items": tensor}


def output_schema(output: Output) -> Schema:
    """One row of an output, as JSON carries it: null stands for NaN and infinities."""
    item: Schema = {"type": [_JSON_TYPES.get(output.datatype, "number" if "FP" in output.datatype else "integer")]}
    if "FP" in output.datatype:
        item["type"].append("null")
    if output.datatype == "BYTES":
        item = {"description": "A label."}
    for size in reversed(output.shape[1:]):
        sized = {"minItems": size, "maxItems": size} if size >= 0 else {}
        item = {"type": "array", "items": item, **sized}
    return item


def v1_example(signature: Signature, public: Public = MappingProxyType({}), golden: Sequence[Any] = ()) -> Any:
    """A row to try: of every column a value of the middle of the golden rows, so that it is nobody's row.

    Text is shown where anybody may see it (`public`), and is otherwise the word "text".
    """
    if signature.layout is Layout.TEXT:
        return "some text"
    values = [
        _value(column, public, _golden_values(golden, at, column.name)) for at, column in enumerate(_columns(signature))
    ]
    by_name = signature.named or signature.layout is Layout.FRAME
    names = [column.name for column in _columns(signature)]
    return dict(zip(names, values, strict=True)) if by_name and len({*names}) == len(names) else values


def v2_example(signature: Signature, row: Any) -> list[dict[str, Any]]:
    """The tensors of V2 that hold a row of V1."""
    if signature.layout is Layout.TEXT:
        return [{"name": signature.tensor, "shape": [1], "datatype": "BYTES", "data": [row]}]
    values = [*row.values()] if isinstance(row, dict) else row
    if signature.layout is Layout.ARRAY:
        return [{"name": signature.tensor, "shape": [1, len(values)], "datatype": signature.datatype, "data": [values]}]
    return [
        {"name": column.name, "shape": [1], "datatype": column.datatype, "data": [value]}
        for column, value in zip(_columns(signature), values, strict=True)
    ]


def _columns(signature: Signature) -> Sequence[Column]:
    return (Column("0", "FP64"), Column("1", "FP64")) if signature.columns is None else signature.columns


def _tensor_names(signature: Signature) -> list[str]:
    columns = [column.name for column in signature.columns or ()]
    if signature.layout is Layout.FRAME:
        return columns
    return list(dict.fromkeys([signature.tensor, *(columns if signature.named else ())]))


def _golden_values(golden: Sequence[Any], at: int, name: str) -> list[Any]:
    found = []
    for row in golden:
        if isinstance(row, Mapping):
            found.append(row.get(name))
        elif isinstance(row, Sequence) and not isinstance(row, str) and at < len(row):
            found.append(row[at])
    return [value for value in found if value is not None]


def _value(column: Column, public: Public, golden: Sequence[Any]) -> Label | None:
    if shown := public.get(column.name):
        return shown[0]
    if column.moments is not None:
        return "2026-01-31"
    if column.datatype == "BYTES" and not column.boxed:
        return "text"
    if column.datatype == "BOOL":
        return True
    numbers = sorted(value for value in golden if isinstance(value, int | float))
    middle = numbers[len(numbers) // 2] if numbers else 1
    return middle if "FP" in column.datatype or column.boxed else int(middle)


def _inlined(type_: Any) -> Schema:
    """The schema of a type, with what it refers to in its place: names of components would be many models'."""
    (schema,), components = msgspec.json.schema_components([list_type(type_)], ref_template="{name}")
    inlined: Schema = _filled(schema["items"], components)
    return inlined


def _filled(schema: Any, components: Mapping[str, Any]) -> Any:
    """A schema with nothing to look up elsewhere, and no more words than it needs."""
    if isinstance(schema, list):
        return [_filled(one, components) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _filled(components[schema["$ref"]], components)
    filled = {}
    for key, value in schema.items():
        if key == "properties":  # whose keys are a model's columns, and may be called anything
            filled[key] = {name: _filled(one, components) for name, one in value.items()}
        elif key not in ("title", "default", "description"):
            filled[key] = _filled(value, components)
    either = filled.get("anyOf", ())
    plain = [one["type"] for one in either if [*one] == ["type"]]
    return {"type": plain} if plain and len(plain) == len(either) else filled
