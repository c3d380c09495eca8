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
from model_manager.app import create_admin_app, create_app
from model_manager.cli import cli
from model_manager.metrics import catalogue
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
    found = {
        "Python": set(model_manager.__all__),
        "HTTP, API port": set(_routes(_starlette(create_app(system)))),
        "HTTP, admin port": set(_routes(create_admin_app(system, max_body_bytes=1))),
        "models.yaml": {key for key in _keys(Manifest) if ".metadata." not in key},
        "metadata.json": set(_keys(Metadata)),
        "commands": set(_options(cli, "model-manager")),
        "metrics": {f"{one.name}{{{','.join(one.labels)}}}" for many in catalogue.CATALOGUE.values() for one in many},
        "chart values": set(_values(json.loads(_CHART.read_text(encoding="utf-8")))),
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


def _keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}{name}"
        yield here
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


def _values(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from _values(inner, f"{path}{name}.")
    if isinstance(items := schema.get("items"), dict):
        yield from _values(items, f"{path.removesuffix('.')}[].")


def surface_json() -> str:
    """The committed form: one name a line, so that a change reads well."""
    return json.dumps(surface(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SURFACE.write_text(surface_json(), encoding="utf-8")
