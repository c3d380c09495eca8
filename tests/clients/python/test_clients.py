"""MLflow's and KServe's own clients, each a process where that library is installed, against a live server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live import LiveServer, live_server
from tests.models import dump, put
from tools.parts import program_of_clients
from tools.patience import stretched

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame({"zip": ["01234", "98765", "01234", "55555"], "age": [3.0, 40.5, 61.0, 17.25]})


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> Any:
    """Where zip codes are read as numbers, it says so: no category is known."""
    codes = make_column_transformer((OneHotEncoder(), ["zip"]), remainder="passthrough")
    return make_pipeline(codes, LogisticRegression()).fit(table, ["a", "b", "b", "a"])


@pytest.fixture(scope="module")
def server(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    put(folder, "m", "1", dump(model))
    with live_server(folder) as running:
        yield running


@pytest.fixture(scope="module")
def csv_file(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    table.to_csv(path, index=False)
    return path


def printed_by(client: str, *arguments: object) -> Any:
    """What a client's script makes of the answers."""
    python = program_of_clients("clients")
    command = [str(python), "-W", "ignore", str(HERE / client), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=stretched(300))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_mlflow_asks_by_frame_by_array_and_by_text(
    server: LiveServer, model: Any, table: pd.DataFrame, csv_file: Path
) -> None:
    address = urlsplit(server.server.api)
    found = printed_by("mlflow_client.py", address.hostname, address.port, csv_file)
    expected = model.predict(table).tolist()
    for form in ("frame", "shuffled", "text", "array"):
        assert found[form] == expected, form
    np.testing.assert_array_equal(found["params"], model.predict_proba(table))
    assert found["version"] == server.api.get("/v2").json()["version"]
    assert "error code 400" in found["refused"]
    assert 'missing column \\"zip\\"' in found["refused"]
    text = csv_file.read_bytes()
    response = server.api.post("/invocations", content=text, headers={"content-type": "text/csv"})
    assert response.json() == {"predictions": expected}


def test_kserve_asks_by_v1_in_both_ways_and_by_v2(
    server: LiveServer, model: Any, table: pd.DataFrame, csv_file: Path
) -> None:
    found = printed_by("kserve_client.py", server.server.api, csv_file)
    expected = model.predict(table).tolist()
    assert found["live"] == [True, True]
    assert found["ready"] == [True, True, True]
    assert found["instances"] == found["inputs"] == found["v2"]["predict"] == expected
    np.testing.assert_array_equal(found["v2"]["predict_proba"], model.predict_proba(table))
