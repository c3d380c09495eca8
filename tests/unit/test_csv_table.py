"""A file's bytes → a typed table: encodings, numbers, gaps, codes, dates, and which columns are worth learning from."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import TableRefused
from model_manager.packaging.csv_table.columns import is_missing, kind_of
from model_manager.packaging.csv_table.numbers import Notation, marks_that_fit
from model_manager.packaging.csv_table.reading import ColumnReport, CsvTable, read_csv_table
from model_manager.packaging.csv_table.text import decode

TEXT = "straße,größe\nKönigsallee,1.5\nAm Bächle,2.5\n"


def table_of(folder: Path, content: str | bytes, target: str | None = None) -> CsvTable:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv_table(path, target=target)


def refused(folder: Path, content: str | bytes, target: str | None = None) -> str:
    with pytest.raises(TableRefused) as refusal:
        table_of(folder, content, target)
    text = str(refusal.value)
    assert text.startswith(f"{folder / 'table.csv'}: ")
    return text.partition(": ")[2]


def column(table: CsvTable, name: str) -> ColumnReport:
    return next(one for one in table.report.columns if one.name == name)


def of_column(folder: Path, *values: str, rows: int = 12, separator: str = ",") -> tuple[CsvTable, ColumnReport]:
    """Read a table with a column x of these values over and over, beside one that is plain."""
    lines = [f"x{separator}other"]
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    lines += [f"{quoted[at % len(values)]}{separator}{'ab'[at % 2]}" for at in range(max(rows, len(values)))]
    table = table_of(folder, "\n".join(lines))
    return table, column(table, "x")


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32-le"),
        (TEXT.encode("latin-1"), "latin-1"),
        ((TEXT + "Straße “B”,3.5\n").encode("cp1252"), "cp1252"),
        (gzip.compress(TEXT.encode()), "utf-8"),
        (bz2.compress(TEXT.encode()), "utf-8"),
        (lzma.compress(TEXT.encode()), "utf-8"),
        (zipped("table.csv"), "utf-8"),
        (zipped("table.csv", "__MACOSX/._table.csv"), "utf-8"),
    ],
)
def test_the_encoding_is_found_out_and_told(tmp_path: Path, content: bytes, encoding: str) -> None:
    table = table_of(tmp_path, content)
    assert table.report.encoding == encoding
    assert list(table.frame.columns) == ["straße", "größe"]
    assert table.frame["straße"].tolist()[:2] == ["Königsallee", "Am Bächle"]
    told = any("not UTF-8: read as" in note and "line 1 says 'straße'" in note for note in table.report.notes)
    assert told == (encoding in ("latin-1", "cp1252"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            TEXT.encode() + "Müllerweg,1\n".encode() * 3 + b"Caf\xe9,2\n",
            "line 7 holds the byte 0xe9, the rest is UTF-8",
        ),
        ("город,цена\nМосква,1\n".encode("cp1251"), "line 1 is neither UTF-8 nor Western European text"),
        ("a,b\n1,東京都\n".encode("shift-jis"), "line 2 is neither UTF-8 nor Western European text"),
        (b"\xff\xfea\0,\0b", "it begins as UTF-16-LE, and line 1 is not; save it as UTF-8"),
        (b"a,b\n1,\0\0\0\0", "line 2 holds a NUL character"),
        (b"PK\x03\x04rest", "it is a compressed file that is damaged"),
        (gzip.compress(TEXT.encode())[:-9], "it is a compressed file that is damaged"),
        (zipped("a.csv", "b.csv"), "it is a zip of 2 files; unpack it and name one of them"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "it is an Excel workbook; save it as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an Excel workbook"),
        (b"PAR1\x15\x04", "it is a Parquet file; write it as CSV first"),
        (b'[\n  {"a": 1},\n  {"a": 2}\n]\n', "it is JSON, not CSV"),
        (b'{"a": 1}\n{"a": 2}\n', "it is JSON, not CSV"),
        (b"<!DOCTYPE html>\n<html>\n", "it is HTML or XML, not CSV; was it downloaded by its own link?"),
        (b"% iris\n@RELATION iris\n@DATA\n1,2\n", "it is an ARFF file; write it as CSV first"),
        (b" , \n1,2\n", "line 1 names no column; write a line with the names of the columns above it"),
        (b"", "it is empty"),
    ],
)
def test_what_is_no_text_that_can_be_read_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    assert refused(tmp_path, content).startswith(told)


def test_characters_that_were_lost_before_are_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,b\n1,Z�rich\n2,K�ln\n")
    assert table.report.notes == (
        "2 characters are �, the first on line 2: they were lost before this file was written",
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")))
def test_utf8_text_is_never_taken_for_anything_else(text: str) -> None:
    read = decode(b"\xef\xbb\xbfa,b\n" + text.encode())
    assert (read.text, read.encoding) == ("a,b\n" + text, "utf-8")


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,a\n1,2,3\n4,5,6\n", "line 1 names two columns 'a' (columns 1 and 3); rename one"),
        ("a,b, a\n1,2,3\n4,5,6\n", "line 1 names two columns 'a' (columns 1 and 3); rename one"),
        ("a,,b\n1,2,3\n4,5,6\n", "line 1: column 2 ('2', …) has no name; give it one"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "line 1 looks like a row, not like names: it says '5.1', '3.5' above"),
        ("# x\n\n5,a\n4,b\n", "line 3 looks like a row, not like names: it says '5' above values of the same kind"),
        ("Bob,1985\nEve,1990\n", "line 1 looks like a row, not like names: it says '1985' above"),
        ("2024-01-01,a\n2024-01-02,b\n", "line 1 looks like a row, not like names: it says '2024-01-01' above"),
        ("TRUE,a\nFALSE,b\n", "line 1 looks like a row, not like names: it says 'TRUE' above"),
        ("sunny,hot,no\nrainy,hot,no\nsunny,mild,yes\n", "line 1 looks like a row, not like names: 'sunny' is a value"),
    ],
)
def test_a_first_line_that_names_no_columns_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert refused(tmp_path, text).startswith(told)


@pytest.mark.parametrize(
    "header", ["0,1,2,target", "1,2,3,target", "1990,1995,2000,country", "x,y,z,male", "NA,b,c,d", "2d,3d,4d,y"]
)
def test_names_that_look_odd_are_names(tmp_path: Path, header: str) -> None:
    table = table_of(tmp_path, header + "\n7,8,9,male\n4,5,6,female\n")
    assert list(table.frame.columns) == header.split(",")


def rows_of(count: int, *columns: str) -> str:
    """A table of columns that are given as templates over the row's number."""
    header = ",".join(f"c{at}" for at in range(len(columns))) + ",y\n"
    return header + "".join(
        ",".join(one.format(n=n, r=n * 7919 % 1009) for one in columns) + f",{'ab'[n % 2]}\n" for n in range(count)
    )


