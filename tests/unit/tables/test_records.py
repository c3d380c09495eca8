"""Text → header and rows: every cell as it was written, in any dialect; and what cannot be parted for certain."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import TableRefused
from model_manager.tables.dialect import SEPARATORS, Dialect
from model_manager.tables.records import read_records

SEPARATED = st.sampled_from(sorted(SEPARATORS))
CELLS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)
WORDS = st.from_regex(r"[a-z]{1,6}( [a-z,;|\"\t]{1,6})?", fullmatch=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32).map(str)


def written(table: list[list[str]], **dialect: object) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(table)  # type: ignore[arg-type]
    return text.getvalue()


def tables(cells: st.SearchStrategy[str], *, least_width: int) -> st.SearchStrategy[list[list[str]]]:
    """A header and rows, as wide."""

    def of_width(width: int) -> st.SearchStrategy[list[list[str]]]:
        names = st.lists(st.from_regex(r"[A-Z][a-z]{0,5}", fullmatch=True), min_size=width, max_size=width)
        rows = st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)
        return st.tuples(names, rows).map(lambda both: [both[0], *both[1]])

    return st.integers(least_width, 5).flatmap(of_width)


def kept(table: list[list[str]]) -> list[list[str]]:
    """The rows that say something: not empty, and not the header again."""
    return [row for row in table[1:] if any(cell.strip() for cell in row) and row != table[0]]


QUOTINGS = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])


@given(
    table=tables(CELLS, least_width=1),
    separator=SEPARATED,
    quoting=QUOTINGS,
    backslash=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_cell_comes_back_in_every_dialect(
    table: list[list[str]], separator: str, quoting: int, backslash: bool, end: str
) -> None:
    quotes = {"doublequote": False, "escapechar": "\\"} if backslash else {}
    text = written(table, delimiter=separator, quoting=quoting, lineterminator=end, **quotes)
    lines = list(io.StringIO(text, newline=""))
    assert list(filter(None, Dialect(separator, backslash=backslash).reader(lines))) == table


@given(table=tables(WORDS | NUMBERS | st.just(""), least_width=2), separator=SEPARATED, quoting=QUOTINGS)
def test_the_dialect_is_found_out(table: list[list[str]], separator: str, quoting: int) -> None:
    rows = kept(table)
    if rows:
        records = read_records(written(table, delimiter=separator, quoting=quoting))
        assert (records.header, records.rows) == (tuple(table[0]), [tuple(row) for row in rows])
        assert records.dialect.separator == separator


@given(table=tables(WORDS, least_width=2), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_row_knows_its_line(table: list[list[str]], end: str) -> None:
    rows = kept(table)
    if rows:
        multiline = [[cell.replace(" ", end) for cell in row] for row in table]
        text = written(multiline, quoting=csv.QUOTE_ALL, lineterminator=end)
        records = read_records(text)
        lines = io.StringIO(text, newline="").readlines()
        for line, row in zip(records.lines, records.rows, strict=True):
            assert lines[line - 1].startswith('"' + io.StringIO(row[0], newline="").readline())


@pytest.mark.parametrize(
    ("text", "separator", "first"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";", ["1,5", "2,5"]),
        ("Breite, m;Höhe, m\n1,5;2,5\n", ";", ["1,5", "2,5"]),  # parted alike by the comma, into worse values
        ("movie,genres\nHeat,Action|Crime\nDumbo,Kids|Music\n", ",", ["Heat", "Action|Crime"]),
        ("a\tb\n1,234\t5\n6,789\t7\n", "\t", ["1,234", "5"]),
        ("a|b\nx|y\n", "|", ["x", "y"]),
        ("sep=|\na|b\nx,y|z\n", "|", ["x,y", "z"]),
        ('a, b\n1, "x, y"\n2, "z"\n', ",", ["1", "x, y"]),
        ('a,b\n1,"say \\"x, y\\""\n2,"z"\n', ",", ["1", 'say "x, y"']),
        ('a,b\n1,"C:\\"\n2,"D:\\"\n', ",", ["1", "C:\\"]),  # a backslash that stands for itself
        ("text\nwell, then\nno\n", ",", None),
    ],
)
def test_separators_and_quotes_are_those_that_fit(text: str, separator: str, first: list[str] | None) -> None:
    if first is None:
        with pytest.raises(TableRefused, match=r"line 2 has 2 values, the header 1"):
            read_records(text)
    else:
        records = read_records(text)
        assert (records.dialect.separator, records.rows[0]) == (separator, tuple(first))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("# a\n\n# b\n", "it holds comments only: every line begins with #"),
        ("a,b\n", "it has a header ('a, b') and no rows"),
        ("a,b\n\n1,2\n3\n4\n", "line 4 has 1 value, the header 2 (as 2 of 3 rows); write a missing value as an empty"),
        ('a,b\n"1\n2",3\n4,5,6\n', "line 4 has 3 values, the header 2; a value that holds a comma must stand"),
        ("a;b\n1;2;\n3;4;\n", "line 2 has 3 values, the header 2 (as every row); every row ends with a semicolon too"),
        ('a,b\n1,"x\n2,y\n', "line 2: a quote is opened and never closed"),
        ('a,b\n1,"x\n2,"y"\n', "line 3: text follows a closing quote; was one left open on line 2?"),
        ('a,b\n1,"5" pipe"\n', "line 2: text follows a closing quote; a quote within quotes is written twice"),
        ("a,b\n1," + "x" * 200_000 + "\n", "line 2: a value is longer than 131,072 characters; is a quote open?"),
        ("a b c\n1 2 3\n", "every line holds 3 values parted by spaces; write it with commas"),
        (
            "# id,name\n1,2\n3,4\n5,6\n",
            "line 1 begins with # and has as many values as the others ('# id,name'): if it is",
        ),
        ("a,b\n1,2\n#3,4\n5,6\n", "line 3 begins with # and has as many values as the others ('#3,4'): if it is a row"),
    ],
)
def test_what_cannot_be_parted_for_certain_is_refused(text: str, told: str) -> None:
    with pytest.raises(TableRefused) as refused:
        read_records(text)
    assert str(refused.value).startswith(told)


def test_lines_that_are_no_rows_are_left_out_and_told() -> None:
    text = '# by hand\n\na,b\n1,2\n#\n,\n"#3",4\na,b\n , \n5,"6\n# 7"\n'
    records = read_records(text)
    assert records.rows == [("1", "2"), ("#3", "4"), ("5", "6\n# 7")]
    assert (records.header_line, records.lines) == (3, [4, 7, 10])
    assert records.notes == (
        "2 lines beginning with # left out as comments, the first is line 1",
        "2 rows without a value left out, the first on line 6",
        "1 repetition of the header left out, the first on line 8",
    )


def test_values_that_begin_with_a_hash_are_values_where_most_do() -> None:
    assert read_records("colour,n\n#fff,1\n#000,2\n#f00,3\n").rows == [("#fff", "1"), ("#000", "2"), ("#f00", "3")]


def test_every_kind_of_line_end_ends_a_line() -> None:
    for text in ("a,b\r1,2\r3,4\r", "a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4"):
        assert read_records(text).lines == [2, 3]
