"""What is exported for MLflow, and what is refused; tests/ecosystem has MLflow itself read it."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from model_manager import write_package
from sklearn.linear_model import LogisticRegression

from tests.models import constant
from tests.unit.manifests.staging import refusal, run

X = pd.DataFrame({"größe": [1.0, 2.0], "age": [4.0, 1.0]})


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fitted = LogisticRegression().fit(X, ["a", "b"])
    return write_package(fitted, name="m", version="1", repository=tmp_path_factory.mktemp("models"))


def test_a_package_becomes_a_folder_of_mlflow(package: Path, tmp_path: Path) -> None:
    result = run("export", package, "--mlflow", tmp_path / "out" / "m")
    assert result.exit_code == 0, result.output
    described = yaml.safe_load((tmp_path / "out" / "m" / "MLmodel").read_text(encoding="utf-8"))
    assert described["flavors"]["sklearn"]["pickled_model"] == "model.pkl"
    assert json.loads(described["signature"]["inputs"]) == [
        {"type": "double", "name": "größe", "required": True},
        {"type": "double", "name": "age", "required": True},
    ]
    back = pickle.loads((tmp_path / "out" / "m" / "model.pkl").read_bytes())
    assert list(back.predict(X)) == ["a", "b"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m"]


def test_an_array_is_a_tensor_there(tmp_path: Path) -> None:
    package = write_package(constant(1.0, width=3), name="m", version="1", repository=tmp_path)
    assert run("export", package, "--mlflow", tmp_path / "m-1").exit_code == 0
    described = yaml.safe_load((tmp_path / "m-1" / "MLmodel").read_text(encoding="utf-8"))
    (tensor,) = json.loads(described["signature"]["inputs"])
    assert tensor == {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}
    assert np.dtype(tensor["tensor-spec"]["dtype"]) == np.float64


def test_what_cannot_be_exported_is_said(package: Path, tmp_path: Path) -> None:
    assert refusal(2, "export", package, "--mlflow", tmp_path) == f"{tmp_path} exists; name a new folder"
    assert "there is no such folder" in refusal(2, "export", tmp_path / "none", "--mlflow", tmp_path / "out")
    folder = tmp_path / "m" / "2"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    assert "is no pickle" in refusal(2, "export", folder, "--mlflow", tmp_path / "out")
    (folder / "model.onnx").rename(folder / "model.joblib")
    assert "the artifact does not unpickle" in refusal(2, "export", folder, "--mlflow", tmp_path / "out")
    (folder / "metadata.json").write_bytes((package / "metadata.json").read_bytes())
    assert "it was changed after it was packed" in refusal(2, "export", folder, "--mlflow", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_mlflow_its_pip_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    said = refusal(2, "import", "mlflow", "models:/iris/3", "--name", "iris", "--version", "3", "--out", tmp_path)
    assert said.endswith("pip install 'model-manager-server[mlflow]'")
