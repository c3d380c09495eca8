"""The lines of docs/bulk-scoring.md for Spark, run as they stand there by a Spark of one process."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_manager import load, write_package
from sklearn.linear_model import LogisticRegression

from tests.unit.evaluation.staging import homes, with_sold
from tools.parts import program_of_clients, program_of_debian
from tools.patience import stretched
from tools.processes import ROOT

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]
PAGE = ROOT / "docs" / "bulk-scoring.md"

MAIN = """
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
table = spark.createDataFrame(pd.read_parquet("in.parquet"))
score_in_spark(table).toPandas().to_parquet("out.parquet")
"""


def test_spark_scores_a_table(tmp_path: Path) -> None:
    python = program_of_clients("client-spark")
    program_of_debian("java", "default-jre-headless")
    X = homes(100, seed=3)[["größe", "age"]]
    model = LogisticRegression(max_iter=1000).fit(X, with_sold(homes(100, seed=3))["sold"])
    package = write_package(model, name="churn", version="1", repository=tmp_path / "packages", sample=X)
    table = homes(50, seed=4)[["größe", "age"]]
    table.to_parquet(tmp_path / "in.parquet")
    (lines,) = [
        part.partition("```")[0]
        for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]
        if "def score_in_spark(" in part
    ]
    script = tmp_path / "script.py"
    script.write_text(lines.replace("build/models/churn/1", str(package)) + MAIN, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    paths = {"PYTHONPATH": str(ROOT / "server"), "PYSPARK_PYTHON": str(python)}
    environment = {**kept, **paths, "SPARK_LOCAL_IP": "127.0.0.1"}
    ran = subprocess.run(
        [str(python), str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=stretched(240),
    )
    assert ran.returncode == 0, ran.stderr
    expected = table.assign(predict=np.asarray(load(package).predict(table)))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)
