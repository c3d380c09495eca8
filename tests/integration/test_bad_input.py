"""What bad input gets: the right status, and words that say where; over the whole app and the sample models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import IRIS, JSON, Client, running_app, v1, v2
from tests.models import constant, dump, put


@pytest.mark.parametrize(
    ("model", "body", "status", "says"),
    [
        ("iris", b'{"instances": [[1, 2, 3,]]}', 400, ["JSON", "byte"]),
        ("iris", b'{"instances": [[NaN, 2, 3, 4]]}', 400, ["row 0", "sepal_length", "got NaN"]),
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
        ({"content-type": "text/csv"}, 200, ""),  # it is JSON, whatever the type says
        ({"content-type": "application/x-www-form-urlencoded"}, 200, ""),
        ({"content-type": "application/json; charset=utf-8"}, 200, ""),
        ({"content-type": "application/cloudevents+json"}, 200, ""),
        ({}, 200, ""),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 400, "declared to be gzip"),
        ({"content-type": "application/json", "content-encoding": "br"}, 415, "gzip and deflate"),
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
        ("GET", "/v1/models/iris:predict", 405, "allowed: OPTIONS, POST"),
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
