"""The lines of docs/bulk-scoring.md that score a table in several processes, run as they stand there."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_manager import load, write_package
from sklearn.linear_model import LogisticRegression

from tests.unit.evaluation.staging import homes, with_sold

PAGE = Path(__file__).resolve().parents[3] / "docs" / "bulk-scoring.md"
BLOCKS = [part.partition("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]


def block(name: str) -> str:
    (found,) = (one for one in BLOCKS if f"def {name}(" in one)
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    X = homes(100, seed=3)[["größe", "age"]]
    model = LogisticRegression(max_iter=1000).fit(X, with_sold(homes(100, seed=3))["sold"])
    return write_package(model, name="churn", version="1", repository=folder, sample=X)


def run(code: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_processes_of_python_score_a_table(package: Path, tmp_path: Path) -> None:
    table = homes(50, seed=4)
    table.to_parquet(tmp_path / "in.parquet")
    main = """
if __name__ == "__main__":
    score(pd.read_parquet("in.parquet"), processes=2, rows=20).to_parquet("out.parquet")
"""
    run(block("score").replace("build/models/churn/1", str(package)) + main, tmp_path)
    expected = table.assign(predict=np.asarray(load(package).predict(table)))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)
