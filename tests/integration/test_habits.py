"""What clients of TensorFlow Serving, KServe and MLflow are used to, over the sample models with labels."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from model_manager.serving.system import System
from model_manager.settings import Settings
from pydantic import ValidationError

from tests.integration.conftest import IRIS, Client, running_app
from tests.models import constant, dump, put
from tools.patience import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANIFEST = """models:
  iris:
    default: "2"
    labels: {champion: "%s", 2-next: "2"}
    versions:
      "1": {artifact: iris/1/model.joblib}
      "2": {artifact: iris/2/model.joblib}
  churn: {versions: {"1": {artifact: churn/1/model.joblib}}}
  diabetes: {versions: {"1": {artifact: diabetes/1/model.joblib}}}
  constant: {versions: {"1": {artifact: constant/1/model.joblib}}, labels: {old: "1"}}
"""
ROWS = {"instances": [IRIS]}


class Served(NamedTuple):
    api: Client
    system: System
    folder: Path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("labelled") / "models"
    shutil.copytree(samples, folder)
    put(folder, "constant", "1", dump(constant(1.5)))
    (folder / "models.yaml").write_text(MANIFEST % "1", encoding="utf-8")
    origins = "https://shop.example, http://localhost:3000"
    async with running_app(folder, cors_origins=origins, poll_interval_s=0.1) as (api, _, system):
        yield Served(api, system, folder)


@pytest.fixture
def api(served: Served) -> Client:
    return served.api


async def ask(api: Client, path: str, body: Any, **headers: str) -> Any:
    response = await api.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


async def refusal(api: Client, path: str, body: Any, code: int = 400, **headers: str) -> str:
    response = await api.post(path, json=body, headers=headers)
    assert response.status_code == code, response.text
    said = response.json()
    assert list(said) == ["error"]
    return str(said["error"])


# labels


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/v1/models/iris/labels/champion:predict", "1"),
        ("/v1/models/iris/labels/2-next:predict", "2"),
        ("/v1/models/iris/versions/champion:predict", "1"),
        ("/v1/models/iris/versions/1:predict", "1"),
        ("/v1/models/iris:predict", "2"),
        ("/v1/models/iris/labels/champion:classify", "1"),
    ],
)
async def test_a_label_in_the_path_is_answered_by_the_version_that_it_names(
    api: Client, path: str, version: str
) -> None:
    body = {"examples": [{"input": IRIS}]} if "classify" in path else ROWS
    for _ in range(2):  # the second time past Starlette's routes
        response = await api.post(path, json=body)
        assert (response.status_code, response.headers["x-model-version"]) == (200, version)
    pinned = await api.post("/v1/models/iris:predict", json=ROWS, headers={"x-model-version": "champion"})
    assert pinned.headers["x-model-version"] == "1"


async def test_a_label_that_is_none_is_404_and_says_which_there_are(api: Client) -> None:
    for label in ("2", "nobody"):
        said = await refusal(api, f"/v1/models/iris/labels/{label}:predict", ROWS, 404)
        assert said == f"model 'iris' has no label '{label}'; labels: champion, 2-next"
        assert (await api.get(f"/v1/models/iris/labels/{label}")).json() == {"error": said}
        assert (await api.get(f"/v1/models/iris/labels/{label}/metadata")).json() == {"error": said}
    assert "declares none" in await refusal(api, "/v1/models/churn/labels/2:predict", ROWS, 404)
    assert "no model 'nobody'" in await refusal(api, "/v1/models/nobody/labels/2:predict", ROWS, 404)
    said = await refusal(api, "/v1/models/iris/versions/9:predict", ROWS, 404)
    assert said == "model 'iris' has no version '9'; versions: 1, 2; labels: champion, 2-next"


async def test_states_and_metadata_by_label_and_by_version(api: Client) -> None:
    whole = (await api.get("/v1/models/iris")).json()
    assert whole["labels"] == {"champion": "1", "2-next": "2"}
    for path in ("/v1/models/iris/labels/champion", "/v1/models/iris/versions/1", "/v1/models/iris/versions/champion"):
        (status,) = (await api.get(path)).json()["model_version_status"]
        assert (status["version"], status["state"]) == ("1", "AVAILABLE")
        assert (await api.get(f"{path}/metadata")).json()["model_spec"]["version"] == "1"
    assert (await api.get("/v2/models/iris/versions/champion")).json()["properties"]["version"] == "1"
    (told,) = (await api.get("/v2/models/iris/versions/champion/stats")).json()["model_stats"]
    (pinned,) = (await api.get("/v2/models/iris/stats", headers={"x-model-version": "2-next"})).json()["model_stats"]
    assert [told["version"], pinned["version"]] == ["1", "2"]
    refused = await api.get("/v2/models/iris/versions/9/stats")
    assert (refused.status_code, "versions: 1, 2" in refused.json()["error"]) == (404, True)
    rows = {
        row["version"]: row.get("parameters", {})
        for row in (await api.get("/v2/repository/index")).json()
        if row["name"] == "iris"
    }
    assert [rows[version]["labels"] for version in ("1", "2")] == ["champion", "2-next"]
    assert (await api.get("/v1/models/nobody/metadata")).status_code == 404


async def test_a_label_moves_with_the_manifest(served: Served) -> None:
    path = "/v1/models/constant/labels/old:predict"
    assert await ask(served.api, path, {"instances": [[0, 0]]}) == {"predictions": [1.5]}
    put(served.folder, "constant", "2", dump(constant(2.5)))
    one = '{versions: {"1": {artifact: constant/1/model.joblib}}, labels: {old: "1"}}'
    two = one.replace("}}, labels", '}, "2": {artifact: constant/2/model.joblib}}, labels').replace(
        'old: "1"', 'old: "2"'
    )
    text = MANIFEST % "1"
    assert one in text
    (served.folder / "models.yaml").write_text(text.replace(one, two), encoding="utf-8")
    view = served.system.registry.models
    await until(lambda: "2" in view["constant"].ready, "version 2 to be ready")
    assert await ask(served.api, path, {"instances": [[0, 0]]}) == {"predictions": [2.5]}
    (served.folder / "models.yaml").write_text(
        text.replace(one, two.replace(', labels: {old: "2"}', "")), encoding="utf-8"
    )
    await until(lambda: not view["constant"].labels, "the label to go")
    said = await refusal(served.api, path, {"instances": [[0, 0]]}, 404)
    assert said == "model 'constant' has no version 'old'; versions: 1, 2"


# metadata, classify, regress


async def test_metadata_as_tensorflow_serving_writes_it(api: Client) -> None:
    response = await api.get("/v1/models/iris/metadata")
    body = response.json()
    assert body["model_spec"] == {"name": "iris", "signature_name": "", "version": "2"}
    definitions = body["metadata"]["signature_def"]["signature_def"]
    default = definitions["serving_default"]
    assert default == definitions["predict"]
    assert default["method_name"] == "tensorflow/serving/predict"
    tensor = default["inputs"]["input"]
    assert (tensor["dtype"], [dim["size"] for dim in tensor["tensor_shape"]["dim"]]) == ("DT_DOUBLE", ["-1", "4"])
    assert default["outputs"]["predict"]["dtype"] == "DT_STRING"
    probabilities = definitions["predict_proba"]["outputs"]["predict_proba"]
    assert [dim["size"] for dim in probabilities["tensor_shape"]["dim"]] == ["-1", "3"]
    frame = (await api.get("/v1/models/churn/metadata")).json()["metadata"]["signature_def"]["signature_def"]
    assert frame["serving_default"]["inputs"]["contract"]["dtype"] == "DT_STRING"


async def test_classify_answers_every_class_with_its_score(api: Client, churn: dict[str, Any]) -> None:
    classes = (await api.get("/v2/models/iris")).json()["outputs"][1]["parameters"]["classes"]
    probabilities = (await ask(api, "/v1/models/iris:predict", ROWS | {"outputs": "predict_proba"}))["predictions"]
    names = [column["name"] for column in (await api.get("/v2/models/iris")).json()["inputs"]]
    columns = (await api.get("/v2/models/iris")).json()["inputs"][0]["parameters"]["columns"]
    assert names == ["input"]
    expected = {"result": [[[label, score] for label, score in zip(classes, probabilities[0], strict=True)]]}
    named = dict(zip(columns, IRIS, strict=True))
    lists = {name: [value] for name, value in named.items()}
    first = columns[0]
    for body in (
        {"examples": [named]},
        {"examples": [lists]},
        {"examples": [{"input": IRIS}], "signature_name": "serving_default"},
        {"examples": [named], "signature_name": "predict_proba"},
        {"examples": [{first: [IRIS[0]]}], "context": {name: lists[name] for name in columns[1:]}},
    ):
        assert await ask(api, "/v1/models/iris:classify", body) == expected
    encoded = {**churn, "contract": {"b64": base64.b64encode(churn["contract"].encode()).decode()}}
    (two,) = (await ask(api, "/v1/models/churn:classify", {"examples": [encoded]}))["result"]
    assert [label for label, _ in two] == ["no", "yes"]


async def test_regress_answers_a_number_an_example(api: Client) -> None:
    body = {"examples": [{"input": [1, 2]}, {"input": [3, 4]}]}
    assert await ask(api, "/v1/models/constant/versions/1:regress", body) == {"result": [1.5, 1.5]}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("iris:regress", {"examples": [{"input": IRIS}]}, "does not fit :regress, which needs an output of one number"),
        ("constant:classify", {"examples": [{"input": [1, 2]}]}, "does not fit :classify, which needs predict_proba"),
        ("iris:classify", {"instances": [IRIS]}, "instances are sent to :predict"),
        ("iris:classify", {"examples": {}}, 'the body has no "examples", a list'),
        ("iris:classify", {"examples": [IRIS]}, "examples: row 0: expected an object of features"),
        ("iris:classify", {"examples": []}, "examples: no rows"),
        ("iris:classify", {"examples": [{"input": IRIS}, {"input": IRIS[:2]}]}, "examples: row 1: expected 4 values"),
        ("iris:classify", {"examples": [{"input": IRIS}], "context": 3}, "context: expected an object of features"),
        ("iris:classify", {"examples": [{"input": IRIS}], "signature_name": "predict"}, "no output for :classify"),
    ],
)
async def test_what_does_not_fit_says_what_would(api: Client, path: str, body: Any, says: str) -> None:
    assert says in await refusal(api, f"/v1/models/{path}", body)


# MLflow


async def test_invocations_without_a_setting_say_which_models_there_are(api: Client) -> None:
    said = await refusal(api, "/invocations", ROWS)
    assert "4 are served: churn, constant, diabetes, iris" in said
    assert "--invocations-model" in said


async def test_the_model_of_a_setting_answers_invocations(served: Served, churn: dict[str, Any]) -> None:
    async with running_app(served.folder, invocations_model="churn") as (api, _, system):
        expected = await ask(api, "/v1/models/churn:predict", {"instances": [churn]})
        split = {"columns": list(churn), "data": [list(churn.values())]}
        for body in ({"dataframe_records": [churn]}, {"dataframe_split": split}, {"instances": [churn]}):
            response = await api.post("/invocations", json=body)
            assert (response.json(), response.headers["x-model-name"]) == (expected, "churn")
        text = ",".join(churn) + "\n" + ",".join("" if value is None else str(value) for value in churn.values())
        response = await api.post("/invocations", content=text, headers={"content-type": "text/csv"})
        assert response.json() == expected
        assert "no version '9'" in await refusal(api, "/invocations", ROWS, 404, **{"x-model-version": "9"})
        assert (await api.post("/invocations", content=b"", headers={"content-type": "text/html"})).status_code == 415
        for path in ("/ping", "/health"):
            assert (await api.get(path)).status_code == 200
        assert (await api.get("/version")).text == (await api.get("/v2")).json()["version"]
        system.registry.stopping = True
        assert (await api.get("/ping")).status_code == 503
        system.registry.stopping = False
    async with running_app(served.folder, invocations_model="nobody") as (api, _, _):
        assert "no model 'nobody'" in await refusal(api, "/invocations", ROWS, 404)


async def test_the_only_model_there_is_answers_and_a_key_sees_only_its_own(tmp_path: Path) -> None:
    put(tmp_path / "models", "m", "1", dump(constant(1.0)))
    async with running_app(tmp_path / "models") as (api, _, _):
        assert await ask(api, "/invocations", {"instances": [[0, 0]]}) == {"predictions": [1.0]}
    put(tmp_path / "models", "n", "1", dump(constant(2.0)))
    keys = tmp_path / "keys.yaml"
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of abc
    keys.write_text(f"keys: {{a: {{sha256: {digest}, models: [n]}}}}", encoding="utf-8")
    body = {"instances": [[0, 0]]}
    key = {"x-api-key": "abc"}
    async with running_app(tmp_path / "models", api_keys=keys) as (api, _, _):
        assert await ask(api, "/invocations", body, **key) == {"predictions": [2.0]}
        await refusal(api, "/invocations", body, 401)
        assert (await api.get("/ping")).status_code == 200
        assert (await api.get("/version")).status_code == 401
    async with running_app(tmp_path / "models", api_keys=keys, invocations_model="m") as (api, _, _):
        assert "may not use model 'm'" in await refusal(api, "/invocations", body, 403, **key)


# what HTTP is used to


async def test_options_says_what_may_be_asked(api: Client) -> None:
    for path, allowed in (
        ("/v2", "GET, HEAD, OPTIONS"),
        ("/v1/models/iris:predict", "OPTIONS, POST"),
        ("/v2/models/iris/infer", "OPTIONS, POST"),
        ("/invocations", "OPTIONS, POST"),
    ):
        response = await api.options(path)
        assert (response.status_code, response.headers["allow"], response.content) == (204, allowed, b"")
        refused = await api.delete(path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert (await api.options("/nowhere")).status_code == 404
    head = await api.head("/v1/models/iris")
    assert (head.status_code, (await api.head("/nowhere")).status_code) == (200, 404)


async def test_pages_of_origins_that_are_set_may_ask_and_read_what_is_answered(api: Client) -> None:
    path, page = "/v1/models/iris:predict", {"origin": "http://localhost:3000"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = await api.options(path, headers=page | asked)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == page["origin"]
    assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for body, code in ((ROWS, 200), ({}, 400)):
        response = await api.post(path, json=body, headers=page)
        assert response.status_code == code
        assert response.headers["access-control-allow-origin"] == page["origin"]
        assert "x-model-version" in response.headers["access-control-expose-headers"]
        assert response.headers["vary"] == "origin"
    for headers in ({}, {"origin": "https://evil.example"}, {"origin": "https://shop.example.evil"}):
        response = await api.post(path, json=ROWS, headers=headers)
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["vary"] == "origin"
        assert "access-control-allow-methods" not in (await api.options(path, headers=headers | asked)).headers


async def test_any_origin_and_none_and_a_preflight_needs_no_key(tmp_path: Path) -> None:
    put(tmp_path / "models", "m", "1", dump(constant(1.0)))
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"keys: {{a: {{sha256: {'f' * 64}}}}}", encoding="utf-8")
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    async with running_app(tmp_path / "models", cors_origins="*", api_keys=keys) as (api, _, _):
        preflight = await api.options("/v1/models/m:predict", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")
        assert "access-control-allow-headers" not in preflight.headers
        refused = await api.post("/v1/models/m:predict", json={}, headers=asked)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    async with running_app(tmp_path / "models") as (api, _, _):
        answered = await api.post("/v1/models/m:predict", json={"instances": [[0, 0]]}, headers=asked)
        assert answered.status_code == 200
        assert "access-control-allow-origin" not in answered.headers
        assert "vary" not in answered.headers


@pytest.mark.parametrize("origin", ["https://shop.example/", "shop.example", "https://Shop.example", "https://a b"])
async def test_what_is_no_origin_is_refused_at_start(origin: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is no origin as browsers send it"):
        await asyncio.to_thread(lambda: Settings(models=tmp_path, cors_origins=origin))


async def test_json_is_json_whatever_its_type_says_and_the_rest_says_what_is_taken(api: Client) -> None:
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": IRIS}
    bodies = {"/v1/models/iris:predict": ROWS, "/v2/models/iris/infer": {"inputs": [tensor]}}
    for path, body in bodies.items():
        sent = json.dumps(body, indent=1).encode()
        for media in (
            "application/octet-stream",
            "application/x-www-form-urlencoded",
            "text/plain;charset=UTF-8",
            "a/b",
        ):
            response = await api.post(path, content=b"\n " + sent, headers={"content-type": media})
            assert response.status_code == 200, (media, response.text)
        for media, content in (
            ("text/csv", b"a,b\n1,2\n"),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\n{}\r\n--x--\r\n"),
        ):
            response = await api.post(path, content=content, headers={"content-type": media})
            assert response.status_code == 415
            assert media.partition(";")[0] in response.json()["error"]
            assert "send JSON, with content-type: application/json" in response.json()["error"]
        response = await api.post(path, content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})
        assert response.status_code == 400
        assert "not JSON" in response.json()["error"]
