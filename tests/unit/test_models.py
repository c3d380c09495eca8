"""models/: the sample packages build, serve and stay small; a CSV file becomes a package, or one clear line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from model_manager.codecs.rows import rows_from_instances
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import Layout

from models import build, from_csv, samples
from models.churn.train import customers
from models.iris.train import NAME as IRIS
from models.iris.train import train as train_iris
from models.training import training_command

ROOT = Path(__file__).resolve().parents[2]
FROM_ANYWHERE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
CONFIG_MAP_BYTES = 1 << 20


def run(command: Any, *arguments: object) -> Result:
    return CliRunner(env={"SOURCE_DATE_EPOCH": "1700000000", "COLUMNS": "200"}).invoke(command, [*map(str, arguments)])


def refusal(command: Any, *arguments: object) -> str:
    """The one line of a command that fails."""
    result = run(command, *arguments)
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    result = run(build.main, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def predictor_of(folder: Path) -> SklearnPredictor:
    """Load a package as a server does, golden rows included."""
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    with open(folder / "model.joblib", "rb") as file:
        estimator = load_estimator(file, library_mismatch="refuse").estimator
    predictor = SklearnPredictor(estimator, infer_signature(estimator, declared_from(metadata)))
    assert metadata.golden is not None
    rows = rows_from_instances(metadata.golden.instances, predictor.signature)
    check_golden(predictor, rows, metadata.golden.outputs)
    return predictor


PACKAGES = [(model, version) for model, (_, versions) in samples.SAMPLES.items() for version in versions]


@pytest.mark.parametrize(("model", "version"), PACKAGES)
def test_sample_packages_serve_and_fit_in_a_config_map(repository: Path, model: str, version: str) -> None:
    predictor_of(repository / model / version)
    size = sum(file.stat().st_size for file in (repository / model / version).iterdir())
    assert size < CONFIG_MAP_BYTES / 4


def test_the_two_irises_take_the_same_rows_and_differ_in_the_documented_one(repository: Path) -> None:
    first, second = (predictor_of(repository / "iris" / version) for version in ("1", "2"))
    assert first.signature == second.signature
    assert first.signature.layout is Layout.ARRAY
    assert first.signature.named
    rows = rows_from_instances([[6.0, 2.8, 4.8, 1.6]], first.signature)
    assert first.predict(rows, ("predict",))["predict"].tolist() == ["versicolor"]
    assert second.predict(rows, ("predict",))["predict"].tolist() == ["virginica"]


def test_churn_takes_objects_with_gaps(repository: Path) -> None:
    predictor = predictor_of(repository / "churn" / "1")
    row = dict.fromkeys(customers(1).columns.drop("churned"))
    rows = rows_from_instances([row, {**row, "contract": "two-year", "tenure_months": 70}], predictor.signature)
    assert set(predictor.predict(rows, ("predict",))["predict"]) <= {"yes", "no"}


def test_diabetes_takes_missing_measurements(repository: Path) -> None:
    predictor = predictor_of(repository / "diabetes" / "1")
    rows = rows_from_instances([[None] * 10], predictor.signature)
    assert np.isfinite(predictor.predict(rows, ("predict",))["predict"]).all()


def test_building_again_leaves_what_is_there_and_says_so(repository: Path) -> None:
    result = run(build.main, "--out", repository, "--json")
    built = json.loads(result.stdout)
    assert [(one["model"], one["version"]) for one in built] == PACKAGES
    assert all(one["seconds"] is None for one in built)
    assert "already there" in run(build.main, "--out", repository).stdout


def test_the_build_script_gives_the_same_bytes_from_anywhere(tmp_path: Path) -> None:
    environment = {**FROM_ANYWHERE, "SOURCE_DATE_EPOCH": "1700000000"}
    built: list[dict[str, bytes]] = []
    for place in (tmp_path / "here", tmp_path / "there"):
        place.mkdir()
        command = [sys.executable, "-m", "models.build", "--out", "built", "--json"]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, check=True)
        files = [
            f"{one['path']}/{file}" for one in json.loads(done.stdout) for file in ("model.joblib", "metadata.json")
        ]
        built.append({file: (place / file).read_bytes() for file in files})
    assert len(built[0]) == 2 * len(PACKAGES)
    assert built[0] == built[1]


@pytest.mark.parametrize("script", ["iris", "breast_cancer", "diabetes", "churn"])
def test_a_trainer_runs_alone(tmp_path: Path, script: str) -> None:
    command = [sys.executable, "-m", f"models.{script}.train", "--version", "7", "--out", "built"]
    done = subprocess.run(command, cwd=tmp_path, env=FROM_ANYWHERE, capture_output=True, check=True, text=True)
    assert (tmp_path / done.stdout.strip() / "metadata.json").is_file()


def test_a_trainer_never_overwrites(repository: Path) -> None:
    line = refusal(training_command(IRIS, train_iris), "--version", "1", "--out", repository)
    assert "iris/1 exists; a version is never overwritten" in line


def test_a_build_that_is_refused_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (build, samples):
        monkeypatch.setattr(module, "SAMPLES", {"not a name": ("models.iris.train", ("1",))})
    assert "model name 'not a name' is not letters" in refusal(build.main, "--out", tmp_path)


@pytest.fixture
def table() -> pd.DataFrame:
    return customers(200).assign(
        member=pd.Series([True, False, None, True] * 50, dtype=object), flag=[True, False] * 100, empty=np.nan
    )


def save(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "customers.csv"
    table.to_csv(path, index=False)
    return path


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
    result = run(from_csv.main, path, "--target", target, "--task", task, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["model"], told["version"], told["task"], told["rows"]) == ("customers", "1", decided, 200)
    assert ("accuracy" in told["metrics"]) == (decided == "classification")
    predictor = predictor_of(Path(told["path"]))
    columns = predictor.signature.columns
    assert columns is not None
    assert [column.name for column in columns] == [name for name in table.columns if name not in (target, "empty")]
    assert all(column.nullable for column in columns)


def test_the_score_is_a_table_for_people(tmp_path: Path, table: pd.DataFrame) -> None:
    out = run(from_csv.main, save(table, tmp_path), "--target", "churned", "--out", tmp_path, "--name", "churn").stdout
    assert "classification" in out
    assert "accuracy 0." in out


def test_whole_numbers_are_labels_when_they_are_few() -> None:
    assert from_csv.decide_task(pd.Series([1, 2, 3] * 5)) == "classification"
    assert from_csv.decide_task(pd.Series([1.5, 2.0])) == "regression"
    assert from_csv.decide_task(pd.Series(range(50))) == "regression"


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"--target": "churnd"}, "no column 'churnd'; did you mean 'churned'?"),
        ({}, {"--target": "zzz"}, "no column 'zzz'; there are contract, internet"),
        ({}, {"--target": "age"}, "target 'age' is missing in "),
        (
            {},
            {"--target": "churned", "--task": "regression"},
            "target 'churned' holds text; a regression needs numbers",
        ),
        ({"churned": "no"}, {"--target": "churned"}, "has one value only, 'no'; nothing to tell apart"),
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
    assert told in refusal(from_csv.main, path, "--out", tmp_path, *arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a CSV file that can be read: No columns"),
        (b"a,b\n1,2\n", "1 rows; at least 20 are needed"),
        (b"a,b\n" + b"1,2,3,4\n" * 3 + b'"1', "not a CSV file"),
        (b"\xff\xfe\x00a", "not a CSV file"),
        (b"y\n" + b"a\nb\n" * 20, "there is no column to learn from beside 'y'"),
        (b"x,y\n" + b"".join(b"1,%c\n" % letter for letter in b"abcdefghijklmno" * 2), "cannot train on this table"),
    ],
)
def test_a_file_that_teaches_nothing_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert told in refusal(from_csv.main, path, "--target", "y", "--out", tmp_path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    assert "nowhere.csv: no such file" in refusal(from_csv.main, tmp_path / "nowhere.csv", "--target", "y")
    assert "not a CSV file that can be read" in refusal(from_csv.main, tmp_path, "--target", "y")
