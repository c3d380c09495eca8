"""Every route, and what bad input gets, over the whole app in this process and the sample models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Client, running_app
from tests.models import constant, dump, put

IRIS = [5.1, 3.5, 1.4, 0.2]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="session")
def churn(samples: Path) -> dict[str, Any]:
    """A valid row of churn."""
    metadata = json.loads((samples / "churn" / "1" / "metadata.json").read_text())
    row: dict[str, Any] = metadata["golden"]["instances"][0]
    return row


async def v1(api: Client, model: str, body: Any, version: str | None = None) -> httpx.Response:
    pinned = f"/versions/{version}" if version else ""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.post(f"/v1/models/{model}{pinned}:predict", content=content, headers=JSON)


async def v2(api: Client, model: str, inputs: list[dict[str, Any]], **extra: Any) -> httpx.Response:
    return await api.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **extra})


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
    assert body["extensions"] == []
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
    assert answer["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [1], "data": by_name["predictions"]}]


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


# bad input


@pytest.mark.parametrize(
    ("model", "body", "status", "says"),
    [
        ("iris", b'{"instances": [[1, 2, 3,]]}', 400, ["JSON", "byte"]),
        ("iris", b'{"instances": [[NaN, 2, 3, 4]]}', 400, ["byte", "null"]),
        ("iris", b"", 400, ["JSON"]),
        ("iris", [], 400, ["object"]),
        ("iris", {}, 400, ["instances"]),
        ("iris", {"instances": []}, 400, ["instances"]),
        ("iris", {"instances": [IRIS, IRIS[:3]]}, 400, ["instances", "row 1", "4", "3"]),
        ("iris", {"instances": [IRIS[:3]]}, 400, ["row 0", "4", "3"]),
        ("iris", {"instances": [[1, "x", 3, 4]]}, 400, ["row 0", "sepal_width", '"x"']),
        ("iris", {"instances": [[1, None, 3, 4]]}, 400, ["row 0", "sepal_width", "null"]),
        ("iris", {"instances": [IRIS] * 10_001}, 400, ["10000", "max_rows_per_request"]),
        ("iris", {"instances": [IRIS], "signature_name": "prob"}, 400, ["prob", "predict_proba"]),
        ("irs", {"instances": [IRIS]}, 404, ["irs", "iris", "churn"]),
        ("iris/versions/7", {"instances": [IRIS]}, 404, ["7", "1, 2"]),
    ],
)
async def test_bad_v1_input_is_refused_and_says_where(
    api: Client, model: str, body: Any, status: int, says: list[str]
) -> None:
    response = await v1(api, model, body)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    for part in says:
        assert part in response.json()["error"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.pop("age"), ["row 1", "age", "missing"]),
        (lambda row: row.update(agee=row.pop("age")), ["row 1", "agee", "age"]),
        (lambda row: row.update(age="old"), ["row 1", "age", '"old"']),
        (lambda row: row.update(contract=3), ["row 1", "contract", "3"]),
    ],
    ids=["missing", "misspelt", "not a number", "not a string"],
)
async def test_bad_columns_are_named(
    api: Client, churn: dict[str, Any], change: Callable[[dict[str, Any]], object], says: list[str]
) -> None:
    bad = dict(churn)
    change(bad)
    response = await v1(api, "churn", {"instances": [churn, bad]})
    assert response.status_code == 400
    for part in says:
        assert part in response.json()["error"]


async def test_a_duplicate_column_is_refused(api: Client, churn: dict[str, Any]) -> None:
    row = json.dumps(churn)[:-1] + ', "age": 3}'
    response = await v1(api, "churn", f'{{"instances": [{row}]}}'.encode())
    assert response.status_code == 400
    assert "age" in response.json()["error"]


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"shape": [2, 4], "data": IRIS}, ["input", "8", "4"]),
        ({"shape": [1, 4], "data": [[1, 2], [3, 4]]}, ["input"]),
        ({"shape": [1, 3], "data": [1, 2, 3]}, ["input", "3", "4"]),
        ({"shape": [-1, 4], "data": IRIS}, ["input", "-1"]),
        ({"shape": [0, 4], "data": []}, ["input"]),
        ({"shape": [1, 4], "data": IRIS, "datatype": "FP65"}, ["FP65"]),
        ({"shape": [1, 4], "data": [1, 2, None, 4]}, ["row 0", "petal_length", "null"]),
        ({"shape": [4_000_000_000, 4_000_000_000], "data": IRIS}, ["input"]),
    ],
)
async def test_bad_v2_input_is_refused_and_says_where(api: Client, tensor: dict[str, Any], says: list[str]) -> None:
    response = await v2(api, "iris", [{"name": "input", "datatype": "FP64", **tensor}])
    assert response.status_code == 400
    for part in says:
        assert part in response.json()["error"]


async def test_client_faults_count_for_no_version_as_failures_and_unknown_names_make_no_label(
    api: Client, admin: Client, counted: Callable[..., float]
) -> None:
    await v1(api, "iris", {"instances": [[1]]})
    await v1(api, "no-such-model", {"instances": [[1]]})
    labels = {"model_name": "iris", "model_version": "2"}
    assert counted("model_manager_requests_total", code="400", **labels) == 1
    assert counted("model_manager_requests_total", code="500", **labels) == 0
    assert counted("model_manager_unrouted_requests_total", code="404") == 1
    assert "no-such-model" not in (await admin.get("/metrics")).text


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({"content-type": "text/csv"}, 415, "text/csv"),
        ({"content-type": "application/json; charset=utf-8"}, 200, ""),
        ({"content-type": "application/cloudevents+json"}, 200, ""),
        ({}, 200, ""),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415, "gzip"),
    ],
)
async def test_content_type_decides_what_is_read(api: Client, headers: dict[str, str], status: int, says: str) -> None:
    response = await api.post(
        "/v1/models/iris:predict", content=json.dumps({"instances": [IRIS]}).encode(), headers=headers
    )
    assert response.status_code == status
    assert says in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/v1/models/iris:predict", 405, "allowed: POST"),
        ("POST", "/v2/health/live", 405, "allowed: GET"),
        ("GET", "/v3", 404, "GET /v3"),
        ("GET", "/v1/models/irs", 404, "irs"),
        ("GET", "/v1/models/iris/versions/9", 404, "9"),
        ("GET", "/v2/models/iris/versions/9/ready", 404, "9"),
        ("GET", "/metrics", 404, "/metrics"),
    ],
)
async def test_unknown_routes_and_methods_get_errors_of_the_same_form(
    api: Client, method: str, path: str, status: int, says: str
) -> None:
    response = await api.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert says in response.json()["error"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    async with running_app(tmp_path, max_body_bytes=100) as (api, _, _):
        response = await v1(api, "m", b" " * 101)
        assert response.status_code == 413
        assert "100" in response.json()["error"]
        read = 0

        async def endless() -> Any:
            nonlocal read
            while True:
                read += 40
                yield b" " * 40

        response = await api.post("/v1/models/m:predict", content=endless(), headers=JSON)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
        assert read < 400


# the estimator's own faults


@pytest.fixture
def moody(tmp_path: Path) -> Path:
    from tests.moody_model import MoodyRegressor

    put(tmp_path, "moody", "1", dump(MoodyRegressor().fit([[0.0]], [0.0])))
    return tmp_path


async def test_an_estimator_that_raises_fails_that_request_alone_with_an_id_and_no_traceback(
    moody: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_app(moody) as (api, _, _):
        response = await api.post(
            "/v1/models/moody:predict", json={"instances": [[666.0]]}, headers={"x-request-id": "the-id"}
        )
        assert response.status_code == 500
        assert "the-id" in response.json()["error"]
        assert "Traceback" not in response.text
        assert response.headers["x-request-id"] == "the-id"
        assert [record for record in caplog.records if getattr(record, "request_id", "") == "the-id"]
        assert (await v1(api, "moody", {"instances": [[1.0]]})).json() == {"predictions": [1.0]}


async def test_a_version_that_is_not_ready_is_503_with_its_state_and_when_to_retry(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    put(tmp_path, "m", "2", b"broken")
    async with running_app(tmp_path) as (api, _, _):
        response = await v1(api, "m", {"instances": [[0, 0]]}, "2")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert "failed" in response.json()["error"]
        assert "corrupt" in response.json()["error"]
        status = await api.get("/v1/models/m/versions/2")
        assert status.status_code == 503
        assert status.json()["model_version_status"][0]["status"]["error_code"] == "UNKNOWN"
        assert (await api.get("/v2/models/m/versions/2/ready")).status_code == 503
