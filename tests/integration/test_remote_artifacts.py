"""A server whose artifacts are elsewhere: it fetches, keeps and serves them, whatever becomes of the store."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from model_manager.cli import cli

from tests.artifact_server import ArtifactServer, Request, artifact_server
from tests.live import LiveServer, live_server, wait_until

ROW = [[5.1, 3.5, 1.4, 0.2]]


@pytest.fixture
def store(samples: Path) -> Iterator[ArtifactServer]:
    """A store to which two versions of iris were published."""
    with artifact_server() as server:
        for version in ("1", "2"):
            found = CliRunner().invoke(cli, ["publish", str(samples / "iris" / version), f"{server.url}/models"])
            assert found.exit_code == 0, found.output
        server.asked.clear()
        yield server


def want(folder: Path, store: ArtifactServer, versions: list[str], *, login: str = "") -> None:
    """Write a manifest that wants these versions of iris from the store."""
    folder.mkdir(exist_ok=True)
    entries = {}
    for version in versions:
        digest = hashlib.sha256(store.files[f"/models/iris/{version}/model.joblib"]).hexdigest()
        url = f"{store.url}/models/iris/{version}/model.joblib".replace("//", f"//{login}", 1)
        entries[version] = {"artifact": url, "sha256": digest}
    written = folder / ".new"
    written.write_text(json.dumps({"models": {"iris": {"versions": entries}}}))
    written.replace(folder / "models.yaml")


def settings(tmp_path: Path, store: ArtifactServer) -> dict[str, Any]:
    return {"artifact_stores": store.url, "cache": tmp_path / "cache", "poll_interval_s": 0.1, "fetch_timeout_s": 5}


def serving(server: LiveServer) -> str:
    """The version that answers."""
    answer = server.predict("iris", ROW)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-model-version"]


def away(request: Request) -> bool:
    """A store that ends every connection."""
    return True


def test_a_store_that_is_away_takes_nothing_down(tmp_path: Path, store: ArtifactServer) -> None:
    folder = tmp_path / "wanted"
    want(folder, store, ["1"], login="reader:hunter2@")
    with live_server(folder, **settings(tmp_path, store)) as server:
        assert serving(server) == "1"
        described = server.api.get("/v2/models/iris").json()
        assert [column["name"] for column in described["inputs"]] != []
        assert server.metric("model_manager_fetched_bytes_total") == len(store.files["/models/iris/1/model.joblib"])
        assert server.metric("model_manager_golden_rows", model_version="1") > 0  # from the metadata beside it
        assert server.metric("model_manager_cache_bytes") > 0
        store.fault = away
        want(folder, store, ["2"], login="reader:hunter2@")
        wait_until(lambda: server.metric("model_manager_fetch_failures_total", reason="unreachable"), "a fetch to fail")
        state, reason = server.status("iris", "2")
        assert state in ("UNAVAILABLE", "LOADING")
        assert serving(server) == "1"
        store.fault = lambda request: False
        wait_until(lambda: server.status("iris", "2")[0] == "READY", "the store to be asked again")
        wait_until(lambda: serving(server) == "2", "the new version to answer")
        assert "hunter2" not in json.dumps(server.log) + reason + server.admin.get("/metrics").text

    store.fault = away
    with live_server(folder, **settings(tmp_path, store)) as server:  # the next start, with the store still away
        assert serving(server) == "2"
        assert server.metric("model_manager_fetched_from_cache_total") == 1
        assert server.metric("model_manager_golden_rows", model_version="2") > 0


def test_workers_fetch_an_artifact_once_between_them(tmp_path: Path, store: ArtifactServer) -> None:
    folder = tmp_path / "wanted"
    want(folder, store, ["1"])
    with live_server(folder, workers=2, **settings(tmp_path, store)) as server:
        assert serving(server) == "1"
    asked = [path for _, path, _ in store.asked if path.endswith("model.joblib")]
    assert len(asked) == 1


def test_a_store_that_hangs_delays_no_other_model(tmp_path: Path, store: ArtifactServer, samples: Path) -> None:
    folder = tmp_path / "wanted"
    want(folder, store, ["1"])
    manifest = json.loads((folder / "models.yaml").read_text())
    manifest["models"]["diabetes"] = {"versions": {"1": {"artifact": "diabetes.joblib"}}}
    (folder / "diabetes.joblib").write_bytes((samples / "diabetes" / "1" / "model.joblib").read_bytes())
    (folder / "models.yaml").write_text(json.dumps(manifest))

    def hang(request: Request) -> bool:
        return store.released.wait()

    store.fault = hang
    with live_server(folder, wait=False, **(settings(tmp_path, store) | {"fetch_timeout_s": 3600})) as server:
        wait_until(lambda: server.status("diabetes", "1")[0] == "READY", "the model that is here")
        assert server.status("iris", "1")[0] == "LOADING"
