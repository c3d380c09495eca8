"""`model-manager history`: what served when, and who changed it, of a ledger; what was made when, of a repository.

In the flow: cli → **history** → ledger, or inventory → history_text.

What takes long to import is imported when it runs.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import fail, json_option, print_json, working
from model_manager.errors import LedgerUnreadable, PackageRefused, QueryFailed

if TYPE_CHECKING:
    from model_manager.ledger import History, Moment

_EPILOG = """\b
Exit codes:
  0  told
  1  no server was running then, or the model had no version there
  2  wrong usage, or there is nothing to ask
  3  the ledger does not know: that was before it begins, or is yet to come

\b
Examples:
  model-manager history iris --url http://localhost:8081 --at 2026-11-02T15:00
  model-manager history --model iris --ledger /state/ledger --since 2026-11-01 --until 2026-11-03
  model-manager history repository/iris
  kubectl exec deploy/models -- model-manager history --model iris --at 2026-11-02T15:00

Times are UTC unless they name a zone. A server keeps a ledger where it is started with --ledger FOLDER, or --state
FOLDER; in its own container nothing else need be named, since its variables name the folder. --url is its admin port.
"""


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    from model_manager.ledger import read_time

    try:
        return read_time(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@dataclass(frozen=True)
class _Asked:
    """What is asked, and of whom."""

    url: str | None
    key: str | None
    folder: Path | None
    model: str | None
    version: str | None
    at: datetime | None
    since: datetime | None
    until: datetime | None


@click.command(epilog=_EPILOG)
@click.argument("what", metavar="[REPO[/N[/V]] | N[/V]]", required=False)
@click.option("--url", metavar="URL", help="Ask a running server: its admin port, such as http://localhost:8081.")
@click.option(
    "--ledger",
    envvar="MODEL_MANAGER_LEDGER",
    type=click.Path(path_type=Path),
    help="Folder with the ledger.  [default: the variable MODEL_MANAGER_LEDGER, or what is in MODEL_MANAGER_STATE]",
)
@click.option("--state", envvar="MODEL_MANAGER_STATE", type=click.Path(path_type=Path), hidden=True)
@click.option("--model", metavar="N", help="Tell of this model alone.")
@click.option("--at", callback=_time, metavar="TIME", help="Tell what served then, such as 2026-11-02T15:00.")
@click.option("--since", callback=_time, metavar="TIME", help="Tell what happened from then on.")
@click.option("--until", callback=_time, metavar="TIME", help="Tell what happened until then.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the admin port's token.  [default: the variable MODEL_MANAGER_API_KEY]",
)
@click.option("--api-key", envvar="MODEL_MANAGER_API_KEY", hidden=True)
@json_option
@click.pass_context
def history(
    context: click.Context,
    what: str | None,
    url: str | None,
    ledger: Path | None,
    state: Path | None,
    model: str | None,
    at: datetime | None,
    since: datetime | None,
    until: datetime | None,
    api_key_file: Path | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Tell which version answered when, trained on what, approved by whom; or which versions a repository holds."""
    if at is not None and (since is not None or until is not None):
        raise click.UsageError("give --at, or --since and --until")
    if since is not None and until is not None and since > until:
        raise click.UsageError("--since is later than --until")
    named = context.get_parameter_source("ledger") is click.core.ParameterSource.COMMANDLINE
    if url is not None and named:
        raise click.UsageError("give --url, or --ledger")
    is_repository = what is not None and url is None and not named and Path(what).exists()
    if is_repository:
        assert what is not None, "it is there"
        _tell_repository(what, (model, at, since, until), as_json)
        return
    folder = None if url is not None else ledger or (state / "ledger" if state is not None else None)
    if url is None and folder is None:
        said = f"{what}: there is no such folder; " if what is not None else ""
        raise click.UsageError(f"{said}name a repository, or give --url of a running server, or --ledger of one")
    first, version = _names_in(what)
    if model is not None and first is not None:
        raise click.UsageError(f"give {what}, or --model {model}")
    key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key
    asked = _Asked(url, key, folder, model or first, version, at, since, until)
    try:
        with working(f"asking {url}" if url is not None else f"reading {folder}"):
            answer = _moment(asked) if at is not None else _history(asked)
    except (LedgerUnreadable, QueryFailed) as error:
        fail(str(error))
    _tell(answer, asked, as_json)


def _names_in(what: str | None) -> tuple[str | None, str | None]:
    """Read N or N/V, which is what may be named of a ledger."""
    model, _, version = (what or "").strip("/").partition("/")
    if "/" in version:
        raise click.UsageError(f"{what}: name a model, or a version of it: iris, iris/2")
    return model or None, version or None


def _moment(asked: _Asked) -> "Moment":
    from model_manager.ledger import Moment, moment_of

    assert asked.at is not None, "only a moment is asked for"
    if asked.url is None:
        assert asked.folder is not None, "checked with the options"
        return moment_of(asked.folder, asked.at, model=asked.model, version=asked.version)
    from model_manager.inventory.running_ledger import ask_ledger

    query = {"at": asked.at.isoformat(), "model": asked.model, "version": asked.version}
    return ask_ledger(asked.url, query, Moment, key=asked.key)


def _history(asked: _Asked) -> "History":
    from model_manager.ledger import History, history_of

    if asked.url is None:
        assert asked.folder is not None, "checked with the options"
        return history_of(asked.folder, model=asked.model, version=asked.version, since=asked.since, until=asked.until)
    from model_manager.inventory.running_ledger import ask_ledger

    query = {"model": asked.model, "version": asked.version}
    query |= {name: time.isoformat() for name, time in (("since", asked.since), ("until", asked.until)) if time}
    return ask_ledger(asked.url, query, History, key=asked.key)


def _tell(answer: "Moment | History", asked: _Asked, as_json: bool) -> None:
    """Print the answer, and end with what it is."""
    import msgspec

    from model_manager.commands import history_text
    from model_manager.ledger import Moment

    if as_json:
        print_json(msgspec.to_builtins(answer))
    elif isinstance(answer, Moment):
        history_text.print_moment(answer, asked.model)
    else:
        history_text.print_history(answer)
    if answer.unread:
        more = f" and {len(answer.unread) - 1} more" if len(answer.unread) > 1 else ""
        click.echo(f"model-manager: a line of the ledger cannot be read: {answer.unread[0]}{more}", err=True)
    if isinstance(answer, Moment) and answer.problem:
        fail(answer.problem, 1 if answer.known else 3)
    sys.exit(0)


def _tell_repository(what: str, asked: tuple[object, ...], as_json: bool) -> None:
    import msgspec

    from model_manager.commands import history_text
    from model_manager.inventory.lineage import made_in
    from model_manager.repository.references import read_reference

    if any(one is not None for one in asked):
        raise click.UsageError(
            f"{what} is a repository, which knows what was made and not what served: for --at, --since, --until and "
            "--model ask a server's ledger with --url or --ledger"
        )
    try:
        made = made_in(read_reference(Path(what)))
    except PackageRefused as error:
        fail(str(error))
    if as_json:
        print_json(msgspec.to_builtins(made))
    else:
        history_text.print_made(made)
