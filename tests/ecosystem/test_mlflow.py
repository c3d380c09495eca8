"""Models of MLflow: what it saved serves here, what is exported it reads, and both answer the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from model_manager import write_package
from model_manager.cli import cli
from model_manager.repository.metadata import TensorInput, parse_metadata
from sklearn.linear_model import LogisticRegression

from tests.models import iris_classifier

pytestmark = pytest.mark.ecosystem

X = pd.DataFrame({"größe": [1.0, 2.0, 3.0, 4.0], "age": [4.0, 1.0, 3.0, 2.0]})
Y = ["a", "b", "a", "b"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def store(folder: Path) -> dict[str, str]:
    """The environment in which MLflow keeps its registry in a folder, which needs no database."""
    return {**os.environ, "MLFLOW_TRACKING_URI": f"file://{folder}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}


def with_mlflow(script: str, folder: Path) -> Any:
    """Run a script as a user of MLflow does, in a process whose warnings are its own; gives what it prints as JSON."""
    command = [sys.executable, "-c", "import mlflow, json, joblib, pandas as pd\n" + script]
    done = subprocess.run(command, cwd=folder, env=store(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def imported(uri: object, folder: Path) -> Any:
    """Import as a process of its own, since MLflow warns of what it likes."""
    command = [sys.executable, "-m", "model_manager", "import", "mlflow", str(uri), "--name", "m", "--version", "1"]
    command += ["--out", str(folder / "out"), "--json"]
    done = subprocess.run(command, env=store(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_exported_mlflow_reads_and_answers_the_same(tmp_path: Path) -> None:
    fitted = LogisticRegression().fit(X, Y)
    package = write_package(fitted, name="m", version="1", repository=tmp_path / "models")
    result = run("export", package, "--mlflow", tmp_path / "exported", "--json")
    assert json.loads(result.stdout)["mlflow"] == str(tmp_path / "exported")
    joblib.dump(X, tmp_path / "X.joblib")
    script = """
X = joblib.load("X.joblib")
own, generic = mlflow.sklearn.load_model("exported"), mlflow.pyfunc.load_model("exported")
names = generic.metadata.signature.inputs.input_names()
print(json.dumps([own.predict_proba(X).tolist(), generic.predict(X).tolist(), names]))
"""
    probabilities, labels, names = with_mlflow(script, tmp_path)
    assert probabilities == fitted.predict_proba(X).tolist()
    assert labels == list(fitted.predict(X))
    assert names == list(X)
    assert sorted(path.name for path in (tmp_path / "exported").iterdir()) == [
        "MLmodel",
        "model.pkl",
        "python_env.yaml",
        "requirements.txt",
    ]
    # And back.
    imported(tmp_path / "exported", tmp_path)
    back = joblib.load(tmp_path / "out" / "m" / "1" / "model.joblib")
    assert np.array_equal(back.predict_proba(X), fitted.predict_proba(X))


def test_what_mlflow_saved_is_packed_with_its_columns(tmp_path: Path) -> None:
    joblib.dump((iris_classifier(), LogisticRegression().fit(X, Y), X), tmp_path / "fitted.joblib")
    script = """
iris, named, X = joblib.load("fitted.joblib")
flowers = pd.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=["a", "b", "c", "d"])
from mlflow.models import infer_signature
with mlflow.start_run() as run:
    signature = infer_signature(flowers)
    mlflow.sklearn.log_model(
        iris, name="m", signature=signature, registered_model_name="iris", serialization_format="cloudpickle"
    )
other = infer_signature(X.rename(columns={"age": "years"}))
mlflow.sklearn.save_model(named, "renamed", signature=other, serialization_format="cloudpickle")
print(json.dumps(run.info.run_id))
"""
    trained_by = with_mlflow(script, tmp_path)
    told = imported("models:/iris/1", tmp_path)
    assert (told["source"], told["run"]) == ("models:/iris/1", trained_by)
    assert told["columns"] == ["a", "b", "c", "d"]
    metadata = parse_metadata((Path(told["package"]) / "metadata.json").read_bytes())
    assert metadata.inputs is not None
    assert [one.columns for one in metadata.inputs if isinstance(one, TensorInput)] == [["a", "b", "c", "d"]]
    script = """
from model_manager.packaging.mlflow_models import import_mlflow
from model_manager.errors import PackageRefused
from pathlib import Path
said = []
for uri in ("renamed", "models:/nobody/1", "missing"):
    try:
        import_mlflow(uri, name="m", version="1", repository=Path("refused"))
    except PackageRefused as error:
        said.append(str(error))
print(json.dumps(said))
"""
    renamed, nobody, missing = with_mlflow(script, tmp_path)
    assert renamed.endswith("(only there: 'years'; missing there: 'age')")
    assert nobody.startswith("models:/nobody/1 cannot be had from MLflow: ")
    assert missing.startswith("missing cannot be had from MLflow: ")
    assert not (tmp_path / "refused").exists()
