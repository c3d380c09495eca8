"""Binary tensors, compressed bodies, statistics and configuration of V2, asked of a real server over a real socket."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.live import LiveServer, live_server
from tests.models import dump, put

X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
PROBABILITIES = MODEL.predict_proba(X)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    put(models, "iris", "1", dump(MODEL))
    with live_server(models, compress_from_bytes=2000, max_body_bytes=100_000, compile="off") as server:
        yield server


def document(**more: Any) -> bytes:
    tensor = {"name": "input", "shape": list(X.shape), "datatype": "FP64", "parameters": {"binary_data_size": X.nbytes}}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}], **more}).encode()


def infer(server: LiveServer, body: bytes, **headers: str) -> httpx.Response:
    return server.api.post("/v2/models/iris/infer", content=body, headers=headers)


def binary(server: LiveServer, **headers: str) -> httpx.Response:
    text = document(parameters={"binary_data_output": True})
    return infer(server, text + X.tobytes(), **{"inference-header-content-length": str(len(text)), **headers})


def values(response: httpx.Response) -> np.ndarray[Any, Any]:
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    output = json.loads(response.content[:length])["outputs"][0]
    assert output["parameters"] == {"content_type": "np", "binary_data_size": len(response.content) - length}
    return np.frombuffer(response.content[length:]).reshape(output["shape"])


def test_bytes_in_and_bytes_out_are_scikit_learns_bit_for_bit(server: LiveServer) -> None:
    for _ in range(3):  # the first by the app, the others as the connection itself answers
        response = binary(server, **{"accept-encoding": "identity"})
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["x-model-version"] == "1"
        np.testing.assert_array_equal(values(response), PROBABILITIES)


def test_a_body_of_nothing_but_values_is_answered_in_binary(server: LiveServer) -> None:
    headers = {"inference-header-content-length": "0", "content-type": "application/octet-stream"}
    response = infer(server, X[:1].tobytes(), **headers)
    length = int(response.headers["inference-header-content-length"])
    assert [one["name"] for one in json.loads(response.content[:length])["outputs"]][:2] == ["predict", "predict_proba"]


@pytest.mark.parametrize(("coding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_read_and_large_answers_compressed(server: LiveServer, coding: str, squeeze: Any) -> None:
    text = document(parameters={"binary_data_output": True})
    headers = {"inference-header-content-length": str(len(text)), "content-encoding": coding}
    response = infer(server, squeeze(text + X.tobytes()), **headers, **{"accept-encoding": coding})
    assert (response.headers["content-encoding"], response.headers["vary"]) == (coding, "accept-encoding")
    np.testing.assert_array_equal(values(response), PROBABILITIES)
    for accepted in (coding, f"br, {coding};q=0.5"):  # past the app
        response = binary(server, **{"accept-encoding": accepted})
        assert response.headers["content-encoding"] == coding
        assert int(response.headers["content-length"]) < len(response.content)
        np.testing.assert_array_equal(values(response), PROBABILITIES)


def test_small_answers_and_those_of_who_takes_nothing_are_plain(server: LiveServer) -> None:
    body = json.dumps({"instances": X[:2].tolist()}).encode()
    response = server.api.post(
        "/v1/models/iris:predict", content=gzip.compress(body), headers={"content-encoding": "gzip"}
    )
    assert response.json() == {"predictions": MODEL.predict(X[:2]).tolist()}
    assert "content-encoding" not in response.headers
    assert "content-encoding" not in binary(server, **{"accept-encoding": "identity"}).headers


def test_compressed_bodies_are_bounded_and_refused_by_name(server: LiveServer) -> None:
    bomb = infer(server, gzip.compress(bytes(2_000_000)), **{"content-encoding": "gzip"})
    assert (bomb.status_code, bomb.json()["error"][:36]) == (413, "the body is larger than 100000 bytes")
    broken = infer(server, b"nothing", **{"content-encoding": "gzip"})
    assert (broken.status_code, "declared to be gzip" in broken.json()["error"]) == (400, True)
    other = infer(server, b"nothing", **{"content-encoding": "br"})
    assert (other.status_code, "send one of gzip and deflate" in other.json()["error"]) == (415, True)


def test_an_infinity_is_the_callers_and_never_the_versions(server: LiveServer) -> None:
    failed = server.metric("model_manager_requests_total", code="500")
    row = b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP64","data":[1,2,Infinity,4]}]}'
    response = infer(server, row)
    assert (response.status_code, "row 0, column 2: inf is too large" in response.json()["error"]) == (400, True)
    assert server.metric("model_manager_requests_total", code="500") == failed


def test_statistics_tell_what_was_answered_and_how_long_it_took(server: LiveServer) -> None:
    assert binary(server).status_code == 200
    assert infer(server, b"{}").status_code == 400
    (said,) = server.api.get("/v2/models/iris/versions/1/stats").json()["model_stats"]
    assert (said["name"], said["version"]) == ("iris", "1")
    assert said["inference_count"] >= len(X)
    assert said["execution_count"] >= 1
    stats = said["inference_stats"]
    assert stats["success"]["count"] >= 1
    assert stats["fail"]["count"] >= 1
    assert all(
        stats[word]["ns"] > 0 for word in ("success", "queue", "compute_input", "compute_infer", "compute_output")
    )
    assert server.api.get("/v2/models/stats").json()["model_stats"][0]["name"] == "iris"
    assert server.admin.get("/v2/models/iris/stats").json()["model_stats"][0]["version"] == "1"
    for path in ("/v2/models/other/stats", "/v2/models/iris/versions/9/stats", "/v2/models/other/config"):
        response = server.api.get(path)
        assert (response.status_code, "error" in response.json()) == (404, True)


def test_the_configuration_is_in_tritons_words(server: LiveServer) -> None:
    for path in ("/v2/models/iris/config", "/v2/models/iris/versions/1/config"):
        response = server.api.get(path)
        assert response.status_code == 200, response.text
        said = response.json()
        assert said["input"] == [{"name": "input", "data_type": "TYPE_FP64", "dims": [4]}]
        assert said["output"][0] == {"name": "predict", "data_type": "TYPE_INT64", "dims": [1]}
        assert (said["max_batch_size"], said["version_policy"]) == (256, {"specific": {"versions": ["1"]}})
