"""What anybody who can ask a server sees of a package: no rare category, and no credentials."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_manager import write_package
from model_manager.packaging.package import describe_data, public_of
from model_manager.repository.metadata import DataInfo
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live import live_server
from tests.models import dump, put

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
