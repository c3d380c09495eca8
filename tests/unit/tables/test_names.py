"""The first line: names of columns, or a row of values."""

from pathlib import Path

import pytest

from tests.unit.tables.staging import refused, table_of


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
