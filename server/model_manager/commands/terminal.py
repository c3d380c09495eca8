"""What commands print: tables for people, one JSON document for machines, errors and progress on standard error."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

if TYPE_CHECKING:
    from rich.table import Table

INTERRUPTED: Final = "interrupted; what it writes is there whole or not at all: run the same command again"

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


def fail(message: str, code: int = 2) -> NoReturn:
    """End the command with one line on standard error and an exit code."""
    click.echo(f"model-manager: {message}", err=True)
    sys.exit(code)


def print_json(document: Any) -> None:
    """Print one JSON document, and nothing beside it."""
    click.echo(json_text(document))


def json_text(document: Any) -> str:
    """Give a JSON document as print_json prints it."""
    return json.dumps(document, indent=2, ensure_ascii=False)


@contextmanager
def output_written() -> Iterator[None]:
    """End a command in one line whose standard output could not be written: a disk that is full, where it is a file.

    Files that a command writes have names, and it says itself what becomes of them.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise
        _give_up_output()
        fail(f"what it prints cannot be written whole, {error.strerror}: make room, and run the same command again")


def _give_up_output() -> None:
    """Throw away what is still to be printed, or Python would try again at the end."""
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 1)


def new_table(title: str | None, columns: Sequence[str], *, right: Sequence[str] = ()) -> "Table":
    """Begin a table for people; columns named in `right` hold numbers. Cells are text: escape what is foreign."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def print_table(table: "Table") -> None:
    """Print a table, as wide as the terminal at the most."""
    from rich.console import Console

    Console().print(table)


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, for as long as the body runs; nothing where nobody watches.

    The body may say what it does by now.
    """
    from rich.console import Console

    with Console(stderr=True).status(doing) as status:
        yield status.update
