"""A table that does not fit is a list: whatever the width, no value is lost or cut."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from loadtests.benchmark.report import print_report
from tools.terminal_tables import print_table


def shown(width: int) -> list[str]:
    table = Table(title="medians over the rounds")
    for heading in ("", "target", "requests/s", "p99 ms", "met"):
        table.add_column(heading, no_wrap=True)
    table.add_row("W1", "model-manager (numpy)", "12,345", "0.987", "[green]yes")
    table.add_row("W2", "bare uvicorn", "23,456", "", "[red]no")
    written = io.StringIO()
    print_table(Console(file=written, width=width), table)
    return written.getvalue().splitlines()


def test_where_there_is_room_it_is_a_table() -> None:
    lines = shown(80)
    assert "┃" in lines[2]
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("width", [50, 40, 20])
def test_where_there_is_none_every_value_is_there_with_its_name(width: int) -> None:
    lines = shown(width)
    assert all(len(line) <= width for line in lines)
    said = " ".join(line.strip() for line in lines)
    assert "┃" not in said
    for value in ("W1", "target model-manager (numpy)", "requests/s 12,345", "p99 ms 0.987", "met yes", "met no"):
        assert value in said
    assert "p99 ms ," not in said, "what is empty is not named"


def test_a_report_of_nothing_measured_is_one_too() -> None:
    written = io.StringIO()
    print_report(Console(file=written, width=40), {})
    assert "bars, ratios within a round" in written.getvalue()
