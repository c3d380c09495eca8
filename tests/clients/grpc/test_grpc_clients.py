"""gRPC clients that no one here wrote, as they are: tritonclient's, KServe's, those of health and of reflection.

Each runs as a program in an environment of its own: that of the group client-triton, and of clients.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
TEXTS = np.array([["01234", "é"], ["5", ""], ["01234", ""]], object)
BY_TEXT = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(TEXTS, ["a", "b", "a"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    put(models, "iris", "1", dump(IRIS))
    put(models, "texts", "1", dump(BY_TEXT))
    with live_server(models, grpc_port=0) as server:
        yield server


def ran(group: str, program: str, *arguments: Any) -> Any:
    """What a program prints in the environment of a group of clients."""
    command = [str(program_of_clients(group)), str(HERE / program), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=stretched(300)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def triton(server: LiveServer) -> Any:
    address = server.server.addresses["grpc"]
    return ran("client-triton", "triton_calls.py", address, json.dumps(ROWS.tolist()), json.dumps(TEXTS.tolist()))


@pytest.mark.parametrize("call", ["raw", "again", "gzip", "deflate", "urgent", *(f"aio {n}" for n in range(8))])
def test_tritonclient_gets_the_estimators_own_numbers(triton: Any, call: str) -> None:
    assert triton[call]["predict_proba"] == IRIS.predict_proba(ROWS).tolist()
    assert triton[call]["predict"] == IRIS.predict(ROWS).tolist()


def test_tritonclient_may_send_halves_texts_and_typed_contents(triton: Any) -> None:
    halves = ROWS.astype(np.float16).astype(np.float64)
    assert triton["halves"]["predict_proba"] == IRIS.predict_proba(halves).tolist()
    assert triton["texts"]["predict"] == BY_TEXT.predict(TEXTS).tolist()
    assert triton["typed"] == IRIS.predict(ROWS).tolist()


def test_tritonclient_is_told_what_it_got_wrong(triton: Any) -> None:
    assert triton["none"].startswith("StatusCode.NOT_FOUND: no model 'nowhere'; models: iris, texts")
    assert triton["version"].startswith("StatusCode.NOT_FOUND: model 'iris' has no version '9'")
    assert triton["shape"].startswith("StatusCode.INVALID_ARGUMENT")
    assert "expected shape [rows, 4], got [5, 3]" in triton["shape"]
    assert triton["late"].startswith("StatusCode.DEADLINE_EXCEEDED")
    assert "admin port" in triton["load"]


def test_tritonclient_reads_all_that_is_told_of_a_model(triton: Any) -> None:
    assert triton["ready"] == [True, True, True]
    assert triton["metadata"]["inputs"] == [{"name": "input", "datatype": "FP64", "shape": ["-1", "4"]}]
    config = triton["configuration"]["config"]
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP64", "dims": ["4"]}]
    assert (config["max_batch_size"], config["backend"]) == (256, "sklearn")
    (statistics,) = triton["statistics"]["model_stats"]
    assert int(statistics["inference_stats"]["success"]["count"]) >= 5
    assert {(one["name"], one["state"]) for one in triton["index"]["models"]} == {("iris", "READY"), ("texts", "READY")}


def test_health_and_reflection_are_understood(triton: Any) -> None:
    assert triton["health"] == [1, 1, 1]
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(triton["services"])
    assert {"ModelInfer", "ModelConfig", "ModelStatistics", "RepositoryIndex"} <= set(triton["methods"])


def test_kserves_client_gets_the_estimators_own_numbers(server: LiveServer) -> None:
    said = ran("clients", "kserve_calls.py", server.server.addresses["grpc"], json.dumps(ROWS.tolist()))
    assert said["ready"] == [True, True, True]
    for way in ("raw", "typed"):
        assert said[way]["predict_proba"] == IRIS.predict_proba(ROWS).tolist()
        assert said[way]["predict"] == IRIS.predict(ROWS).tolist()
