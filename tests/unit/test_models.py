"""models/: the sample packages build, serve and stay small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_manager.codecs.rows import rows_from_instances
from model_manager.signature import Layout

from models import build, samples
from models.churn.train import customers
from models.iris.train import NAME as IRIS
from models.iris.train import train as train_iris
from models.training import training_command
from tests.packaged import predictor_of, refusal, run

ROOT = Path(__file__).resolve().parents[2]
FROM_ANYWHERE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
CONFIG_MAP_BYTES = 1 << 20


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    result = run(build.main, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


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
