"""Tables where they fit: on a narrow terminal the same rows as a list, with nothing cut and nothing left out."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def print_table(console: Console, table: Table) -> None:
    """Print a table, or, where it is wider than the console, each of its rows as a few lines.

    The first cell of a row is its heading; what an empty heading is above is written without it.
    """
    natural = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if natural <= console.width:
        console.print(table)
        return
    if table.title:
        console.print(table.title, style="italic", highlight=False)
    headings = [_text(column.header) for column in table.columns]
    for number in range(table.row_count):
        first, *others = ([*column.cells][number] for column in table.columns)
        said = [
            Text.assemble(f"{heading} ", cell) if heading else cell
            for heading, cell in zip(headings[1:], map(_text, others), strict=True)
            if cell.plain
        ]
        console.print(_text(first), style=table.rows[number].style or "", highlight=False)
        console.print(Text("  ") + Text(", ").join(said), highlight=False)


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))
