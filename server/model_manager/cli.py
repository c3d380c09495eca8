"""The command `model-manager`: the table of commands, each of which fails in one clear line with a non-zero exit code.

What takes long to import is imported by the command that needs it, when it runs: `--help` is there at once.
"""

import logging
from importlib import import_module
from typing import Any, Final

import click

from model_manager.commands.terminal import INTERRUPTED, fail, output_written
from model_manager.version import __version__

COMMANDS: dict[str, str] = {
    "api-key": "api_key:api_key",
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
    "serve": "serve:serve",
    "show": "show:show",
    "sign": "signing:sign",
    "train": "train:train",
    "verify": "verify:verify",
}
"""Where in the room `commands` each one is."""

SAID: Final = {
    "serve": "Serve the models of a folder until interrupted; versions written to it go live without a restart."
}
"""What the list of commands says of those that take long to import: what the command itself says."""


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, and import none for it that takes long."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._said(ctx, name, room)) for name in self.list_commands(ctx)])

    def _said(self, ctx: click.Context, name: str, room: int) -> str:
        if name in SAID:
            return click.Command(name, help=SAID[name]).get_short_help_str(room)
        command = self.get_command(ctx, name)
        assert command is not None, "it is in the table"
        return command.get_short_help_str(room)

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
