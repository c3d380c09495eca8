"""Numbers as their authors write them: decimal marks, groups of digits, currencies, percent."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.tables.numbers import Notation, marks_that_fit

from tests.unit.tables.staging import of_column, table_of


@pytest.mark.parametrize(
    ("values", "separator", "expected", "note"),
    [
        (["1", "2", "3"], ",", [1, 2, 3], None),
        (["1.5", "-2", "3e2", ".5", "+7."], ",", [1.5, -2, 300, 0.5, 7], None),
        (["1,5", "2,25", "-3"], ";", [1.5, 2.25, -3], "'1,5' is read as 1.5"),
        (["1,5", "2,5"], ",", [1.5, 2.5], "'1,5' is read as 1.5"),
        (["1,234", "5,678,901", "12"], ",", [1234, 5678901, 12], "'1,234' is read as 1234"),
        (["1,234.5", "12"], ",", [1234.5, 12], "'1,234.5' is read as 1234.5"),
        (["1.234,5", "12"], ";", [1234.5, 12], "'1.234,5' is read as 1234.5"),
        (["1,234", "12"], ";", [1.234, 12], "'1,234' is read as 1.234"),
        (
            ["1.234", "12"],
            ";",
            [1.234, 12],
            "'1.234' is read as 1.234; nothing in the file tells whether its point parts",
        ),
        (["1 234,5", "12"], ";", [1234.5, 12], "'1 234,5' is read as 1234.5"),
        (["1'234.50", "12"], ",", [1234.5, 12], '"1\'234.50" is read as 1234.5'),
        (["$1,200.00", "$5"], ",", [1200, 5], "'$1,200.00' is read as 1200"),
        (["12%", "7.5%"], ",", [12, 7.5], "'12%' is read as 12"),
        (["5,00 €", "1.200,50 €"], ";", [5, 1200.5], "'5,00 €' is read as 5"),
    ],
)
def test_numbers_are_read_as_their_authors_write_them(
    tmp_path: Path, values: list[str], separator: str, expected: list[float], note: str | None
) -> None:
    table, told = of_column(tmp_path, *values, separator=separator)
    assert (told.kind, told.role) == ("number", "feature")
    assert table.frame["x"].tolist()[: len(values)] == expected
    assert [one[: len(note or "")] for one in told.notes] == ([note] if note else [])


def test_one_column_tells_of_the_decimal_mark_of_another(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a;b\n1,5;1.234\n2,5;5.678\n")
    assert table.frame["b"].tolist() == [1234, 5678]
    assert table.report.decimal_mark == ","
    table = table_of(tmp_path, 'a\tb\n1.5\t"1,234"\n2.5\t"5,678"\n')
    assert table.frame["b"].tolist() == [1234, 5678]


@given(number=st.floats(-1e12, 1e12).map(lambda value: round(value, 2)), mark=st.sampled_from([".", ","]))
def test_a_number_is_the_same_in_every_notation(number: float, mark: str) -> None:
    american = f"{number:,.2f}"
    for text in (american, american.replace(",", " "), american.replace(",", "'"), f"{number:.2f}"):
        written = text if mark == "." else text.translate(str.maketrans(",.", ".,"))
        assert mark in marks_that_fit([written])
        assert Notation("." if mark == "." else ",").parse(written) == number
