"""What commands print: tables for people, one JSON document for machines, errors and progress on standard error."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from rich.table import Table

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


def fail(message: str, code: int = 2) -> NoReturn:
    """End the command with one line on standard error and an exit code."""
    click.echo(f"model-manager: {message}", err=True)
    sys.exit(code)


def print_json(document: Any) -> None:
    """Print one JSON document, and nothing beside it."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


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
