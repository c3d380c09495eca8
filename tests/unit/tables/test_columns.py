"""Which columns are worth learning from, the target among them, and what the report says of all."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.unit.tables.staging import column, refused, table_of


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
