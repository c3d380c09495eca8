"""tritonclient over HTTP and MLServer's codecs, as they are: their default calls work, and give scikit-learn's numbers.

Each runs as a program in an environment of its own.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live import LiveServer, live_server
from tests.models import dump, put
from tools.parts import program_of_clients
from tools.patience import stretched

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
X, Y = load_iris(return_X_y=True)
ROWS = X[::30]
IRIS = LogisticRegression(max_iter=500).fit(X, np.array(["setosa", "versicolor", "virginica"], object)[Y])
TABLE = pd.DataFrame({"age": [20, 30, 40], "fare": [1.5, 2.5, 3.5], "sex": ["f", "m", "m"]})
TITANIC = make_pipeline(
    make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["sex"]), remainder="passthrough"),
    LogisticRegression(),
).fit(TABLE, [0, 1, 0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    put(models, "iris", "1", dump(IRIS))
    put(models, "titanic", "1", dump(TITANIC))
    with live_server(models, compress_from_bytes=100) as server:
        yield server


def ran(group: str, program: str, *arguments: str) -> Any:
    """What a program prints in the environment of a group of clients."""
    command = [str(program_of_clients(group)), str(HERE / program), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=stretched(300)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def triton(server: LiveServer) -> Any:
    url = server.api.base_url
    return ran("client-triton", "tritonclient/calls.py", f"{url.host}:{url.port}", json.dumps(ROWS.tolist()))


@pytest.mark.parametrize(
    "call",
    [
        *("binary True True", "binary True False", "binary False True", "binary False False"),
        *("gzip", "deflate", "urgent", "every output", "aio binary True", "aio binary False"),
    ],
)
def test_tritonclient_gets_the_estimators_own_numbers(triton: Any, call: str) -> None:
    assert isinstance(triton[call], dict), triton[call]
    assert triton[call]["predict_proba"] == IRIS.predict_proba(ROWS).tolist()
    assert triton[call]["predict"] == IRIS.predict(ROWS).tolist()


def test_tritonclient_may_send_what_json_has_no_word_for(triton: Any) -> None:
    halves = ROWS.astype(np.float16).astype(np.float64)
    assert triton["halves"]["predict_proba"] == IRIS.predict_proba(halves).tolist()


def test_tritonclient_reads_classes_and_all_that_is_told_of_a_model(triton: Any) -> None:
    best = [row[0].split(":")[2] for row in triton["classes"]["predict_proba"]]
    assert best == IRIS.predict(ROWS).tolist()
    assert triton["metadata"]["inputs"][0]["shape"] == [-1, 4]
    assert triton["configuration"]["max_batch_size"] == 256
    assert triton["statistics"]["model_stats"][0]["inference_stats"]["success"]["count"] >= 10
    assert triton["ready"] == [True, True, True]
    assert {row["name"] for row in triton["index"]} == {"iris", "titanic"}


def test_mlservers_codecs_rebuild_what_was_answered(server: LiveServer) -> None:
    tensor = {"name": "input", "shape": list(ROWS.shape), "datatype": "FP64", "data": ROWS.ravel().tolist()}
    answer = server.api.post("/v2/models/iris/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    said = ran("client-mlserver", "mlserver/decode.py", answer.text)
    (decoded,) = said["answers"]
    assert decoded["outputs"]["predict"] == IRIS.predict(ROWS).tolist()
    assert decoded["outputs"]["predict_proba"] == IRIS.predict_proba(ROWS).tolist()
    assert (decoded["rows"], decoded["columns"]) == (len(ROWS), ["predict"])
    asked = server.api.post("/v2/models/titanic/infer", json={**said["request"], "outputs": [{"name": "predict"}]})
    assert asked.status_code == 200, asked.text
    assert asked.json()["outputs"][0]["data"] == TITANIC.predict(TABLE[:2]).tolist()
