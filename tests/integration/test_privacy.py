"""What a server tells to whom: of packages no rare category and no credentials, of requests nothing they held."""

import re
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from model_manager import write_package
from model_manager.packaging.package import describe_data, public_of
from model_manager.repository.metadata import DataInfo
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.leaky_model import LeakyRegressor
from tests.live import live_server, wait_until
from tests.models import dump, put
from tests.raising_model import RaisingRegressor
from tools.otlp_receiver import OtlpReceiver

NAMES = [f"Person {number}" for number in range(20)]
TABLE = pd.DataFrame({"city": ["Rome", "Oslo"] * 10, "customer": NAMES})
LABELS = [0, 1] * 10
SIGNED = "https://anna:hunter2@data.example.com/t.csv?X-Amz-Signature=c0ffee&versionId=3"


def classifier() -> Any:
    encode = ColumnTransformer([("all", OneHotEncoder(handle_unknown="ignore"), ["city", "customer"])])
    return make_pipeline(encode, LogisticRegression()).fit(TABLE, LABELS)


def write(folder: Path, version: str = "1", **more: Any) -> Path:
    return write_package(classifier(), name="m", version=version, repository=folder, sample=TABLE, **more)


def test_rare_categories_and_credentials_are_not_public(tmp_path: Path) -> None:
    said = describe_data(TABLE, uri=SIGNED)
    folder = write(tmp_path, data=said)
    assert public_of(folder)[1:] == [
        "public: of city: Oslo, Rome",
        "public: the training data's digest and https://data.example.com/t.csv?versionId=3&…",
    ]
    # Written by hand, or by an older version.
    text = (folder / "metadata.json").read_text()
    assert not re.search("hunter2|c0ffee", text)
    changed = text.replace("https://data.example.com/t.csv?versionId=3&…", SIGNED)
    assert changed != text
    (folder / "metadata.json").write_text(changed)
    put(tmp_path, "bare", "1", dump(classifier()))
    with live_server(tmp_path) as server:
        packed, bare = server.api.get("/v2/models/m"), server.api.get("/v2/models/bare")
        answer = server.predict("m", [{"city": "Rome", "customer": "Person 3"}])
        shown = packed.text + bare.text + server.api.post("/v2/repository/index").text
    city, customer = (column["parameters"] for column in packed.json()["inputs"])
    assert city["categories"] == ["Oslo", "Rome"]
    assert customer["categories_not_shown"] == 20
    assert [column["parameters"]["categories_not_shown"] for column in bare.json()["inputs"]] == [2, 20]
    assert packed.json()["properties"]["data_uri"] == "https://data.example.com/t.csv?versionId=3&…"
    assert not re.search("Person|hunter2|c0ffee", shown)
    assert answer.json() == {"predictions": [int(classifier().predict(TABLE[3:4].assign(city="Rome"))[0])]}


@pytest.mark.parametrize(("chosen", "shown"), [({}, None), ({"customer": ["Person 1"]}, ["Person 1"])])
def test_the_author_decides_which_categories_are_shown(tmp_path: Path, chosen: Any, shown: Any) -> None:
    data = DataInfo(uri=SIGNED, sha256="0" * 64, rows=20, columns=2)
    folder = write(tmp_path, show_categories=chosen, data=data)
    assert "hunter2" not in (folder / "metadata.json").read_text()
    with live_server(tmp_path) as server:
        city, customer = (column["parameters"] for column in server.api.get("/v2/models/m").json()["inputs"])
    assert "categories" not in city
    assert customer.get("categories") == shown


