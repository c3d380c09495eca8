"""Every route and every way of asking, over the whole app in this process and the sample models."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from model_manager.app import MIDDLEWARE
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.conftest import IRIS, Client, running_app, v1, v2

# what is there


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models", {"models": ["breast-cancer", "churn", "diabetes", "iris"]}),
        ("/v2/models", {"models": ["breast-cancer", "churn", "diabetes", "iris"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/iris/ready", {"name": "iris", "ready": True}),
        ("/v2/models/iris/versions/1/ready", {"name": "iris", "ready": True}),
    ],
)
async def test_get_routes_answer_with_and_without_a_trailing_slash(
    api: Client, path: str, slash: str, expected: dict[str, Any]
) -> None:
    response = await api.get(path + slash)
    assert (response.status_code, response.json()) == (200, expected)


async def test_the_root_says_what_this_is_and_where_to_look(api: Client, admin: Client) -> None:
    body = (await api.get("/")).json()
    assert body["name"] == "model-manager"
    assert body["status"] == "alive"
    assert "iris" in body["models"]
    assert "POST /v1/models/{model}[/versions/{version}]:predict" in body["routes"].values()
    assert "GET /metrics" in (await admin.get("/")).json()["routes"]


async def test_server_metadata(api: Client) -> None:
    body = (await api.get("/v2")).json()
    assert body["name"] == "model-manager"
    assert "binary_tensor_data" in body["extensions"]
    assert (await api.get("/v2/")).json() == body


async def test_model_metadata_describes_a_tensor_and_where_the_version_comes_from(api: Client, samples: Path) -> None:
    said = json.loads((samples / "iris" / "2" / "metadata.json").read_text())
    body = (await api.get("/v2/models/iris")).json()
    assert body["name"] == "iris"
    assert body["versions"] == ["1", "2"]
    assert body["platform"] == "sklearn_joblib"
    assert [(one["datatype"], one["shape"]) for one in body["inputs"]] == [("FP64", [-1, 4])]
    outputs = {output["name"]: output for output in body["outputs"]}
    assert outputs["predict"]["datatype"] == "BYTES"
    assert outputs["predict_proba"]["shape"] == [-1, 3]
    assert body["properties"]["sha256"] == said["artifact"]["sha256"]
    assert body["properties"]["data_sha256"] == said["data"]["sha256"]
    assert body["properties"]["version"] == "2"
    assert (await api.get("/v2/models/iris/versions/1")).json()["properties"]["version"] == "1"


async def test_model_metadata_describes_columns(api: Client, churn: dict[str, Any]) -> None:
    inputs = (await api.get("/v2/models/churn")).json()["inputs"]
    assert [one["name"] for one in inputs] == list(churn)
    assert {one["datatype"] for one in inputs} == {"BYTES", "FP64"}
    assert all(one["shape"] == [-1] for one in inputs)


async def test_v1_status_names_every_version_and_its_state(api: Client) -> None:
    body = (await api.get("/v1/models/iris")).json()
    assert (body["name"], body["ready"]) == ("iris", True)
    assert [(one["version"], one["state"]) for one in body["model_version_status"]] == [
        ("1", "AVAILABLE"),
        ("2", "AVAILABLE"),
    ]
    pinned = (await api.get("/v1/models/iris/versions/1")).json()
    assert [one["version"] for one in pinned["model_version_status"]] == ["1"]


async def test_the_repository_index_has_a_row_for_every_version(api: Client) -> None:
    rows = (await api.post("/v2/repository/index")).json()
    assert [(row["name"], row["version"]) for row in rows] == [
        ("breast-cancer", "1"),
        ("churn", "1"),
        ("diabetes", "1"),
        ("iris", "1"),
        ("iris", "2"),
    ]
    assert {(row["state"], row["reason"]) for row in rows} == {("READY", "")}
    assert all("form" in row["parameters"] for row in rows)
    assert len((await api.post("/v2/repository/index", json={"ready": True})).json()) == 5
    assert (await api.post("/v2/repository/index", content=b"{")).status_code == 400


async def test_the_repository_index_reads_no_more_than_other_routes_do(samples: Path) -> None:
    async with running_app(samples, max_body_bytes=1000) as (api, admin, _):
        for port in (api, admin):
            refused = await port.post("/v2/repository/index", content=b" " * 1001)
            assert refused.status_code == 413
            assert "1000 bytes" in refused.json()["error"]
            assert (await port.post("/v2/repository/index", content=_chunks(11, b" " * 100))).status_code == 413
            assert (await port.post("/v2/repository/index", content=b" " * 1000)).status_code == 200


async def _chunks(count: int, chunk: bytes) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk


# middleware


class RequireKey:
    """Refuses whoever does not know the word, as a middleware of API keys would."""

    def __init__(self, app: ASGIApp, *, key: bytes) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"x-key") != self._key:
            await JSONResponse({"error": "no"}, 401)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v1/models/iris/versions/1:predict", "/v1/models/iris"])
async def test_nothing_passes_by_a_middleware_however_often_it_is_asked(samples: Path, path: str) -> None:
    method = "POST" if path.endswith("predict") else "GET"
    async with running_app(samples, middleware=[*MIDDLEWARE, Middleware(RequireKey, key=b"open")]) as (api, _, _):
        for slash in ("", "/"):
            for _ in range(2):
                ask = partial(api.request, method, path + slash, json={"instances": [IRIS]})
                assert (await ask()).status_code == 401
                assert (await ask(headers={"x-key": "open"})).status_code == 200


# predictions


async def test_rows_as_lists_and_as_objects_and_columns_answer_alike(api: Client, churn: dict[str, Any]) -> None:
    by_name = (await v1(api, "churn", {"instances": [churn]})).json()
    assert by_name["predictions"][0] in ("yes", "no")
    assert (await v1(api, "churn", {"instances": [list(churn.values())]})).json() == by_name
    columnar = (await v1(api, "churn", {"inputs": {name: [value] for name, value in churn.items()}})).json()
    assert columnar == {"outputs": by_name["predictions"]}
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in reversed(churn.items())
    ]
    answer = (await v2(api, "churn", tensors, outputs=[{"name": "predict"}])).json()
    said = {"content_type": "str"}
    assert answer["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [1], "parameters": said, "data": by_name["predictions"]}
    ]


async def test_outputs_are_chosen_by_name_and_labels_are_strings(api: Client) -> None:
    assert (await v1(api, "iris", {"instances": [IRIS]})).json() == {"predictions": ["setosa"]}
    probabilities = (await v1(api, "iris", {"instances": [IRIS], "signature_name": "predict_proba"})).json()
    assert sum(probabilities["predictions"][0]) == pytest.approx(1)
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [IRIS]}
    everything = (await v2(api, "iris", [tensor], id="42")).json()
    assert everything["id"] == "42"
    assert (everything["model_name"], everything["model_version"]) == ("iris", "2")
    assert [output["name"] for output in everything["outputs"]] == ["predict", "predict_proba", "decision_function"]
    one = (await v2(api, "iris", [tensor], outputs=[{"name": "predict_proba"}])).json()
    assert [output["name"] for output in one["outputs"]] == ["predict_proba"]


async def test_an_inference_without_an_id_is_given_one(api: Client) -> None:
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": IRIS}
    first, second = [(await v2(api, "iris", [tensor])).json()["id"] for _ in range(2)]
    assert first
    assert first != second


async def test_the_two_versions_of_iris_answer_differently_and_headers_name_the_one_that_served(api: Client) -> None:
    row = [6.3, 2.8, 5.1, 1.5]
    answers = {}
    for version in ("1", "2"):
        response = await v1(api, "iris", {"instances": [row], "signature_name": "predict_proba"}, version)
        assert (response.headers["x-model-name"], response.headers["x-model-version"]) == ("iris", version)
        answers[version] = response.json()["predictions"]
    assert answers["1"] != answers["2"]
    assert (await v1(api, "iris", {"instances": [row]})).headers["x-model-version"] == "2"


async def test_a_missing_value_is_taken_where_the_model_accepts_one(api: Client) -> None:
    response = await v1(api, "diabetes", {"instances": [[None] * 10]})
    assert response.status_code == 200
    assert isinstance(response.json()["predictions"][0], float)
