"""Write down what people build upon, as docs/surface.json: python -m tools.surface, or `make docs`.

docs/stability.md promises how each of these changes. A test holds today's against the committed file, so that nothing
of it goes or changes its name unnoticed.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
import model_manager
from model_manager.api.openapi_schemas import SCHEMAS
from model_manager.app import create_admin_app, create_app
from model_manager.cli import cli
from model_manager.metrics import catalogue
from model_manager.metrics.instruments import Description
from model_manager.repository.manifest import Manifest
from model_manager.repository.metadata import Metadata
from model_manager.serving.system import System
from model_manager.settings import Settings
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from tools.processes import ROOT

SURFACE = ROOT / "docs" / "surface.json"
_CHART = ROOT / "charts" / "model-manager" / "values.schema.json"

Surface = dict[str, list[str]]


def surface() -> Surface:
    """Everything promised, by what it is; each a sorted list of names."""
    system = System(Settings(models=Path("models"), admin_token=None))
    chart = json.loads(_CHART.read_text(encoding="utf-8"))
    found = {
        "Python": set(model_manager.__all__),
        "HTTP, API port": {*_routes(_starlette(create_app(system))), *_properties(SCHEMAS)},
        "HTTP, admin port": set(_routes(create_admin_app(system, max_body_bytes=1))),
        "models.yaml": {key for key in _keys(Manifest) if ".metadata." not in key},
        "metadata.json": set(_keys(Metadata)),
        "commands": set(_options(cli, "model-manager")),
        "metrics": {_metric(one) for many in catalogue.CATALOGUE.values() for one in many},
        "chart values": set(_values(chart, chart)),
    }
    return {what: sorted(names) for what, names in found.items()}


def _starlette(app: ASGIApp) -> Starlette:
    """The application with the routes, within what is wrapped around it."""
    while not isinstance(app, Starlette):
        app = vars(app)["_app"]
    return app


def _routes(app: Starlette) -> Iterator[str]:
    for route in app.routes:
        assert isinstance(route, Route)
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                yield f"{method} {route.path.replace(':name}', '}')}"


def _properties(schemas: Mapping[str, Any]) -> Iterator[str]:
    """What requests and answers hold, by the names that /openapi.json has for them."""
    for name, schema in schemas.items():
        of_all = schema.get("items", schema)
        for alternative in [of_all, *schema.get("oneOf", ()), *schema.get("anyOf", ())]:
            for field in alternative.get("properties", {}):
                yield f"{name}.{field}"


def _metric(one: Description) -> str:
    return f"{one.name}{{{','.join(one.labels)}}} {one.kind}"


def _keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key, with the value that stands for it where it is left out."""
    for name, field in model.model_fields.items():
        here = f"{path}{name}"
        plain = field.default is None or isinstance(field.default, str | int | float)
        yield here if field.is_required() or not plain else f"{here} = {json.dumps(field.default)}"
        for part, many in _parts(field.annotation):
            yield from _keys(part, f"{here}{many}.")


def _parts(annotation: Any, many: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The models that an annotation leads to: of a list as `[]`, of a mapping as `.*`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, many
        return
    origin = getattr(annotation, "__origin__", None)
    step = ".*" if origin is dict else "[]" if origin is list else ""
    for argument in get_args(annotation):
        yield from _parts(argument, many + step)


def _options(command: click.Command, path: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _options(inner, f"{path} {name}")
        return
    yield path
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield f"{path} {(parameter.name or '').upper()}"
        elif not getattr(parameter, "hidden", False):
            for flag in (*parameter.opts, *parameter.secondary_opts):
                yield f"{path} {flag}"


def _values(schema: Mapping[str, Any], chart: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every value and its type; of the entries of a map as `*`, of a list as `[]`."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}{name}: {_type(inner, chart)}"
        yield from _values(inner, chart, f"{path}{name}.")
    if isinstance(entries := schema.get("additionalProperties"), dict):
        yield from _values(entries, chart, f"{path}*.")
    if isinstance(items := schema.get("items"), dict):
        yield from _values(items, chart, f"{path.removesuffix('.')}[].")


def _type(schema: Mapping[str, Any], chart: Mapping[str, Any]) -> str:
    if "$ref" in schema:  # of what another value is
        found: Any = chart
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return _type(found, chart)
    if "enum" in schema:
        return " | ".join(json.dumps(choice) for choice in schema["enum"])
    types = schema.get("type", "any")
    return types if isinstance(types, str) else " | ".join(types)


def surface_json() -> str:
    """The committed form: one name a line, so that a change reads well."""
    return json.dumps(surface(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SURFACE.write_text(surface_json(), encoding="utf-8")
