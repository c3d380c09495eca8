"""`model-manager list`: the versions of a repository or of a running server, one line each.

In the flow: cli → **list** → inventory. What takes long to import is imported when it runs.
"""

from collections.abc import Callable
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

import click

from model_manager.commands.asking import entries_of, plain, server_at, server_options, shown_size
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table
from model_manager.errors import QueryFailed

if TYPE_CHECKING:
    from rich.table import Table

    from model_manager.inventory.entry import Entry

_EPILOG = """\b
Exit codes:
  0  listed, whatever the state of the versions
  2  wrong usage, or it cannot be read or asked

\b
Examples:
  model-manager list build/models
  model-manager list build/models/iris --serving http://localhost:8080
  model-manager list --url http://localhost:8080
  model-manager list --url http://localhost:8080 iris --json

Of a repository, `*` marks the version that would answer requests that name none: the newest that is not broken. Of a
server, `*` marks the one that does. The admin port tells states, the API port also where versions come from.
"""


_WIDE: Final = 110
_KEPT_WHOLE: Final = ("version", "state", "created", "size", "evaluation", "digest", "sha256")


@click.command("list", epilog=_EPILOG)
@click.argument("what", metavar="[REPO[/N[/V]]]", required=False)
@server_options
@click.option(
    "--serving",
    multiple=True,
    metavar="URL",
    help="Say which versions of REPO are ready on this server; may be given several times.",
)
@json_option
def list_(
    what: str | None,
    url: str | None,
    api_key_file: Path | None,
    api_key: str | None,
    serving: tuple[str, ...],
    as_json: bool,
) -> None:
    """List versions: their state, which one answers, where they come from, how good and how whole they are.

    With --url, name N or N/V to list less than all.
    """
    if url is not None and serving:
        raise click.UsageError("--serving is for a repository; --url asks the server itself")
    entries = entries_of(what, url, api_key_file, api_key)
    if serving:
        entries = _with_servers(entries, serving, api_key_file, api_key)
    if as_json:
        print_json({"versions": [one.document() for one in entries]})
        return
    print_table(_of_server(entries) if url is not None else _of_repository(entries, serves=bool(serving)))
    _print_reasons(entries)


def _with_servers(
    entries: "list[Entry]", serving: tuple[str, ...], api_key_file: Path | None, api_key: str | None
) -> "list[Entry]":
    from model_manager.inventory.where import served_where

    try:
        return served_where(entries, [server_at(url, api_key_file, api_key) for url in serving])
    except QueryFailed as error:
        fail(str(error))


def _of_repository(entries: "list[Entry]", *, serves: bool) -> "Table":
    columns: dict[str, Callable[[Entry], str]] = {
        "model": lambda one: one.model,
        "version": _marked,
        "state": lambda one: one.state,
        "created": lambda one: (one.created or "")[:10],
        "size": lambda one: shown_size(one.bytes),
        "trained on": _trained_on,
        "evaluation": _evaluation,
        "digest": _integrity,
    }
    if serves:
        columns["serves at"] = lambda one: "\n".join(one.serves_at or ())
        return _table(entries, columns, left_out=("created", "size", "trained on"))
    return _table(entries, columns, left_out=("created", "size"))


def _of_server(entries: "list[Entry]") -> "Table":
    columns: dict[str, Callable[[Entry], str]] = {
        "model": lambda one: one.model,
        "version": _marked,
        "state": lambda one: one.state,
        "created": lambda one: (one.created or "")[:10],
        "trained on": _trained_on,
        "evaluation": _evaluation,
        "sha256": lambda one: (one.sha256 or "")[:8],
        "answered by": lambda one: one.form or "",
    }
    return _table(entries, columns, left_out=("created", "answered by"))


def _table(
    entries: "list[Entry]", columns: dict[str, Callable[["Entry"], str]], *, left_out: tuple[str, ...]
) -> "Table":
    """A line for each entry; a narrow terminal gets a table without the columns of `left_out`, which JSON has."""
    if _is_narrow():
        columns = {name: cell for name, cell in columns.items() if name not in left_out}
    table = new_table(None, list(columns), right=("size",))
    for column in table.columns:
        column.no_wrap = column.header in _KEPT_WHOLE
    for one in entries:
        table.add_row(*(plain(cell(one)) for cell in columns.values()))
    return table


def _marked(one: "Entry") -> str:
    return f"{one.version} *" if one.default else one.version


def _evaluation(one: "Entry") -> str:
    from model_manager.inventory.entry import headline

    return headline(one.evaluation)


def _trained_on(one: "Entry") -> str:
    """The data's digest, which says which they were, and the end of where they came from if there is room."""
    if one.data is None:
        return ""
    uri, digest = str(one.data.get("uri", "")), str(one.data.get("sha256", ""))
    if digest and _is_narrow():
        return digest[:8]
    return " ".join(filter(None, (uri.rpartition("/")[2] or uri, digest[:8])))


def _is_narrow() -> bool:
    return get_terminal_size().columns < _WIDE


def _integrity(one: "Entry") -> str:
    if one.integrity is None:
        return ""
    return f"{one.integrity.digest}, signed" if one.integrity.signed_by else one.integrity.digest


def _print_reasons(entries: "list[Entry]") -> None:
    """Below the table, since a reason is longer than any cell."""
    for one in entries:
        if one.reason:
            click.echo(f"{'/'.join(filter(None, (one.model, one.version)))} is {one.state}: {one.reason}")
