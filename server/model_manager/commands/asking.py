"""What commands share that look at a repository or ask a running server: their options, and what comes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_manager.commands.terminal import fail, working

if TYPE_CHECKING:
    from model_manager.inventory.entry import Entry
    from model_manager.inventory.running_server import RunningServer
    from model_manager.repository.signatures import Trust

KEY_VARIABLE = "MODEL_MANAGER_API_KEY"

_url_option = click.option(
    "--url",
    metavar="URL",
    help="Ask a running server instead: its API or its admin port, such as http://localhost:8080.",
)
_key_option = click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File that holds an API key, or the admin port's token.  [default: the variable {KEY_VARIABLE}]",
)
_key_variable = click.option("--api-key", envvar=KEY_VARIABLE, hidden=True)


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `api_key_file` and `api_key` (hidden: the environment's, since a command line is seen by all)."""
    return _key_option(_key_variable(command))


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `url`, and what `key_options` gives."""
    return _url_option(key_options(command))


def server_at(url: str, api_key_file: Path | None, api_key: str | None) -> "RunningServer":
    """The server at an address. Raises QueryFailed for what is no address."""
    from model_manager.inventory.running_server import RunningServer

    return RunningServer(url, api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key)


def names_in(what: str | None) -> tuple[str | None, str | None]:
    """Read N or N/V, which is what may be named of a server."""
    model, _, version = (what or "").strip("/").partition("/")
    if "/" in version:
        raise click.UsageError(f"{what}: with --url name a model, or a version of it: iris, iris/2")
    return model or None, version or None


def entries_of(
    what: str | None,
    url: str | None,
    api_key_file: Path | None,
    api_key: str | None,
    *,
    trust: "Trust | None" = None,
) -> "list[Entry]":
    """The versions of a repository or of a server, as the command was told; ends it where there are none."""
    from model_manager.errors import PackageRefused, QueryFailed

    if what is None and url is None:
        raise click.UsageError("name a repository (REPO, REPO/N or REPO/N/V), or give --url of a running server")
    try:
        if url is not None:
            model, version = names_in(what)
            with working(f"asking {url}"):
                entries = server_at(url, api_key_file, api_key).entries(model, version)
        else:
            from model_manager.inventory.in_repository import entries_in
            from model_manager.repository.references import read_reference

            with working("reading the repository") as tell:
                entries = entries_in(
                    read_reference(Path(what or "")), trust=trust, told=lambda one: tell(f"reading {one}")
                )
    except (PackageRefused, QueryFailed) as error:
        fail(str(error))
    if not entries:
        fail(f"{what or url}: there is no such model or version" if what else f"{url} serves no model")
    return entries


def shown_size(size: int | None) -> str:
    """A number of bytes as people read it."""
    if size is None:
        return ""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def plain(value: Any) -> str:
    """A foreign text for a cell of a table: no markup in it means anything, and no control character gets through."""
    from rich.markup import escape

    return escape("".join(each if each.isprintable() else "�" for each in str(value)))
