"""`model-manager plan`: what a server would do with a folder, before it is given it.

In the flow: cli → **plan** → source, inventory. What takes long to import is imported when it runs.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from model_manager.commands.asking import plain, server_at, server_options
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import ConfigurationError, QueryFailed

if TYPE_CHECKING:
    from model_manager.inventory.plan import Plan, ServedModel
    from model_manager.repository.wanted import WantedState

_EPILOG = """\b
Exit codes:
  0  nothing would be unloaded
  1  the folder or its models.yaml is refused, or a version in it would not load
  2  something would be unloaded; and, as everywhere, wrong usage
  3  cannot tell: the server cannot be asked, or OLD_DIR cannot be read

\b
Examples:
  model-manager plan build/models --url http://localhost:8080
  model-manager plan next --from now
  model-manager plan build/models --json

With neither --url nor --from: what a server that starts would load. With --url, bytes are compared, and options such as
batching are not. A folder that is empty, missing or unreadable unloads nothing, nor does a models.yaml that vanishes or
is refused: what serves stays. What is no longer wanted of a model that is goes only once another version is ready.
"""


@click.command(epilog=_EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@server_options
@click.option("--from", "before", metavar="OLD_DIR", type=click.Path(path_type=Path), help="Compare with this folder.")
@click.option(
    "--artifact-roots",
    metavar="FOLDERS",
    envvar="MODEL_MANAGER_ARTIFACT_ROOTS",
    help="As the server has it: folders below which artifacts may lie besides DIR, separated by commas.",
)
@click.option("--all", "show_all", is_flag=True, help="Show what stays as it is, too.")
@json_option
def plan(
    folder: Path,
    url: str | None,
    api_key_file: Path | None,
    api_key: str | None,
    before: Path | None,
    artifact_roots: str | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Show what a server would load, replace and unload if DIR were its models folder, and who would answer then."""
    if url is not None and before is not None:
        raise click.UsageError("give --url, or --from")
    from model_manager.inventory import plan as planning

    now: dict[str, ServedModel] = {}
    old: WantedState | None = None
    try:
        if url is not None:
            with working(f"asking {url}"):
                now = planning.served_by(server_at(url, api_key_file, api_key).index())
    except QueryFailed as error:
        fail(str(error), 3)
    try:
        if before is not None:
            old = _read(before, artifact_roots)
            now = planning.served_from(old)
    except ConfigurationError as error:
        fail(f"--from {before}: {error}", 3)
    try:
        wanted = _read(folder, artifact_roots)
    except ConfigurationError as error:
        _refuse(str(error), as_json)
    if old is not None and old.by_manifest and not wanted.by_manifest:
        _refuse(f"{before} has a models.yaml and {folder} has none: a server takes that for a fault", as_json)
    made = planning.plan(now, wanted)
    if as_json:
        print_json({"refused": None, **made.document()})
    else:
        _print(made, show_all=show_all, compared=url is not None or before is not None)
        if url is not None and not wanted.by_manifest:
            click.echo("note: a server that has read a models.yaml from its folder unloads nothing for want of it")
    sys.exit(made.exit_code)


def _read(folder: Path, artifact_roots: str | None) -> "WantedState":
    """Read a folder as a server would. Raises ConfigurationError."""
    from model_manager.repository.regular_files import Files
    from model_manager.repository.source import Source
    from model_manager.settings import Settings

    roots = Settings.model_fields["artifact_roots"].default if artifact_roots is None else artifact_roots
    parts = tuple(os.path.normpath(part.strip()) for part in roots.split(",") if part.strip())
    with working(f"reading {folder}"):
        return Source(folder, Files(os.path.abspath(folder), parts)).read()


def _refuse(problem: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"refused": problem, "steps": [], "defaults": [], "notes": []})
    fail(f"{problem}; nothing would be loaded or unloaded, what serves stays", 1)


def _print(made: "Plan", *, show_all: bool, compared: bool) -> None:
    from model_manager.inventory.plan import ACTIONS

    shown = [step for step in made.steps if show_all or step.action != "keep"]
    if shown:
        table = new_table(None, ["", "model", "version", "why"])
        for action in ACTIONS:
            for step in made.steps_that(action):
                if step in shown:
                    table.add_row(action, *map(plain, (step.model, step.version, step.why)))
        print_table(table)
    for change in made.defaults if compared else ():
        click.echo(
            f"{change.model}: {change.before or 'nothing'} answers by default now, {change.after or 'nothing'} then"
        )
    for note in made.notes:
        click.echo(f"note: {note}")
    counts = {action: len(made.steps_that(action)) for action in ACTIONS}
    words = {"unload": "unloaded", "replace": "replaced", "load": "loaded", "fail": "failing", "forget": "forgotten"}
    changes = [f"{count} {words[action]}" for action, count in counts.items() if count and action in words]
    click.echo(f"Plan: {', '.join(changes) or 'nothing changes'}; {counts['keep']} kept as they are.")