SECRET = 90210.5625
PLANTED = re.compile(rf"{SECRET}|hunter2|c0ffee|{re.escape(str(Path(__file__).parent.parent))}|Traceback")
"""What was planted in rows, headers and URIs; and what tells of the machine: the paths of its files, tracebacks."""


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_that_was_planted_is_told_by_any_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    put(tmp_path, "leaky", "1", dump(LeakyRegressor().fit([[0.0, 0.0]], [0.0])))
    headers = {"x-note": "hunter2", "cookie": "session=hunter2", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
        with live_server(tmp_path, log_requests=1, log_level="debug", workers=workers) as server:
            server.api.headers = httpx.Headers(headers)
            warned = server.predict("leaky", [[SECRET, 0.0]])
            failed = server.predict("leaky", [[-SECRET, 0.0]])
            v2 = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [-SECRET, 0.0]}
            over_v2 = server.api.post("/v2/models/leaky/infer?token=c0ffee", json={"inputs": [v2]})
            wrong = server.predict("leaky", [[SECRET, "hunter2", 1]])
            pages = [server.api.get(path) for path in ("/", "/v2/models/leaky", "/v1/models/leaky", "/v2/models")]
            pages.append(server.api.post("/v2/repository/index"))
            scraped = server.admin.get("/metrics").text
            debug = [server.admin.get(f"/debug/{topic}").text for topic in ("tasks", "queues", "batches")]
        spans = receiver.spans()
    assert (warned.status_code, failed.status_code, over_v2.status_code, wrong.status_code) == (200, 500, 500, 400)
    id = failed.headers["x-request-id"]
    assert failed.json() == {"error": f"predict raised ValueError (request id {id})"}
    (record,) = [one for one in server.log if one.get("request_id") == id and one["level"] == "ERROR"]
    assert record["message"] == "predict raised ValueError"
    assert re.search(r"tests\.leaky_model:\d+ in predict\nKeyError\nwhich led to\n", record["exc_info"])
    assert record["exc_info"].endswith("in predict\nValueError")
    assert [one["message"].split()[0] for one in server.log if one["logger"] == "py.warnings"] == ["UserWarning"]
    assert {"ERROR"} <= {span["status"] for span in spans}
    said = [one for one in [*server.log, *server.plain] if PLANTED.search(str(one))]
    assert said == []
    for output in (failed.text, over_v2.text, scraped, *debug, *map(str, spans), *(page.text for page in pages)):
        assert not PLANTED.search(output)


def test_the_texts_of_errors_are_logged_where_the_operator_asks_for_them(tmp_path: Path) -> None:
    put(tmp_path, "leaky", "1", dump(LeakyRegressor().fit([[0.0, 0.0]], [0.0])))
    with live_server(tmp_path, log_model_errors="full") as server:
        failed = server.predict("leaky", [[-SECRET, 0.0]])
        server.predict("leaky", [[SECRET, 0.0]])
    id = failed.headers["x-request-id"]
    assert failed.json() == {"error": f"predict raised ValueError (request id {id})"}
    (record,) = [one for one in server.log if one.get("request_id") == id]
    assert f"cannot read [[-{SECRET}, 0.0]]" in record["exc_info"]
    assert "Traceback (most recent call last)" in record["exc_info"]
    assert [f"unusual: [[{SECRET}, 0.0]]" in one["message"] for one in server.log if one["logger"] == "py.warnings"]


def test_why_a_version_is_not_loaded_tells_no_credentials(tmp_path: Path) -> None:
    said = "cannot connect to postgres://anna:hunter2@db/rows?sslmode=on&password=c0ffee " + "x" * 10_000
    for place in ("unpickling", "width"):
        put(tmp_path, place, "1", dump(RaisingRegressor(place, OSError(said))))
    with live_server(tmp_path, wait=False) as server:
        wait_until(lambda: server.status("unpickling", "1")[0] == "UNAVAILABLE", "it to be refused")
        wait_until(lambda: server.status("width", "1")[0] == "UNAVAILABLE", "it to be refused")
        reasons = [server.status(place, "1")[1] for place in ("unpickling", "width")]
        pages = [server.api.get(f"/v1/models/{place}").text for place in ("unpickling", "width")]
        pages.append(server.api.get("/v2/health/ready").text)
    assert ["postgres://db/rows" in reason for reason in reasons] == [True, True]
    assert max(map(len, reasons)) < 2_500
    for told in (*reasons, *pages, str(server.log), *server.plain):
        assert not re.search("hunter2|c0ffee", told)
