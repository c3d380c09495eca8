"""Drift as a real server tells it: of one process, of several, and of a version whose package has no baseline."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from model_manager import write_package
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.live import LiveServer, live_server
from tools.patience import wait_until

WINE = load_wine(as_frame=True)
ROWS = 400
MOVED = "malic_acid"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with a baseline of a thousand rows, and a bare artifact without."""
    folder = tmp_path_factory.mktemp("models")
    data = WINE.data.sample(1000, replace=True, random_state=0)
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(data, WINE.target[data.index])
    write_package(estimator, name="wine", version="1", repository=folder, sample=data)
    (folder / "bare" / "1").mkdir(parents=True)
    joblib.dump(estimator, folder / "bare" / "1" / "model.joblib")
    return folder


@pytest.fixture(scope="module", params=[1, 2])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[LiveServer]:
    with live_server(folder, workers=request.param, compile="off", drift_rows_per_s=200) as server:
        yield server


def rows(number: int, moved: str | None = None) -> list[Any]:
    data = WINE.data.sample(number, replace=True, random_state=number)
    if moved is not None:
        data[moved] += 2 * data[moved].std()
    return [dict(row) for row in data.to_dict("records")]


def told(server: LiveServer, model: str) -> dict[str, Any]:
    answer = server.admin.get(f"/v2/models/{model}/drift")
    assert answer.status_code == 200, answer.text
    (version,) = answer.json()["versions"]
    return dict(version)


def ask_until(server: LiveServer, model: str, counted: int, moved: str | None = None) -> dict[str, Any]:
    """Predict until so many rows were counted: not all are, and which worker answers is the system's choice."""
    for number in range(50, 50 + 400):
        sent = server.api.post(
            f"/v1/models/{model}:predict",
            json={"instances": rows(number, moved), "outputs": ["predict"]},
            headers={"connection": "close"},
        )
        assert sent.status_code == 200, sent.text
        found = told(server, model)
        if max(found["window_rows"], found["learned_rows"]) >= counted:
            return found
    raise AssertionError(f"{counted} rows are not counted: {told(server, model)}")


def test_a_shifted_feature_is_told_in_json_and_in_metrics(server: LiveServer) -> None:
    found = ask_until(server, "wine", ROWS, MOVED)
    assert found["baseline"] == "package"
    assert MOVED in found["drifted"]
    first = found["columns"][0]
    assert first["column"] == MOVED
    assert first["rows"] == sum(first["window"]) == found["window_rows"]
    assert len(first["bins"]) == len(first["baseline"]) == len(first["window"])
    labels = {"model_name": "wine", "model_version": "1"}
    wait_until(
        lambda: server.metric("model_manager_drift_window_rows", **labels, baseline="package") == found["window_rows"],
        "a scrape that tells of all rows",
    )
    assert server.metric("model_manager_drift_psi", **labels, column=MOVED) == pytest.approx(first["psi"], abs=1e-3)
    assert server.metric("model_manager_drifted_columns", **labels) == len(found["drifted"])


def test_answers_are_counted_beside_features(server: LiveServer) -> None:
    ask_until(server, "wine", ROWS)
    outputs = [one for one in told(server, "wine")["columns"] if one["kind"] == "output"]
    assert {one["column"] for one in outputs} >= {"predict"}
    assert sum(next(one for one in outputs if one["column"] == "predict")["window"]) >= ROWS


def test_a_version_without_a_baseline_says_that_it_learns_one(server: LiveServer) -> None:
    found = ask_until(server, "bare", 100)
    assert found["baseline"] == "learning"
    assert found["columns"] == []


def test_one_version_can_be_asked_for_and_an_unknown_one_is_a_404(server: LiveServer) -> None:
    assert server.admin.get("/v2/models/wine/versions/1/drift").json()["versions"][0]["model_version"] == "1"
    answer = server.admin.get("/v2/models/wine/versions/7/drift")
    assert (answer.status_code, "wine/7" in answer.json()["error"]) == (404, True)
    assert server.api.get("/v2/models/wine/drift").status_code == 404


def test_where_it_is_off_nothing_is_counted(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "wine", tmp_path / "models" / "wine")
    with live_server(tmp_path / "models", compile="off", drift_rows_per_s=0) as server:
        server.predict("wine", rows(50))
        assert "--drift-rows-per-s" in server.admin.get("/v2/models/wine/drift").json()["error"]
        assert "model_manager_drift" not in server.admin.get("/metrics").text
