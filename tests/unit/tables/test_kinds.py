"""The kind of a column: codes, booleans, text, dates; and what stands for a gap in it."""

from pathlib import Path

import numpy as np
import pytest
from model_manager.tables.columns import is_missing, kind_of
from model_manager.tables.numbers import marks_that_fit

from tests.unit.tables.staging import column, of_column, table_of


@pytest.mark.parametrize(
    ("values", "kind", "note"),
    [
        (["01234", "12345"], "code", "leading zeros ('01234'): kept as text"),
        (["0830", "1200"], "code", "leading zeros ('0830'): kept as text"),
        (["008.45", "250.13"], "code", "leading zeros ('008.45'): kept as text"),
        (
            ["12345678901234567890", "2"],
            "code",
            "more digits than a number keeps ('12345678901234567890'): kept as text",
        ),
        (["600 123 456", "600 123 457"], "text", None),  # numbers to dial
        (["0", "10", "0.5"], "number", None),
        (["yes", "no"], "text", None),
        (["True", "False"], "boolean", None),
        (["TRUE", "false"], "boolean", None),
        (["T", "F"], "text", None),
        (["1.2.3", "1.2.4"], "text", None),
        (["Na", "none", "Nan"], "text", None),
    ],
)
def test_what_is_no_quantity_stays_what_it_is(tmp_path: Path, values: list[str], kind: str, note: str | None) -> None:
    table, told = of_column(tmp_path, *values)
    assert (told.kind, told.notes) == (kind, (note,) if note else ())
    if kind in ("code", "text"):
        assert table.frame["x"].tolist()[: len(values)] == values
    if kind == "boolean":
        assert table.frame["x"].dtype == np.bool_


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("2024-03-05", "2024-04-05"),
        ("2024-03-05T10:00:00Z", "2024-03-05T11:00:00Z"),
        ("2024-03-05 10:00:00.123+02:00", "2024-03-05 10:00:01+02:00"),
        ("5.3.2024", "31.12.2024"),
        ("03/05/24", "3/6/24"),
        ("2024/3/5", "2024/3/6"),
        ("05-Mar-2024", "06-Mar-24"),
        ("5 March 2024", "6 April 2024"),
        ("Mar 5, 2024", "Sept. 6, 2024"),
        ("2024-03", "2024-04"),
        ("20240305", "20240306"),
        ("3/5/2024 1:05 PM", "3/5/2024 1:06 AM"),
    ],
)
def test_dates_are_left_out_with_what_to_do_instead(tmp_path: Path, value: str, other: str) -> None:
    _, told = of_column(tmp_path, value, other)
    assert (told.kind, told.role) == ("date", "left out")
    assert told.notes[0].startswith(f"dates ({value!r}): write what matters of them (month, weekday, days since)")


@pytest.mark.parametrize("value", ["1999.12", "12-34", "1-2-3-4", "10:30", "2024", "may", "192.168.1.1", "20241399"])
def test_what_only_resembles_a_date_is_none(value: str) -> None:
    assert kind_of([value], marks_that_fit([value])) != "date"


def test_gaps_are_counted_by_the_word_that_stands_for_them(tmp_path: Path) -> None:
    table = table_of(tmp_path, "x,y,z\n1,?,TRUE\nNA,a,\n,b,FALSE\n-,b,TRUE\n 3 ,n/a,n/a\nNA,a,TRUE\n")
    assert column(table, "x").missing == {"NA": 2, "": 1, "-": 1}
    assert column(table, "y").missing == {"?": 1, "n/a": 1}
    assert column(table, "z").missing == {"": 1, "n/a": 1}
    assert table.frame["x"].isna().tolist() == [False, True, True, True, False, True]
    assert table.frame["z"].dropna().tolist() == [1.0, 0.0, 1.0, 1.0]
    assert all(value is np.nan or isinstance(value, str) for value in table.frame["y"])
    assert "spaces around 1 values are left out" in table.report.notes


@pytest.mark.parametrize("word", ["None", "NULL", "nan", "#N/A", "<NA>", ".", "--", "Inf", "#DIV/0!", "-1.#IND"])
def test_what_tools_write_for_nothing_is_missing(word: str) -> None:
    assert is_missing(word)


def test_text_that_is_nearly_all_numbers_is_doubted(tmp_path: Path) -> None:
    table = table_of(tmp_path, "x,y\n" + "1.5,a\n2.5,b\n" * 20 + "about 3,a\n")
    assert column(table, "x").notes == (
        "read as text, though 40 of 41 values are numbers: 'about 3', the first on line 42",
    )
