"""A table is read as a signature wants it: the same cell is text for one model and a number for another."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.errors import TableRefused
from model_manager.signature import Column, Layout, Moments, Output, Rows, Signature
from model_manager.tables.table_files import read_table, table_of
from model_manager.tables.typed_rows import labels_in, numbers_in, typed_rows


def frame(*columns: Column) -> Signature:
    return Signature(Layout.FRAME, columns, named=True, outputs=(Output("predict", "FP64", (-1,)),))


def written(folder: Path, text: str) -> Path:
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return path


def values(rows: Rows) -> list[list[object]]:
    return [block.tolist() for block in rows.blocks]


def refused(path: Path, signature: Signature) -> str:
    with pytest.raises(TableRefused) as error:
        typed_rows(read_table(path), signature)
    return str(error.value).removeprefix(f"{path}: ")


def test_the_signature_says_what_a_cell_is(tmp_path: Path) -> None:
    path = written(tmp_path, "straße;zip;plz;n;is;odd\n1;01234;01234;1,5;true;x\n2;80331;80331;2;False;y\n")
    signature = frame(
        Column("zip", "BYTES"),
        Column("plz", "INT64"),
        Column("n", "FP64"),
        Column("is", "BOOL"),
        Column("straße", "FP32"),
    )
    assert values(typed_rows(read_table(path), signature)) == [
        ["01234", "80331"],
        [1234, 80331],
        [1.5, 2.0],
        [True, False],
        [1.0, 2.0],
    ]


def test_missing_cells_are_what_the_model_saw_for_them(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c,d\n1,x,NA,NA\n,NA,NA,none\nNaN,,x,y\n")
    signature = frame(
        Column("a", "FP64", nullable=True),
        Column("b", "BYTES", nullable=True, missing="None"),
        Column("c", "BYTES", nullable=True, categories=("NA", "x")),  # Namibia
        Column("d", "BYTES"),  # in which nothing was ever missing
    )
    a, b, c, d = values(typed_rows(read_table(path), signature))
    np.testing.assert_array_equal(a, [1, np.nan, np.nan])
    assert (b, c, d) == (["x", None, None], ["NA", "NA", "x"], ["NA", "none", "y"])


def test_truths_are_numbers_to_a_model_that_was_fitted_on_such(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\ntrue,1\nfalse,\n,0\n")
    a, b = values(
        typed_rows(read_table(path), frame(Column("a", "FP64", nullable=True), Column("b", "BOOL", nullable=True)))
    )
    np.testing.assert_array_equal(a, [1, 0, np.nan])
    np.testing.assert_array_equal(b, [1, np.nan, 0])


def test_dates_and_large_integers_are_read_exactly(tmp_path: Path) -> None:
    path = written(tmp_path, "when,id\n2026-11-02 15:04:05,9007199254740993\n2026-11-02,7\n")
    signature = frame(Column("when", "BYTES", moments=Moments("s")), Column("id", "INT64"))
    when, id = typed_rows(read_table(path), signature).blocks
    assert when.astype(str).tolist() == ["2026-11-02T15:04:05", "2026-11-02T00:00:00"]
    assert id.tolist() == [9007199254740993, 7]


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("a\n1\n\nwide\n", Column("a", "FP64"), "line 4, column 'a': expected a number (FP64), got \"wide\""),
        ("a,b\n1,1\n,2\n,3\n", Column("a", "FP64"), "line 3, column 'a': a value is missing"),
        ("a,b\n1,1\nNA,2\nNA,3\n", Column("a", "FP64"), '"NA" is missing'),
        ("a,b\n1,1\nNA,2\nNA,3\n", Column("a", "FP64"), "(and 1 more like it)"),
        ("a\n1\n300\n", Column("a", "INT8"), "line 3, column 'a': expected an integer from -128 to 127"),
        ("a\n1\n1.5\n", Column("a", "INT64"), "line 3, column 'a': expected an integer"),
        ("a\ntrue\nperhaps\n", Column("a", "BOOL"), "line 3, column 'a': expected true or false, got \"perhaps\""),
        ("a\n2.11.2026\n", Column("a", "BYTES", moments=Moments("s")), "expected a date or a time as ISO 8601"),
    ],
)
def test_what_does_not_fit_is_refused_by_line_and_column(tmp_path: Path, text: str, column: Column, said: str) -> None:
    assert said in refused(written(tmp_path, text), frame(column))


def test_columns_that_are_missing_are_named_with_those_that_look_like_them(tmp_path: Path) -> None:
    said = refused(written(tmp_path, "Age,b\n1,2\n"), frame(*(Column(name, "FP64") for name in ("age", "b", "income"))))
    assert said.startswith("2 columns that the model takes are missing: 'age' (did you mean 'Age'?), 'income';")


def test_columns_without_names_are_taken_in_order_beside_the_truth(tmp_path: Path) -> None:
    columns = (Column("0", "FP64"), Column("1", "FP64"))
    signature = Signature(Layout.ARRAY, columns, named=False, outputs=(Output("predict", "FP64", (-1,)),))
    path = written(tmp_path, "x,truth,y\n1,9,2\n3,9,4\n")
    assert typed_rows(read_table(path), signature, besides=["truth"]).blocks[0].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(TableRefused, match="takes 2 columns that have no names, and the table has 3"):
        typed_rows(read_table(path), signature)


def test_a_model_of_texts_takes_the_only_column_beside_the_truth(tmp_path: Path) -> None:
    signature = Signature(
        Layout.TEXT, (Column("input", "BYTES"),), named=False, outputs=(Output("predict", "FP64", (-1,)),)
    )
    path = written(tmp_path, "review,good,id\nnice,1,7\n-,0,8\n")
    with pytest.raises(TableRefused, match="takes one text a row, and the table has 2 columns beside 'good'"):
        typed_rows(read_table(path), signature, besides=["good"])
    assert typed_rows(read_table(path), signature, besides=["good", "id"]).blocks[0].tolist() == ["nice", "-"]


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=20).filter(any),
    separator=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
)
def test_a_file_and_the_frame_that_wrote_it_give_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float | None], separator: str, decimal: str
) -> None:
    given_frame = pd.DataFrame({"name": [f"n{at}" for at in range(len(numbers))], "x": numbers}).astype({"x": float})
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    given_frame.to_csv(path, index=False, sep=separator, decimal=decimal)
    signature = frame(Column("x", "FP64", nullable=True), Column("name", "BYTES"))
    of_file = typed_rows(read_table(path), signature)
    of_frame = typed_rows(table_of(given_frame), signature)
    np.testing.assert_array_equal(of_file.blocks[0], given_frame["x"])
    assert of_file.blocks[1].tolist() == of_frame.blocks[1].tolist()
    np.testing.assert_array_equal(of_file.blocks[0], of_frame.blocks[0])


@pytest.mark.parametrize(
    ("given_values", "said"),
    [
        ([1.0, np.inf], "row 1, column 'x': expected a number (FP64), got one too large"),
        ([1.0, None], "row 1, column 'x': a value is missing"),
        (["1", 2], "row 0, column 'x': expected a number (FP64), got \"1\""),
    ],
)
def test_values_of_a_frame_are_refused_by_row(given_values: list[object], said: str) -> None:
    with pytest.raises(TableRefused) as error:
        typed_rows(table_of(pd.DataFrame({"x": pd.Series(given_values, dtype=object)})), frame(Column("x", "FP64")))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (["yes", "no", ""], ("no", "yes"), ["yes", "no", None]),
        (["1.0", "0", "NA"], (0, 1), [1, 0, None]),
        (["True", "false"], (False, True), [True, False]),
        (["1", "0"], (False, True), [True, False]),
        (["true", "false"], (0, 1), [1, 0]),
        (["1.0", "2.0"], ("1", "2"), ["1", "2"]),
        (["01", "1"], ("1", "01"), ["01", "1"]),
        (["NA", "DE"], ("DE", "NA"), ["NA", "DE"]),
        (["yes", "perhaps"], ("no", "yes"), ["yes", "perhaps"]),
        (["3", "4"], (3.0, 4.5), [3.0, "4"]),
    ],
)
def test_labels_are_those_of_the_model(
    tmp_path: Path, cells: list[str], classes: tuple[object, ...], labels: list[object]
) -> None:
    path = tmp_path / "data.csv"
    pd.DataFrame({"row": [f"r{at}" for at in range(len(cells))], "y": cells}).to_csv(path, index=False)
    found = labels_in(read_table(path), "y", classes)
    assert (found, list(map(type, found))) == (labels, list(map(type, labels)))


def test_typed_labels_are_those_of_the_model() -> None:
    table = table_of(pd.DataFrame({"y": [True, 1, 1.0, "1", None, np.nan, np.int64(0)]}, dtype=object))
    assert labels_in(table, "y", (0, 1)) == [1, 1, 1, 1, None, None, 0]


def test_quantities_are_numbers_or_missing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'a,b\n"1,234.5",x\n,y\n'))
    np.testing.assert_array_equal(numbers_in(table, "a"), [1234.5, np.nan])
    with pytest.raises(TableRefused, match="line 2, column 'b': expected a number"):
        numbers_in(table, "b")
    with pytest.raises(TableRefused, match=r"no column 'A'; did you mean 'a'\?"):
        numbers_in(table, "A")


def test_a_parquet_file_needs_pyarrow_and_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"  # told by its content
    path.write_bytes(b"PAR1 and nothing of it")
    there = find_spec("pyarrow") is not None
    said = "a Parquet file that cannot be read" if there else r"pip install 'model-manager-server\[parquet\]'"
    with pytest.raises(TableRefused, match=said):
        read_table(path)


def test_a_parquet_file_is_read_with_its_types(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    when_given = np.array(["2026-11-02T15:04:05", "NaT"], dtype="datetime64[s]")
    given_frame = pd.DataFrame({"zip": ["01234", None], "n": [1, 2], "when": when_given, "x": [0.5, np.nan]})
    path = tmp_path / "data.parquet"
    given_frame.to_parquet(path)
    signature = frame(
        Column("zip", "BYTES", nullable=True),
        Column("n", "INT64"),
        Column("when", "BYTES", nullable=True, moments=Moments("s")),
        Column("x", "FP64", nullable=True),
    )
    zip_codes, n, when, x = typed_rows(read_table(path), signature).blocks
    assert (zip_codes[0], n.tolist(), when.astype(str).tolist()) == ("01234", [1, 2], ["2026-11-02T15:04:05", "NaT"])
    assert pd.isna(zip_codes[1])
    np.testing.assert_array_equal(x, [0.5, np.nan])
