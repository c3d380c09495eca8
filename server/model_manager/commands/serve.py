"""`model-manager serve`: one option for every setting, and a server that runs until it is told to stop.

In the flow: cli → **serve** → process or supervisor. Its options are made of the settings, which take long to import:
`model-manager --help` knows this command without importing it (`cli.SAID`).
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from model_manager.commands.terminal import fail
from model_manager.errors import ConfigurationError
from model_manager.logs import configure_logging
from model_manager.settings import Settings, shown_default, wants_colours

_METAVARS: dict[object, str] = {
    Path: "FOLDER",
    Path | None: "FILE",
    "host": "ADDRESS",
    "admin_host": "ADDRESS",
    "state": "FOLDER",
    "ledger": "FOLDER",
    "records": "URL|FILE",
    "records_redact": "NAMES",
    "artifact_roots": "FOLDERS",
    "artifact_stores": "URIS",
    "cache": "FOLDER",
    "allowed_formats": "FORMATS",
    "skops_trusted": "TYPES",
    "signature_key": "FILE",
    "signature_certificate": "FILE",
    "artifact_owners": "IDS",
}
"""What an option's value is called in the help, by type or by name; otherwise it is a number."""


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for every setting; pydantic validates the values, whatever their source."""
    for name, field in reversed(Settings.model_fields.items()):
        command = click.option(*_option(name, field), **_option_details(name, field))(command)
    return command


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"{Settings.model_config['env_prefix']}{name.upper()}"


def _option(name: str, field: FieldInfo) -> list[str]:
    flag = _flag(name)
    return [f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag, name]


def _option_details(name: str, field: FieldInfo) -> dict[str, Any]:
    default = shown_default(name) if field.is_required() else f"default: {shown_default(name)}"
    details: dict[str, Any] = {"default": None, "help": f"{field.description}  [{_variable(name)}; {default}]"}
    if get_origin(field.annotation) is Literal:
        details["type"] = click.Choice(get_args(field.annotation))
    elif field.annotation is not bool:
        details["metavar"] = _METAVARS.get(name, _METAVARS.get(field.annotation, "N"))
    return details


@click.command(epilog="Example: model-manager serve --models ./models-folder --port 8080 --log-format json")
@settings_options
def serve(**flags: object) -> None:
    """Serve the models of a folder until interrupted; versions written to it go live without a restart."""
    from model_manager import process, supervisor

    settings = settings_from(flags)
    try:
        code = process.run(settings) if settings.workers == 1 else supervisor.run(settings)
    except ConfigurationError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted before it served anything", 130)
    sys.exit(code)


def settings_from(flags: Mapping[str, object]) -> Settings:
    """Read the settings, flags first, and begin to log as they say; a wrong one ends the command."""
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fail(_wrong_setting(error))
    configure_logging(
        format=settings.log_format,
        level=settings.log_level,
        model_errors=settings.log_model_errors,
        colours=wants_colours(),
    )
    return settings


def _wrong_setting(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    given = "" if first["type"] == "missing" else f" {first['input']!r}:"
    return f"setting {_flag(name)} ({_variable(name)}):{given} {first['msg']}"
