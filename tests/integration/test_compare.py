"""`model-manager compare` with versions of a running server: the same answers as from their packages, over V2."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from model_manager.cli import cli
from model_manager.packaging.package import write_package
from model_manager.serving.keys import digest_of
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live import LiveServer, live_server

ROWS = 1_200
"""More than one request carries."""
KEY = "a-key-of-forty-characters-0123456789abcdef"


def _table() -> pd.DataFrame:
    random = np.random.default_rng(9)
    size, weight = random.normal(0, 1, (2, ROWS))
    count = np.where(random.random(ROWS) < 0.1, np.nan, random.integers(0, 5, ROWS))
    city = random.choice(["Köln", "01234"], ROWS)
    y = size + (city == "Köln") > 0.5
    return pd.DataFrame({"size": size, "weight": weight, "count": count, "city": city, "bought": y})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository, the table that its models learned from, and a key of its server."""
    place = tmp_path_factory.mktemp("compared")
    table = _table()
    table.to_csv(place / "table.csv", index=False)
    repository, y = place / "repository", table["bought"]
    numbers, mixed = table[["size", "weight"]], table[["size", "count", "city"]]
    encode = make_column_transformer((OneHotEncoder(), ["city"]), (SimpleImputer(), ["size", "count"]))
    pipeline = make_pipeline(encode, LogisticRegression()).fit(mixed, y)
    write_package(pipeline, name="bought", version="1", repository=repository, sample=mixed)
    write_package(LogisticRegression().fit(numbers, y), name="bought", version="2", repository=repository)
    write_package(LinearRegression().fit(numbers, table["size"] * 3), name="cost", version="1", repository=repository)
    forest = IsolationForest(n_estimators=5, random_state=0).fit(numbers)
    write_package(forest, name="odd", version="1", repository=repository)
    keys = {"keys": {"tests": {"sha256": digest_of(KEY.encode()).hex()}}}
    (place / "keys.yaml").write_text(json.dumps(keys), encoding="utf-8")
    (place / "key.txt").write_text(f"{KEY}\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    """A server of these models that asks for a key."""
    with live_server(folder / "repository", api_keys=folder / "keys.yaml") as running:
        yield running


def _compare(folder: Path, a: str, b: str, *more: str) -> Result:
    data = ["--data", str(folder / "table.csv"), "--target", "bought"]
    return CliRunner().invoke(cli, ["compare", a, b, *data, "--api-key-file", str(folder / "key.txt"), *more])


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_served_version_answers_as_its_package(server: LiveServer, folder: Path, version: str) -> None:
    served = f"{server.server.api}/bought/{version}"
    result = _compare(folder, served, str(folder / "repository" / "bought" / version), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert document["agreement"]["agree"] == document["data"]["compared"] == ROWS
    assert document["metrics"]["log_loss"]["difference"] == pytest.approx(0, abs=1e-6)
    assert (document["a"]["artifact_bytes"], document["a"]["classes"]) == (None, [False, True])


def test_two_served_versions_are_compared(server: LiveServer, folder: Path) -> None:
    result = _compare(
        folder, f"{server.server.api}/bought/1", f"{server.server.api}/bought/2", "--max-slowdown", "1000"
    )
    assert result.exit_code == 1, result.output
    assert f"A: bought/1, {server.server.api}/bought/1" in result.stdout
    assert "latency of all rows" in result.stdout


def test_quantities_and_anomalies_are_told_apart_by_what_a_server_says(server: LiveServer, folder: Path) -> None:
    for model, task in (("cost", "regression"), ("odd", "anomaly")):
        served = f"{server.server.api}/{model}/1"
        target = "size" if task == "regression" else "bought"
        table = pd.read_csv(folder / "table.csv").rename(columns={"bought": "truth"})
        table["truth"] = table[target if target in table else "truth"]
        table.to_csv(folder / f"{model}.csv", index=False)
        arguments = [
            "compare",
            served,
            str(folder / "repository" / model / "1"),
            "--data",
            str(folder / f"{model}.csv"),
        ]
        result = CliRunner().invoke(
            cli, [*arguments, "--target", "truth", "--api-key-file", str(folder / "key.txt"), "--json"]
        )
        document = json.loads(result.stdout)
        assert (document["task"], document["agreement"]["differ"]) == (task, 0)


def test_latency_is_not_judged_between_a_server_and_a_package(server: LiveServer, folder: Path) -> None:
    served, package = f"{server.server.api}/bought/2", str(folder / "repository" / "bought" / "2")
    result = _compare(folder, served, package, "--max-slowdown", "1000")
    assert result.exit_code == 3
    assert "one side is asked over the network and the other is not" in " ".join(
        result.stdout.replace("│", " ").split()
    )


def test_what_a_server_refuses_is_shown(server: LiveServer, folder: Path) -> None:
    package = str(folder / "repository" / "bought" / "2")
    unknown = _compare(folder, package, f"{server.server.api}/bought/7")
    assert unknown.exit_code == 2
    assert "/bought/7 answers 404: model 'bought' has no version '7'" in unknown.stderr
    (folder / "wrong.txt").write_text("wrong", encoding="utf-8")
    served = f"{server.server.api}/bought/2"
    locked = CliRunner().invoke(cli, ["compare", package, served, "--data", str(folder / "table.csv")])
    assert locked.exit_code == 2
    assert f"{served} answers 401: an API key is needed" in locked.stderr


def test_rows_that_a_server_does_not_answer_are_named(server: LiveServer, folder: Path) -> None:
    table = _table()
    table.loc[1_100, "city"] = "Atlantis"
    table.to_csv(folder / "unknown.csv", index=False)
    served = f"{server.server.api}/bought/1"
    key = ["--api-key-file", str(folder / "key.txt")]
    result = CliRunner().invoke(cli, ["compare", served, served, "--data", str(folder / "unknown.csv"), *key])
    assert result.exit_code == 2, result.output
    assert f"{served} answers 500: predict raised ValueError" in result.stderr
    assert "(from line 1002 to line 1201)" in result.stderr
