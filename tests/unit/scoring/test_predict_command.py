"""`model-manager predict --package`: every kind of file in, the same out with answers; refusals; going on."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from model_manager import load, write_package
from model_manager.cli import cli
from model_manager.tables.table_files import csv_table
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.evaluation.staging import homes, with_sold

ROWS = 25


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sold/1`: numbers and a zip code that begins with a zero → yes or no; `price/1`: a quantity, of a forest."""
    folder = tmp_path_factory.mktemp("packages")
    X = homes(200, seed=1)
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["zip"]), remainder="passthrough")
    sold = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(X, with_sold(X)["sold"])
    write_package(sold, name="sold", version="1", repository=folder, sample=X)
    numbers = X[["größe", "age"]]
    forest = RandomForestRegressor(n_estimators=3, random_state=0).fit(numbers, numbers["größe"] * 3)
    write_package(forest, name="price", version="1", repository=folder, sample=numbers)
    return folder


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Rows to ask, with a column that the model does not take."""
    return homes(ROWS, seed=2).assign(note='say "a,b"')


@pytest.fixture(scope="module")
def truth(packages: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """What the package answers when it is asked as a library, as columns."""
    answers = load(packages / "sold" / "1").predict(rows, ["predict", "predict_proba"])
    assert isinstance(answers, dict)
    no, yes = answers["predict_proba"].T
    return rows.assign(predict=answers["predict"], predict_proba_no=no, predict_proba_yes=yes)


def predict(package: Path, *arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["predict", "--package", str(package), *map(str, arguments)], input=given)


BOTH = ("--outputs", "predict,predict_proba", "--batch-rows", 7)
TEXT = {"zip": str}


def test_csv_keeps_every_character_and_gets_the_answers_beside(
    packages: Path, rows: pd.DataFrame, truth: pd.DataFrame, tmp_path: Path
) -> None:
    file, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.to_csv(file, index=False)
    told = predict(packages / "sold/1", file, "-o", out, *BOTH)
    assert told.exit_code == 0, told.output
    pd.testing.assert_frame_equal(pd.read_csv(out, dtype=TEXT), truth, check_exact=True)
    lines = zip(file.read_text("utf-8").splitlines(), out.read_text("utf-8").splitlines(), strict=True)
    assert all(written.startswith(read + ",") for read, written in lines)
    assert [one.name for one in tmp_path.iterdir() if ".part" in one.name] == []


def test_csv_is_answered_in_its_own_separator_and_decimal_mark(
    packages: Path, rows: pd.DataFrame, truth: pd.DataFrame
) -> None:
    text = rows.to_csv(index=False, sep=";", decimal=",").encode()
    told = predict(packages / "sold/1", "-", *BOTH, given=text)
    assert told.exit_code == 0, told.output
    frame = pd.read_csv(io.BytesIO(told.stdout_bytes), sep=";", decimal=",", dtype=TEXT)
    pd.testing.assert_frame_equal(frame, truth)


def test_a_part_of_a_table_reads_as_it_does_among_all(rows: pd.DataFrame) -> None:
    content = b"a;b\n1.234;x\n5;y\n1.234,5;z\n"  # the last line alone tells what the point of the first means
    table, _ = csv_table(content, source="it")
    part = table.part(0, 1)
    whole, one = table.columns["a"], part.columns["a"]
    assert (one.fits, one.cells, part.mark, part.lines) == (whole.fits, ["1.234"], ",", [2])  # type: ignore[union-attr]


def test_json_lines_keep_every_character(packages: Path, rows: pd.DataFrame, truth: pd.DataFrame) -> None:
    lines = [json.dumps(row) for row in rows.to_dict("records")]
    lines[3] = lines[3].replace("{", '{"huge": 12345678901234567890123, "nested": {"a": [1]}, ')
    given = ("\n\n".join(lines) + "\n").encode()
    told = predict(packages / "sold/1", "-", *BOTH, given=given)
    assert told.exit_code == 0, told.output
    written = told.stdout_bytes.decode().splitlines()
    assert all(new.startswith(old[:-1]) for old, new in zip(lines, written, strict=True))
    frame = pd.DataFrame([json.loads(line) for line in written]).drop(columns=["huge", "nested"])
    pd.testing.assert_frame_equal(frame[truth.columns], truth, check_exact=True)


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_columnar_files_keep_their_kind_and_types(
    kind: str, packages: Path, rows: pd.DataFrame, truth: pd.DataFrame, tmp_path: Path
) -> None:
    file, out = tmp_path / f"rows.{kind}", tmp_path / f"out.{kind}"
    frame = rows.assign(zip=rows["zip"].astype("category"), day=pd.Timestamp("2026-02-03"))
    if kind == "parquet":
        frame.to_parquet(file)
    else:
        table = pa.Table.from_pandas(frame)
        new = pa.ipc.new_file if kind == "feather" else pa.ipc.new_stream
        with new(str(file), table.schema) as writer:
            writer.write_table(table, max_chunksize=10)
    told = predict(packages / "sold/1", file, "-o", out, *BOTH)
    assert told.exit_code == 0, told.output
    if kind == "parquet":
        found = pd.read_parquet(out)
    else:
        found = (pa.ipc.open_file if kind == "feather" else pa.ipc.open_stream)(out.read_bytes()).read_pandas()
    assert found["day"].tolist() == frame["day"].tolist()
    found = found.assign(zip=found["zip"].astype(object)).drop(columns="day")
    pd.testing.assert_frame_equal(found, truth, check_exact=True, check_dtype=False)
    again = predict(packages / "sold/1", file, *BOTH)  # and to standard output, byte for byte
    assert again.stdout_bytes == out.read_bytes()


def test_quantities_are_answered_bit_for_bit(packages: Path, rows: pd.DataFrame) -> None:
    told = predict(packages / "price/1", "-", given=rows.to_csv(index=False).encode())
    found = pd.read_csv(io.BytesIO(told.stdout_bytes))["predict"].to_numpy()
    assert np.array_equal(found, np.asarray(load(packages / "price/1").predict(rows)))


def test_a_row_that_does_not_fit_ends_the_run_with_its_place(packages: Path, rows: pd.DataFrame) -> None:
    text = rows.to_csv(index=False).splitlines()
    text[20] = 'big,3,01234,"x"'
    told = predict(packages / "sold/1", "-", *BOTH, given="\n".join(text).encode())
    assert told.exit_code == 2
    assert "line 21" in told.stderr
    assert "'größe'" in told.stderr
    assert "\n" not in told.stderr.strip()


def test_rows_that_do_not_fit_are_told_of_in_a_column_where_one_wants_to_keep_going(
    packages: Path, rows: pd.DataFrame, truth: pd.DataFrame, tmp_path: Path
) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    documents = rows.to_dict("records")
    documents[3]["age"] = "old"
    del documents[9]["age"]
    file.write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    told = predict(packages / "sold/1", file, "-o", out, "--keep-going", "--json", *BOTH)
    assert told.exit_code == 1, told.output
    said = json.loads(told.stdout)
    assert (said["rows"], said["refused"], len(said["refusals"])) == (ROWS, 2, 2)
    found = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    errors = {at: one["error"] for at, one in enumerate(found) if one["error"] is not None}
    assert {*errors} == {3, 9}
    assert "line 4" in errors[3]
    assert "'age'" in errors[3]
    assert "line 10, column 'age': a value is missing" in errors[9]
    assert found[3]["predict"] is None
    expected = [None if at in errors else value for at, value in enumerate(truth["predict_proba_yes"])]
    assert [one["predict_proba_yes"] for one in found] == pytest.approx(expected, abs=1e-12)


def test_keeping_going_ends_where_no_row_is_answered(packages: Path, rows: pd.DataFrame) -> None:
    given = rows.drop(columns="age").to_csv(index=False).encode()
    told = predict(packages / "sold/1", "-", "--keep-going", given=given)
    assert told.exit_code == 2
    assert "'age'" in told.stderr
    assert f"none of the first {ROWS} rows" in told.stderr


KILLED = """
import os, sys
from model_manager.scoring import running
from model_manager.__main__ import main

