"""The command `model-manager`: read settings, run one thing, and fail in one clear line with a non-zero exit code.

What takes long to import is imported by the command that needs it: `--help` is there at once.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from model_manager.commands.terminal import INTERRUPTED, fail, output_written
from model_manager.errors import ConfigurationError
from model_manager.logs import configure_logging
from model_manager.settings import Settings, shown_default
from model_manager.version import __version__

COMMANDS: dict[str, str] = {
    "canary": "canary:canary",
    "compare": "compare:compare",
    "configmap": "configmap:configmap",
    "diff": "diff:diff",
    "evaluate": "evaluate:evaluate",
    "export": "export:export",
    "feedback": "feedback:feedback",
    "history": "history:history",
    "import": "import_:import_",
    "list": "list:list_",
    "pack": "pack:pack",
    "plan": "plan:plan",
    "predict": "predict:predict",
    "promote": "promote:promote",
    "publish": "publish:publish",
    "rollback": "rollback:rollback",
    "rollout": "rollout:rollout",
    "score-labels": "score_labels:score_labels",
    "show": "show:show",
    "sign": "signing:sign",
    "train": "train:train",
    "verify": "verify:verify",
}
"""The commands beside `serve` and `api-key`: where in the room `commands` each one is."""


_INTERRUPTED: Final = 130  # as shells have it; 1 is an answer of some commands


class Commands(click.Group):
    """The group of all commands, of which those in COMMANDS are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in order."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give a command by its name; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"model_manager.commands.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; tell in a line where it is interrupted, or what it printed could not be written."""
        try:
            with output_written():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(INTERRUPTED, _INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="model-manager")
def cli() -> None:
    """Serve scikit-learn models from a mounted folder of versions."""
    logging.getLogger("model_manager").addHandler(logging.NullHandler())  # other commands say themselves what they find


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


@cli.command(epilog="Example: model-manager serve --models ./models-folder --port 8080 --log-format json")
@settings_options
def serve(**flags: object) -> None:
    """Serve the models of a folder until interrupted; versions written to it go live without a restart."""
    from model_manager import process, supervisor

    settings = settings_from(flags)
    try:
        code = process.run(settings) if settings.workers == 1 else supervisor.run(settings)
    except ConfigurationError as error:
        fail(str(error))
    sys.exit(code)


@cli.command("api-key", epilog="Example: model-manager api-key shop --models iris --models 'churn-*' >> api-keys.yaml")
@click.argument("id")
@click.option("--models", multiple=True, metavar="NAME", help="A model, or a pattern with *; default: every model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with the key in it.")
def api_key(id: str, models: Sequence[str], as_json: bool) -> None:
    """Make an API key for ID: the key goes to standard error, once, and what the server is given to standard output."""
    from model_manager.serving.keys import digest_of, new_key, parse_keys

    key = new_key()
    entry: dict[str, object] = {"sha256": digest_of(key.encode()).hex(), **({"models": list(models)} if models else {})}
    stored = json.dumps({"keys": {id: entry}})  # which is YAML too
    try:
        parse_keys({"the entry": stored.encode()})
    except ConfigurationError as error:
        fail(str(error))
    if as_json:
        click.echo(json.dumps({"id": id, "key": key, "file": {"keys": {id: entry}}}))
        return
    click.echo(f"the key of {id}, which is shown this once: {key}", err=True)
    said = "".join(f", {name}: {json.dumps(value)}" for name, value in entry.items())
    click.echo(f"keys:\n  {id}: {{{said[2:]}}}")


def settings_from(flags: Mapping[str, object]) -> Settings:
    """Read the settings, flags first, and begin to log as they say; a wrong one ends the command."""
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fail(_wrong_setting(error))
    configure_logging(format=settings.log_format, level=settings.log_level, model_errors=settings.log_model_errors)
    return settings


def _wrong_setting(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    given = "" if first["type"] == "missing" else f" {first['input']!r}:"
    return f"setting {_flag(name)} ({_variable(name)}):{given} {first['msg']}"
