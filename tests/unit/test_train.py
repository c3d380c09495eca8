"""`model-manager train`: a CSV file becomes a package that takes the author's own rows, or one clear line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.rows import rows_from_instances
from model_manager.commands.train import train
from model_manager.repository.metadata import parse_metadata
from model_manager.training.from_table import decide_task

from models.churn.train import customers
from tests.packaged import failure, predictor_of, run
from tests.unit.commands.forked import Commands

FIELD = Path(__file__).resolve().parents[1] / "field"


@pytest.fixture
def table() -> pd.DataFrame:
    return customers(200).assign(
        member=pd.Series([True, False, None, True] * 50, dtype=object), flag=[True, False] * 100, empty=np.nan
    )


def save(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "customers.csv"
    table.to_csv(path, index=False)
    return path


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def made(path: Path, target: str, out: Path) -> dict[str, Any]:
    """What the command tells of a table that it learned from."""
    result = run(train, path, "--target", target, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def features(told: dict[str, Any]) -> dict[str, str]:
    """The names and kinds of the columns that were learned from."""
    return {one["name"]: one["kind"] for one in told["table"]["columns"] if one["role"] == "feature"}


@pytest.mark.parametrize(
    ("target", "task", "decided"),
    [
        ("churned", "auto", "classification"),
        ("contract", "auto", "classification"),
        ("flag", "auto", "classification"),
        ("tenure_months", "auto", "regression"),
        ("tenure_months", "regression", "regression"),
        ("monthly_charges", "auto", "regression"),
    ],
)
def test_a_csv_file_becomes_a_package(
    tmp_path: Path, table: pd.DataFrame, target: str, task: str, decided: str
) -> None:
    path = save(table, tmp_path)
    result = run(train, path, "--target", target, "--task", task, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["model"], told["version"], told["task"], told["rows"]) == ("customers", "1", decided, 200)
    assert ("accuracy" in told["metrics"]) == (decided == "classification")
    columns = predictor_of(Path(told["path"])).signature.columns
    assert columns is not None
    assert [column.name for column in columns] == [name for name in table.columns if name not in (target, "empty")]
    # A gap is taken wherever there may be one: everywhere but in a column of true and false that had none.
    assert {column.name for column in columns if not column.nullable} == {"flag"} - {target}


def test_what_was_decided_is_a_table_for_people(tmp_path: Path, table: pd.DataFrame) -> None:
    out = run(train, save(table, tmp_path), "--target", "churned", "--out", tmp_path, "--name", "churn").stdout
    assert "classification" in out
    assert "accuracy 0." in out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.count("│") == 7]
    assert ["empty", "left out", "empty", "0", "200 empty", "no values"] in rows
    assert ["member", "feature", "boolean", "2", "50 empty", ""] in rows
    assert ["churned", "target", "text", "2", "", ""] in rows


def test_whole_numbers_are_labels_when_they_are_few() -> None:
    assert decide_task(pd.Series([1, 2, 3] * 5)) == "classification"
    assert decide_task(pd.Series([1.5, 2.0])) == "regression"
    assert decide_task(pd.Series(range(50))) == "regression"


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"--target": "churnd"}, "no column 'churnd'; did you mean 'churned'?"),
        ({}, {"--target": "CHURNED"}, "no column 'CHURNED'; did you mean 'churned'?"),
        ({}, {"--target": "zzz"}, "no column 'zzz'; there are contract, internet"),
        ({}, {"--target": "age"}, "target 'age' is missing in "),
        ({"churned": ["yes", "no", "?", "no"] * 50}, {"--target": "churned"}, "in 50 of 200 rows ('?'), the first on"),
        ({"churned": ["yes", "no", None, "no"] * 50}, {"--target": "churned"}, "(empty), the first on line 4; fill it"),
        (
            {},
            {"--target": "churned", "--task": "regression"},
            "target 'churned' holds text; a regression needs numbers",
        ),
        ({"churned": [f"2024-01-{n % 28 + 1:02}" for n in range(200)]}, {"--target": "churned"}, "holds dates"),
        ({}, {"--target": "flag", "--task": "regression"}, "holds true and false; a regression needs numbers"),
        (
            {"churned": ["12 kg", *range(199)]},
            {"--target": "churned"},
            "'churned' is read as text, though 199 of 200 values are numbers: '12 kg', the first on line 2; correct",
        ),
        ({"churned": "no"}, {"--target": "churned"}, "has one value only, 'no'; nothing to tell apart"),
        ({"churned": 3.5}, {"--target": "churned"}, "has one value only, 3.5; nothing to tell apart"),
        ({"churned": [7, *[1, 2] * 99, 1]}, {"--target": "churned"}, "target 'churned': 7 occurs once; each label"),
        ({"churned": ["once"] + ["no", "yes", "no"] * 66 + ["no"]}, {"--target": "churned"}, "'once' occurs once"),
        ({}, {"--target": "churned", "--name": "a b"}, "model name 'a b' is not letters"),
        ({}, {"--target": "monthly_charges", "--task": "classification"}, "occurs once; each label must occur"),
    ],
)
def test_what_stands_in_the_way_is_one_line(
    tmp_path: Path, table: pd.DataFrame, change: dict[str, Any], options: dict[str, str], told: str
) -> None:
    path = save(table.assign(**change), tmp_path)
    arguments = [text for option in options.items() for text in option]
    assert told in failure(train, path, "--out", tmp_path, *arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "table.csv: it is empty"),
        ("x,y\n", "it has a header ('x, y') and no rows"),
        ("a,y\n1,2\n", "1 row; at least 20 are needed to train and to score"),
        ("y\n" + "a\nb\n" * 20, "there is no column to learn from beside 'y'"),
        ("x,y\n" + "1,a\n1,b\n" * 20, "there is no column to learn from beside 'y'; x: one value only: 1"),
        (
            "i,x,y\n" + "".join(f"{i},{i % 3},{chr(97 + i % 15)}\n" for i in range(30)),
            "has 15 labels in 30 rows, too few",
        ),
    ],
)
def test_a_file_that_teaches_nothing_is_one_line(tmp_path: Path, content: str, told: str) -> None:
    assert told in failure(train, write(tmp_path, content), "--target", "y", "--out", tmp_path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert "nowhere.csv: no such file" in failure(train, tmp_path / "nowhere.csv", "--target", "y")
    assert "it is a folder; name a CSV file" in failure(train, tmp_path, "--target", "y")


@pytest.mark.parametrize(
    ("file", "target", "told"),
    [
        (
            "refused-trailing-comma.csv",
            "b",
            "line 2 has 4 values, the header 3 (as every row); every row ends with a comma",
        ),
        (
            "refused-no-header.csv",
            "Iris-setosa",
            "line 1 looks like a row, not like names: it says '6.4', '3.4', '2.1', …",
        ),
        ("refused-r-write-table.csv", "gear", "line 2 has 4 values, the header 3 (as every row); the first value"),
        (
            "refused-title-line.csv",
            "Umsatz",
            "line 3 has 3 values, the header 1 (as every row); line 1 says 'Umsatz 2026'",
        ),
        ("refused-cut-off.csv", "y", "line 42: a quote is opened and never closed"),
        ("refused-cyrillic.csv", "цена", "line 1 is neither UTF-8 nor Western European text"),
        ("refused-twice-named.csv", "b", "line 1 names two columns 'a' (columns 1 and 3); rename one"),
    ],
)
def test_a_table_that_could_be_read_wrongly_is_refused(tmp_path: Path, file: str, target: str, told: str) -> None:
    assert told in failure(train, FIELD / file, "--target", target, "--out", tmp_path)


@pytest.mark.parametrize(
    ("file", "target", "expected", "left_out"),
    [
        (
            "r-write-csv.csv",
            "species",
            {"bill_mm": "number", "mass_g": "number", "island": "text"},
            [("", "row numbers")],
        ),
        ("zip-codes.csv", "rent", {"zip": "code", "rooms": "number", "area_m2": "number"}, []),
        (
            "german-excel.csv",
            "Miete",
            {"Straße": "text", "Größe (m²)": "number", "Zimmer": "number", "Einwohner im Ort": "number"},
            [],
        ),
        ("excel-unicode.txt", "note", {"naïve": "number", "café": "text"}, []),
        (
            "census-spaces.csv",
            "income",
            {"age": "number", "workclass": "text", "education": "text", "hours": "number"},
            [],
        ),
        (
            "passengers.csv",
            "Survived",
            {"Pclass": "number", "Sex": "text", "Age": "number", "Fare": "number", "Cabin": "text", "Embarked": "text"},
            [("PassengerId", "row numbers"), ("Name", "an identifier"), ("Ticket", "an identifier")],
        ),
        (
            "telephone-customers.csv",
            "Churn",
            {
                "gender": "text",
                "SeniorCitizen": "number",
                "Partner": "text",
                "tenure": "number",
                "MonthlyCharges": "number",
                "TotalCharges": "number",
            },
            [("customerID", "an identifier")],
        ),
        ("excel-sep-line.csv", "Preis", {"Menge": "number", "Farbe": "text"}, [("", "no values"), ("", "no values")]),
        (
            "listings.csv",
            "price",
            {"superhost": "text", "response_rate": "number", "beds": "number"},
            [("id", "an identifier"), ("host_since", "dates"), ("summary", "an identifier"), ("license", "no values")],
        ),
        ("comments.csv", "rain", {"day": "number", "temperature": "number", "wind": "text"}, []),
    ],
)
def test_a_real_table_is_read_for_what_it_says(
    tmp_path: Path, file: str, target: str, expected: dict[str, str], left_out: list[tuple[str, str]]
) -> None:
    told = made(FIELD / file, target, tmp_path)
    assert features(told) == expected
    named = [(one["name"], one["notes"][0]) for one in told["table"]["columns"] if one["role"] == "left out"]
    assert [name for name, _ in named] == [name for name, _ in left_out]
    assert all(note.startswith(why) for (_, note), (_, why) in zip(named, left_out, strict=True))
    signature = predictor_of(Path(told["path"])).signature
    assert {column.name: column.datatype == "BYTES" for column in signature.columns or ()} == {
        name: kind in ("text", "code") for name, kind in expected.items()
    }


def test_leading_zeros_tell_places_apart(tmp_path: Path) -> None:
    """As numbers 01234 is next to 1235; as text it is what it is, and the answer depends on it."""
    rows = "".join(
        f"{zip_code},{'a' if zip_code == '01235' else 'b'}\n" for zip_code in ["01234", "01235", "01236"] * 20
    )
    predictor = predictor_of(Path(made(write(tmp_path, "zip,y\n" + rows), "y", tmp_path)["path"]))
    asked = rows_from_instances([{"zip": "01234"}, {"zip": "01235"}, {"zip": "01236"}], predictor.signature)
    assert predictor.predict(asked, ("predict",))["predict"].tolist() == ["b", "a", "b"]


def test_true_and_false_are_taken_as_the_author_has_them(tmp_path: Path) -> None:
    told = made(FIELD / "truths.csv", "bought", tmp_path)
    predictor = predictor_of(Path(told["path"]))
    datatypes = {column.name: column.datatype for column in predictor.signature.columns or ()}
    assert (datatypes["member"], datatypes["active"], datatypes["smoker"]) == ("BOOL", "BOOL", "BYTES")
    row = {"member": True, "newsletter": None, "active": False, "smoker": "yes", "visits": 3}
    asked = rows_from_instances([row, {**row, "member": False, "visits": 0}], predictor.signature)
    assert predictor.predict(asked, ("predict",))["predict"].tolist() == [True, False]


def test_a_table_of_true_and_false_only_is_learned(tmp_path: Path) -> None:
    told = made(write(tmp_path, "a,b,y\n" + "True,False,1\nFalse,False,0\nTrue,True,1\n" * 10), "y", tmp_path)
    predictor = predictor_of(Path(told["path"]))
    asked = rows_from_instances([{"a": True, "b": False}, {"a": False, "b": False}], predictor.signature)
    assert predictor.predict(asked, ("predict",))["predict"].tolist() == [1, 0]


def test_a_small_table_teaches_a_regression_something(tmp_path: Path) -> None:
    told = made(write(tmp_path, "x,y\n" + "".join(f"{n}.5,{3 * n}.25\n" for n in range(40))), "y", tmp_path)
    assert told["metrics"]["r2"] > 0.9


def test_fifty_columns_with_names_of_any_script_are_served(tmp_path: Path) -> None:
    names = [f"größe {n} · 数" for n in range(60)]
    generator = np.random.default_rng(3)
    X = pd.DataFrame(generator.normal(size=(80, 60)), columns=names)
    told = made(save(X.assign(ziel=np.where(X[names[7]] > 0, "ja", "nein")), tmp_path), "ziel", tmp_path)
    predictor = predictor_of(Path(told["path"]))
    assert [column.name for column in predictor.signature.columns or ()] == names


def test_a_rare_label_is_said_to_make_the_accuracy_cheap(tmp_path: Path) -> None:
    rows = "".join(f"{n % 7}.5,{'yes' if n % 50 == 0 else 'no'}\n" for n in range(200))
    told = made(write(tmp_path, "x,y\n" + rows), "y", tmp_path)
    assert told["notes"] == ["label 'yes' is rare (2.0%): always answering 'no' would reach an accuracy of 0.980"]


def test_a_file_name_that_no_model_may_have_is_changed(tmp_path: Path, table: pd.DataFrame) -> None:
    path = save(table, tmp_path).rename(tmp_path / "customers 2026 (1).csv")
    assert made(path, "churned", tmp_path)["model"] == "customers-2026-1"


def test_a_table_with_all_of_it_at_once_is_learned_by_the_real_command(tmp_path: Path, commands: Commands) -> None:
    """A semicolon, decimal commas, dates, an identifier, codes, truths, gaps, 50 columns more, and a rare label."""
    count = 300
    generator = np.random.default_rng(5)
    scores = generator.normal(size=(count, 50)).round(2)
    lines = ["Kunden-ID;Eröffnet;PLZ;Aktiv;Größe (m²);Gekündigt;" + ";".join(f"Wert {n}" for n in range(50))]
    for row in range(count):
        size = "" if row % 9 == 0 else f"{20 + row % 50},5"
        values = ";".join(str(value).replace(".", ",") for value in scores[row])
        start = f"K-{row:05};{1 + row % 28:02}.03.2024;{['01234', '04109', '80331'][row % 3]};{row % 2 == 0}"
        lines.append(f"{start};{size};{'ja' if row % 25 == 0 else 'nein'};{values}")
    path = write(tmp_path, "\n".join(lines) + "\n")
    arguments = ["train", path, "--target", "Gekündigt", "--json", "--out", tmp_path]
    done = commands.run(*arguments, "--data-version", "März")
    assert (done.status, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    kinds = features(told)
    assert len(kinds) == 53
    expected = {"PLZ": "code", "Aktiv": "boolean", "Größe (m²)": "number", "Wert 7": "number"}
    assert {name: kinds[name] for name in expected} == expected
    left_out = {one["name"]: one["notes"][0] for one in told["table"]["columns"] if one["role"] == "left out"}
    assert left_out["Kunden-ID"].startswith("an identifier")
    assert left_out["Eröffnet"].startswith("dates ('01.03.2024')")
    assert told["notes"] == ["label 'ja' is rare (4.0%): always answering 'nein' would reach an accuracy of 0.960"]
    metadata = parse_metadata((Path(told["path"]) / "metadata.json").read_bytes())
    assert metadata.data is not None
    assert (metadata.data.target, metadata.data.version, metadata.data.columns) == ("Gekündigt", "März", 56)
    assert metadata.data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    predictor_of(Path(told["path"]))
    again = commands.run(*arguments)
    assert (again.status, again.stdout) == (2, "")
    assert "exists; a version is never overwritten" in again.stderr
