"""`/openapi.json` says what there is and what it takes, and `/docs` needs nothing that this server does not have."""

import asyncio
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from model_manager import app as app_module
from model_manager import pack
from model_manager.api import openapi
from sklearn.linear_model import LinearRegression

from tests.integration.conftest import Client, running_app
from tests.models import constant, dump, put

_SOURCE = Path(app_module.__file__).read_text(encoding="utf-8").partition("def create_admin_app")[0]
ROUTES = {
    re.sub(r":name\}", "}", path.replace("{one}", one).replace("{verb}", verb))
    for path in re.findall(r'Route\(f?"([^"]+)"', _SOURCE.replace("{{", "{").replace("}}", "}"))
    for one in ("", "/versions/{version}", "/labels/{label}")
    for verb in ("predict", "classify", "regress")
}
"""Every path in the list of the API's routes."""
SECRET = 123456.789
"""A value of one row of the training data, which nobody shall see."""


def operation(document: dict[str, Any], path: str) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The schema of a request, an example of it, and the schema of an answer."""
    post = document["paths"][path]["post"]
    asked = post["requestBody"]["content"]["application/json"]
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]
    return asked["schema"], asked.get("example"), {**answer, "components": document["components"]}


async def described(api: Client) -> dict[str, Any]:
    answer = await api.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_every_route_is_described_and_nothing_else(api: Client) -> None:
    document = await described(api)
    assert document["openapi"] == "3.1.0"
    models = (await api.get("/v2/models")).json()["models"]
    of_models = {f"/v1/models/{name}:predict" for name in models} | {f"/v2/models/{name}/infer" for name in models}
    assert of_models <= {*document["paths"]}
    assert {*document["paths"]} - of_models == ROUTES
    for path, said in document["paths"].items():
        asked = path.format(model="iris", version="2", label="champion", asset="start.js")
        codes = {200, 400, 404} if "{label}" in path else {200, 400}
        for method, told in said.items():
            assert told["summary"]
            answer = await api.request(method, asked, content=b"{}" if method == "post" else None)
            assert answer.status_code in codes, f"{method} {asked}: {answer.text}"


async def test_examples_fit_their_schemas_and_are_answered_as_described(api: Client) -> None:
    document = await described(api)
    models = (await api.get("/v2/models")).json()["models"]
    for path in [path for model in models for path in (f"/v1/models/{model}:predict", f"/v2/models/{model}/infer")]:
        asked, example, answered = operation(document, path)
        for schema in (asked, answered):
            Draft202012Validator.check_schema(schema)
        Draft202012Validator({**asked, "components": document["components"]}).validate(example)
        answer = await api.post(path, json=example)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        Draft202012Validator(answered).validate(answer.json())


async def test_schemas_take_what_decoders_take(api: Client, churn: dict[str, Any]) -> None:
    document = await described(api)
    path = "/v1/models/churn:predict"
    schema, _, _ = operation(document, path)
    validator = Draft202012Validator(schema)
    columns = validator.schema["properties"]["instances"]["items"]["anyOf"][1]["properties"]
    assert [*columns] == [*churn]
    for instances in ([churn], [[*churn.values()]], [{**churn, "age": "old"}], [{**churn, "more": 1}], [churn["age"]]):
        answer = await api.post(path, json={"instances": instances})
        assert validator.is_valid({"instances": instances}) == (answer.status_code == 200), instances


async def test_columns_may_be_called_as_the_words_of_schemas(tmp_path: Path) -> None:
    names = ["title", "default", "$ref", "properties", "anyOf"]
    X = pd.DataFrame(np.eye(5), columns=names)
    await asyncio.to_thread(pack, LinearRegression().fit(X, X["title"]), name="odd", version="1", out=tmp_path, data=X)
    async with running_app(tmp_path) as (api, _, _):
        schema, example, _ = operation(await described(api), "/v1/models/odd:predict")
        (by_name,) = (one for one in schema["properties"]["instances"]["items"]["anyOf"] if one["type"] == "object")
        assert [*by_name["properties"]] == names
        assert [*example["instances"][0]] == names


def write_secret(folder: Path) -> None:
    """Write a package of whose golden rows one holds the secret."""
    X = pd.DataFrame({"income": [*np.random.default_rng(0).normal(100, 1, 30), SECRET]})
    pack(LinearRegression().fit(X, range(31)), name="m", version="1", out=folder, data=X)
    path = folder / "m" / "1" / "metadata.json"
    metadata = json.loads(path.read_text("utf-8"))
    metadata["golden"] = {"instances": [[99.0], [SECRET], [101.0]], "outputs": {}}
    path.write_text(json.dumps(metadata), encoding="utf-8")


async def test_no_row_of_the_training_data_is_shown(tmp_path: Path) -> None:
    await asyncio.to_thread(write_secret, tmp_path)
    async with running_app(tmp_path) as (api, _, _):
        _, example, _ = operation(await described(api), "/v1/models/m:predict")
    assert example == {"instances": [{"income": 101.0}]}


async def test_many_and_wide_models_stay_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = pd.DataFrame(np.zeros((3, 3000)), columns=[f"column number {at}" for at in range(3000)])
    wide = LinearRegression().fit(X, [0, 0, 0])

    def publish() -> None:
        put(tmp_path, "wide", "1", dump(wide))
        for name in ("a", "b"):
            put(tmp_path, name, "1", dump(constant(1.0)))

    await asyncio.to_thread(publish)
    async with running_app(tmp_path) as (api, _, _):
        whole = await described(api)
        assert len(json.dumps(operation(whole, "/v1/models/wide:predict")[0])) < 2_000
        of_a = [whole["paths"][path] for path in ("/v1/models/a:predict", "/v2/models/a/infer")]
        monkeypatch.setattr(openapi, "_MOST_BYTES", int(1.5 * len(json.dumps(of_a))))
        bounded = await described(api)
    assert "/v1/models/a:predict" in bounded["paths"]
    assert "/v1/models/b:predict" not in bounded["paths"]
    assert "/v1/models/{model}:predict" in bounded["paths"]


class Page(HTMLParser):
    """Gathers what a page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]
        assert tag != "style"
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), "its policy forbids that"


async def test_the_page_is_made_of_files_of_this_server(api: Client) -> None:
    page = await api.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    fetched = Page(page.text).fetched
    assert len(fetched) == 4
    for name in fetched:
        for accepted in ("gzip", "identity"):
            async with api.stream("GET", f"/{name}", headers={"accept-encoding": accepted}) as answer:
                content = b"".join([part async for part in answer.aiter_raw()])
            assert answer.status_code == 200
            packed = answer.headers.get("content-encoding") == "gzip"
            assert packed == (accepted == "gzip" and name.endswith(("bundle.js", ".css")))
            assert len(gzip.decompress(content) if packed else content) > 100
    assert (await api.get("/docs/")).headers["location"] == "../docs"
    missing = await api.get("/docs/app.py")
    assert (missing.status_code, [*missing.json()]) == (404, ["error"])