@pytest.mark.parametrize(
    ("template", "role", "note"),
    [
        ("{n}", "left out", "row numbers"),
        ("user-{n}", "left out", "an identifier: every row has another value"),
        ("0{r}", "left out", "an identifier: every row has another value"),
        ("same", "left out", "one value only: same"),
        ("", "left out", "no values"),
        ("{r}", "feature", None),  # whole numbers that all differ are quantities, too
        ("20{n:02}", "feature", "every row has another whole number: if it is an identifier, delete the column"),
        ("{n}.5", "feature", None),
    ],
)
def test_columns_that_teach_nothing_are_left_out_and_named(
    tmp_path: Path, template: str, role: str, note: str | None
) -> None:
    table = table_of(tmp_path, rows_of(60, template, "{r}.5"), target="y")
    told = column(table, "c0")
    assert told.role == role
    assert told.notes[:1] == ((note,) if note else ())
    assert list(table.features.columns) == (["c0", "c1"] if role == "feature" else ["c1"])


def test_names_of_few_and_of_many_values(tmp_path: Path) -> None:
    rows = "".join(f"street {n * 2 // 3},town {n % 60},{n}.5,x\n" for n in range(180))
    table = table_of(tmp_path, "street,town,y,z\n" + rows)
    assert column(table, "street").notes == ("hardly a value repeats (120 different ones in 180 rows)",)
    assert column(table, "town").role == "feature"
    assert column(table, "town").notes == ("60 different values: those beyond the 50 most frequent count as one",)


