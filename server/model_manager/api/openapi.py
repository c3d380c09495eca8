"""`GET /openapi.json`: this server in the words of OpenAPI 3.1, made of its routes, its decoders and its models.

In the flow: app's list of routes → **openapi** → whoever generates clients, and `/docs`. What a route does is what its
endpoint says of itself; a model's schemas are made once a version, and are bounded all together.

https://spec.openapis.org/oas/v3.1.0
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from model_manager.api.authentication import may_see
from model_manager.codecs.schemas import output_schema, rows_schema, tensors_schema, v1_example, v2_example
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.signature import DTYPES, Signature
from model_manager.version import __version__

_MOST_BYTES: Final = 1 << 20
"""Of what is said of single models; of further ones, the routes of any model tell."""
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERROR: Final = {
    "description": "What is wrong, where, and what to do.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_BY_KEY: Final = {"type": "http", "scheme": "bearer", "description": "An API key."}
_SCHEMAS: Final[dict[str, Any]] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "Label": {
        "type": "object",
        "required": ["id", "label"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "label": {"type": ["string", "number", "boolean"]},
            "row": {"type": "integer", "minimum": 0, "default": 0},
        },
    },
    "Labels": {
        "anyOf": [
            {"$ref": "#/components/schemas/Label"},
            {
                "type": "object",
                "required": ["labels"],
                "properties": {"labels": {"type": "array", "items": {"$ref": "#/components/schemas/Label"}}},
            },
        ]
    },
    "V1Request": {
        "type": "object",
        "description": "Rows as `instances`, or columns as `inputs`.",
        "oneOf": [
            {"required": ["instances"], "properties": {"instances": {"type": "array", "minItems": 1}}},
            {
                "required": ["inputs"],
                "properties": {"inputs": {"type": ["array", "object"], "minItems": 1, "minProperties": 1}},
            },
        ],
    },
    "V1Answer": {
        "type": "object",
        "properties": {"predictions": {"type": "array"}, "outputs": {}},
        "minProperties": 1,
    },
    "V2Tensor": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": [*DTYPES]},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "data": {},
            "parameters": {"type": ["object", "null"]},
        },
    },
    "V2Request": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/V2Tensor"}},
            "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"]}},
            "parameters": {"type": ["object", "null"]},
        },
    },
    "V2Answer": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/V2Tensor"}},
        },
    },
}


class OpenApi:
    """Describes the server. `routes` are set once they are all there; `by_key`: whether requests need an API key."""

    def __init__(self, registry: Registry, *, by_key: bool) -> None:
        self._registry = registry
        self._by_key = by_key
        self._known: WeakKeyDictionary[Servable, bytes] = WeakKeyDictionary()
        self.routes: Sequence[BaseRoute] = ()

    async def describe(self, request: Request) -> Response:
        """Describe every route, and every model by its default version: its columns, its outputs, a row to try."""
        models = [
            view.default
            for name, view in sorted(self._registry.models.items())
            if view.default is not None and may_see(request, name)
        ]
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {
                "title": "model-manager",
                "version": __version__,
                "description": "Predictions of scikit-learn models, by V1 and by V2, the Open Inference Protocol.",
            },
            "servers": [{"url": "."}],
            "paths": msgspec.Raw(self._paths(models)),
            "components": {"schemas": _SCHEMAS},
        }
        if self._by_key:
            document["components"]["securitySchemes"] = {"key": _BY_KEY}
            document["security"] = [{"key": []}]
        return Response(msgspec.json.encode(document), media_type="application/json")

    def _paths(self, models: Iterable[Servable]) -> bytes:
        parts: list[bytes] = []
        left = _MOST_BYTES
        for servable in models:
            part = self._known.get(servable)
            if part is None:
                part = self._known[servable] = msgspec.json.encode(_paths_of(servable))[1:-1]
            left -= len(part)
            if left < 0:
                break
            parts.append(part)
        parts.append(msgspec.json.encode(_paths_of_routes(self.routes))[1:-1])
        return b"{%b}" % b",".join(parts)


def _paths_of_routes(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        if not isinstance(route, Route):
            continue
        path = _PARAMETER.sub(r"{\1}", route.path)
        for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(route, path, method)
    return paths


def _operation(route: Route, path: str, method: str) -> dict[str, Any]:
    said = inspect.getdoc(route.endpoint) or ""
    protocol = _protocol_of(path)
    operation: dict[str, Any] = {
        "tags": [family if (family := path.split("/")[1]) in ("v1", "v2") else "server"],
        "summary": said.splitlines()[0].rstrip(".") if said and protocol is None else f"{method} {path}",
        "responses": {"200": {"description": "It is so."}, "default": _ERROR},
    }
    if names := _PARAMETER.findall(path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if path.endswith(":feedback") and method == "POST":
        operation |= _asking("Labels", {"$ref": "#/components/schemas/Labels"}, None)
    if protocol is not None:
        operation |= _asking(protocol, {"$ref": f"#/components/schemas/{protocol}Request"}, None)
        operation["summary"] = f"Predict, by {protocol}"
        operation["responses"] = {
            "200": _answer({"$ref": f"#/components/schemas/{protocol}Answer"}),
            "default": _ERROR,
        }
    return operation


def _protocol_of(path: str) -> str | None:
    """Which protocol's rows a route takes, if it is one that predicts."""
    if path.endswith(":predict"):
        return "V1"
    return "V2" if path.endswith("/infer") else None


def _paths_of(servable: Servable) -> dict[str, Any]:
    signature, id = servable.signature, servable.id
    metadata = servable.provenance.metadata
    golden = metadata.golden.instances if metadata.golden is not None else ()
    row = v1_example(signature, metadata.public_categories or {}, golden)
    instances = {"type": "array", "minItems": 1, "items": rows_schema(signature)}
    v1: dict[str, Any] = {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": instances, "outputs": _outputs(signature)},
    }
    v2 = {**_SCHEMAS["V2Request"]}
    v2["properties"] = {**v2["properties"], "inputs": {"minItems": 1, **tensors_schema(signature)}}
    answer = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": _predictions(signature)}, "outputs": {}},
    }
    common = {"tags": [id.model]}
    summary = f"Predict by {id.model} ({id.version} is the default version)"
    return {
        f"/v1/models/{id.model}:predict": {
            "post": {
                **common,
                "summary": f"{summary}, by V1",
                **_asking("V1", v1, {"instances": [row]}),
                "responses": {"200": _answer(answer), "default": _ERROR},
            }
        },
        f"/v2/models/{id.model}/infer": {
            "post": {
                **common,
                "summary": f"{summary}, by V2",
                **_asking("V2", v2, {"inputs": v2_example(signature, row)}),
                "responses": {"200": _answer({"$ref": "#/components/schemas/V2Answer"}), "default": _ERROR},
            }
        },
    }


def _outputs(signature: Signature) -> dict[str, Any]:
    names = [output.name for output in signature.offered]
    return {"type": ["array", "null"], "items": {"type": "string", "enum": names}, "uniqueItems": True}


def _predictions(signature: Signature) -> dict[str, Any]:
    """A row of an answer: of the one output, or an object of those asked for."""
    schemas = {output.name: output_schema(output) for output in signature.offered}
    several = {"type": "object", "properties": schemas}
    return {"anyOf": [*(schema for schema in schemas.values()), several]}


def _asking(protocol: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Predictions.", "content": {"application/json": {"schema": schema}}}
