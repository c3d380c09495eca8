"""Every command says what it does, with an example, and without waiting for what it needs only when it runs."""

import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from model_manager.cli import COMMANDS, SAID, cli

NEEDED_LATER = ("sklearn", "pandas", "scipy", "onnxruntime", "uvicorn", "obstore", "matplotlib")
HEAVY = {*NEEDED_LATER, "numpy", "pydantic", "starlette", "yaml", "asyncio", "rich", "multiprocessing"}
"""What takes a tenth of a second, or more, of the time that somebody waits who only asks what there is."""


@pytest.mark.parametrize("name", sorted(COMMANDS))
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


def imported(arguments: list[str], code: int) -> set[str]:
    """What the command imports when it is run with these arguments, by the first part of its name."""
    ask = (
        "import sys; from model_manager.cli import cli\n"
        "try: cli(sys.argv[1:], prog_name='model-manager')\n"
        "except SystemExit as ended: print(ended.code, *sys.modules)"
    )
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }  # which imports much
    done = subprocess.run(
        [sys.executable, "-c", ask, *arguments], capture_output=True, text=True, check=True, env=plain
    )
    said, *modules = done.stdout.splitlines()[-1].split()
    assert said == str(code), done.stderr
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["canary", "--help"], 0)])
def test_what_is_asked_for_help_is_there_at_once(arguments: list[str], code: int) -> None:
    assert not HEAVY & imported(arguments, code)


def test_a_comparison_does_without_scipy_and_numbers_do_without_numpy() -> None:
    arguments = ["canary", "--model", "m", "--prometheus", "http://127.0.0.1:1"]
    assert HEAVY & imported(arguments, 2) == {"rich"}
    ask = (
        "import sys\n"
        "from model_manager.rollout.comparison import Limits, Side, compare\n"
        "from model_manager.rollout.distribution import Histogram\n"
        "seen = Histogram((1.0, 2.0), (500, 990), 1000)\n"
        "sides = [Side(name, requests={'200': 990, '500': 10}, seconds=seen, values=seen) for name in 'ab']\n"
        "print(compare(*sides, Limits(100, 0.001, 1.5, 0.2, True)).verdict)\n"
        "print({'numpy', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["no worse", "set()"]


def test_what_the_list_says_of_commands_that_take_long_to_import_is_what_they_say() -> None:
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=300).output
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        if name in SAID:
            assert command.help == SAID[name]
        assert f"{name} " in shown