@pytest.mark.parametrize(
    ("first", "why"),
    [('"{n}"', "row numbers"), ('"{m}"', "row numbers"), ('"Mazda {n}"', "row names"), ('"{r}"', "row names")],
)
def test_the_unnamed_first_column_of_r_and_pandas_is_left_out(tmp_path: Path, first: str, why: str) -> None:
    rows = "".join(first.format(n=n, m=n + 1, r=n * 7 % 12) + f",{n}.5\n" for n in range(12))
    table = table_of(tmp_path, '"","x"\n' + rows)
    assert table.report.columns[0].notes == (why,)
    assert list(table.frame.columns) == ["x"]


def test_identifiers_by_name_are_left_out(tmp_path: Path) -> None:
    names = ("id", "customer_id", "PassengerId", "userID", "Unnamed: 0", "row names")
    for name in names:
        table = table_of(tmp_path, f"{name},x\n" + "".join(f"{n * 7919 % 1009},{n % 3}.5\n" for n in range(20)))
        assert column(table, name).notes == ("an identifier: every row has another value",)
    for name in ("paid", "void", "liquid", "monkey"):
        table = table_of(tmp_path, f"{name},x\n" + "".join(f"{n * 7919 % 1009},{n % 3}.5\n" for n in range(20)))
        assert column(table, name).role == "feature"


def test_the_target_is_never_left_out(tmp_path: Path) -> None:
    table = table_of(tmp_path, rows_of(30, "{n}", "{r}.5"), target="c0")
    assert column(table, "c0").role == "target"
    assert list(table.features.columns) == ["c1", "y"]


def test_a_target_must_be_there_and_known(tmp_path: Path) -> None:
    text = 'Größe,note,y\n1,"two\nlines",a\n2,x,\n3,x,?\n'
    assert refused(tmp_path, text, "größe") == "no column 'größe'; did you mean 'Größe'?"
    told = "target 'y' is missing in 2 of 3 rows (empty, '?'), the first on line 4; fill it in, or delete these rows"
    assert refused(tmp_path, text, "y") == told
    many = ",".join(f"c{n}" for n in range(60)) + "\n" + ",".join("x" * 60) + "\n"
    assert refused(tmp_path, many, "zzz").endswith("there are c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 50 more")


def test_the_report_is_plain_data(tmp_path: Path) -> None:
    table = table_of(tmp_path, "# by hand\nx;y\n1,5;?\n2,5;a\n")
    told = json.loads(json.dumps(asdict(table.report)))
    assert {key: told[key] for key in ("encoding", "separator", "decimal_mark", "rows")} == {
        "encoding": "utf-8",
        "separator": "semicolon",
        "decimal_mark": ",",
        "rows": 2,
    }
    assert told["notes"] == [
        "the separator is the semicolon",
        "numbers are written with a decimal comma",
        "1 line beginning with # left out as comments, the first is line 1",
    ]
    assert told["columns"][1] == {
        "number": 2,
        "name": "y",
        "role": "feature",
        "kind": "text",
        "distinct": 1,
        "missing": {"?": 1},
        "notes": [],
    }
    assert table.lines == (3, 4)


def test_a_file_that_is_not_there_or_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match=r"nowhere\.csv: no such file"):
        read_csv_table(tmp_path / "nowhere.csv")
    with pytest.raises(TableRefused, match=r": it is a folder; name a CSV file"):
        read_csv_table(tmp_path)