answer, calls = running._values, []
def counted(*arguments):
    calls.append(1)
    if len(calls) == 3:
        os._exit(9)  # as a kill does: nothing is tidied up
    return answer(*arguments)
running._values = counted
main()
"""


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_killed_run_goes_on_where_it_stood(
    kind: str, packages: Path, rows: pd.DataFrame, truth: pd.DataFrame, tmp_path: Path
) -> None:
    file, out, part = tmp_path / f"rows.{kind}", tmp_path / f"out.{kind}", tmp_path / f"out.{kind}.part"
    rows.to_csv(file, index=False) if kind == "csv" else rows.to_parquet(file)
    arguments = ["predict", "--package", packages / "sold/1", file, "-o", out, *BOTH]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    assert not out.exists()
    written = json.loads((tmp_path / f"out.{kind}.part.json").read_text("utf-8"))
    assert written["rows"] > 0
    with part.open("ab") as broken:
        broken.write(b"half a ro")  # what a machine that went off may have left
    other = predict(packages / "price/1", file, "-o", out)
    assert other.exit_code == 2
    assert "of a run with another model ('sold/1', now 'price/1')" in other.stderr
    told = predict(packages / "sold/1", file, "-o", out, "--json", *BOTH)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["resumed_after"] == written["rows"]
    found = pd.read_csv(out, dtype=TEXT) if kind == "csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(found, truth, check_exact=True, check_dtype=False)
    assert {one.name for one in tmp_path.iterdir()} == {file.name, out.name}


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["nowhere.csv"], None, "nowhere.csv: no such file"),
        (["-"], b"", "it is empty"),
        (["-"], b'{"a": 1}\n[1]\n', "line 2: expected an object keyed by column"),
        (["-"], b'{"a": 1}\n{"a"\n', "line 2 is no JSON"),
        (["-"], b"PAR1 and no more", "it cannot be read as parquet"),
        (["-", "--outputs", "wings"], b"a\n1\n", "there is no output 'wings'; there are 'predict'"),
        (["-"], "größe,age,zip,predict\n1,2,3,4\n".encode(), "'predict' already, which would be added; give --prefix"),
        (["-"], '{"größe": 1, "age": 2, "zip": "3", "predict": 4}'.encode(), "'predict' already"),
        (["-", "-o", "out.csv"], b"a\n1\n", "standard input cannot be read again"),
        (["-", "--json"], b"a\n1\n", "give --out with --json"),
        (["-", "--url", "http://localhost:1", "--model", "a"], b"", "name what answers"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: Sequence[str],
    given: bytes | None,
    said: str,
    packages: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    told = predict(packages / "sold/1", *arguments, given=given)
    assert not [*tmp_path.iterdir()]
    assert told.exit_code == 2, told.output
    assert said in told.stderr.replace('"', "'")


def test_added_columns_can_be_given_other_names(packages: Path, rows: pd.DataFrame) -> None:
    given = rows.assign(predict="?").to_csv(index=False).encode()
    told = predict(packages / "sold/1", "-", "--prefix", "new_", given=given)
    assert told.exit_code == 0, told.output
    assert pd.read_csv(io.BytesIO(told.stdout_bytes)).columns.tolist()[-2:] == ["predict", "new_predict"]
