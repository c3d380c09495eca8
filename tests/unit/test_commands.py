"""Every command says what it does, with an example, and without waiting for what it needs only when it runs."""

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from model_manager.cli import COMMANDS, cli

NEEDED_LATER = ("sklearn", "pandas", "scipy", "onnxruntime", "uvicorn", "obstore", "matplotlib")


@pytest.mark.parametrize("name", sorted({*COMMANDS, "serve", "api-key"}))
def test_help_has_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    command = cli.get_command(click.Context(cli), name)
    if isinstance(command, click.Group):
        return  # its commands are asked below
    assert f"model-manager {name}" in result.output.partition("Options:")[2], "an example"
    assert name == "serve" or "--json" in result.output


def test_commands_within_commands_have_examples_too() -> None:
    groups = [name for name in COMMANDS if isinstance(cli.get_command(click.Context(cli), name), click.Group)]
    assert groups
    for name in groups:
        group = cli.get_command(click.Context(cli), name)
        assert isinstance(group, click.Group)
        for inner in group.commands:
            shown = CliRunner().invoke(cli, [name, inner, "--help"]).output
            assert f"model-manager {name} {inner}" in shown.partition("Options:")[2]


def test_help_needs_nothing_that_takes_long_to_import() -> None:
    ask = (
        "import json, sys; from click.testing import CliRunner; from model_manager.cli import COMMANDS, cli\n"
        "codes = {name: CliRunner().invoke(cli, [name, '--help']).exit_code for name in COMMANDS}\n"
        "print(json.dumps([codes, [name for name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    codes, modules = json.loads(done.stdout)
    assert set(codes.values()) == {0}
    assert not set(NEEDED_LATER) & set(modules)
