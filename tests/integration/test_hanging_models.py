"""Predictions that do not return, in a real server: they cost their version, and neither others nor the server."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.foreign_models import ExitingRegressor, StuckRegressor
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tools.patience import stretched

pytestmark = pytest.mark.usefixtures("servers_not_covered")

HANG, QUICK = [[666.0, 0.0]], [[8.0, 0.0]]


def put_stuck(folder: Path, model: str, version: str, within: str, seconds: float = 0.002) -> Path:
    """Publish a version that gets stuck; returns the file that tells when it is."""
    announcement = folder.parent / f"{model}-{version}-is-stuck"
    put(folder, model, version, dump(StuckRegressor(announcement, within, seconds).fit([[0.0, 0.0]], [0.0])))
    return announcement


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory, servers_not_covered: None) -> Iterator[LiveServer]:
    """Two threads, as many models that hang and are given 200 ms, and a third."""
    folder = tmp_path_factory.mktemp("hanging") / "models"
    hang_on_threads = {"lock": "a lock", "loop": "a loop"}
    for model, within in hang_on_threads.items():
        put(folder, model, "1", dump(constant(1.0)))
        put_stuck(folder, model, "2", within)
    put(folder, "third", "1", dump(ExitingRegressor(0.002).fit([[0.0, 0.0]], [0.0])))
    models = {
        path.name: {
            "versions": {one.name: {"artifact": f"{path.name}/{one.name}/model.joblib"} for one in path.iterdir()},
            "timeout_ms": 200 if path.name in hang_on_threads else 20_000,
        }
        for path in folder.iterdir()
    }
    (folder / "models.yaml").write_text(json.dumps({"models": models}))
    with live_server(folder, threads=2, compile="off") as server:
        yield server


def test_models_that_hang_on_all_threads_starve_no_other_and_their_versions_fail(hanging: LiveServer) -> None:
    def hang(model: str) -> list[int]:
        codes = []
        while hanging.status(model, "2")[0] == "READY":
            codes.append(hanging.predict(model, HANG, "2").status_code)
        return codes

    with ThreadPoolExecutor(2) as clients:
        hangs = [clients.submit(hang, model) for model in ("lock", "loop")]
        answers = []
        while not all(hang.done() for hang in hangs):
            answers.append(hanging.predict("third", QUICK).status_code)
            assert hanging.ready()
    assert set(answers) == {200}
    for model, codes in zip(("lock", "loop"), hangs, strict=True):
        assert set(codes.result()) <= {504, 503}
        state, reason = hanging.status(model, "2")
        assert (state, reason.partition(":")[0]) == ("UNAVAILABLE", "predict does not return")
        assert "predict (foreign_models.py:" in reason
        assert hanging.predict(model, QUICK).json() == {"predictions": [1.0]}  # of the version before
        refused = hanging.predict(model, QUICK, "2")
        assert refused.status_code == 503
        assert "predict does not return" in refused.json()["error"]
        assert hanging.metric("model_manager_predictions_given_up_total", model_name=model, model_version="2") == 3
        told = hanging.logged(f"{model}/2: predict does not return")
        assert [(record["model_name"], record["model_version"]) for record in told] == [(model, "2")] * 3
    # a loop of Python is ended in its thread, a wait is not
    wait_until(lambda: hanging.metric("model_manager_threads_given_up") == 3, "the loops to end")


def test_a_version_that_hung_is_tried_again_with_other_bytes(tmp_path: Path) -> None:
    put_stuck(tmp_path / "models", "m", "1", "a loop")
    with live_server(tmp_path / "models", timeout_ms=100, compile="off") as server:
        while server.status("m", "1")[0] == "READY":
            server.predict("m", HANG)
        assert "has no version ready: version '1' is failed: predict does not" in server.predict("m", QUICK).text
        assert server.ready()
        (tmp_path / "models" / "m" / "1" / "model.joblib").write_bytes(dump(constant(5.0)))
        (tmp_path / "models" / "m" / "1" / "new").touch()  # which is seen at once
        wait_until(lambda: server.predict("m", QUICK).status_code == 200, "other bytes to be loaded")
        assert server.predict("m", QUICK).json() == {"predictions": [5.0]}


@pytest.mark.parametrize("workers", [1, 4])
def test_a_prediction_that_holds_the_loop_is_ended_and_a_signal_to_stop_is_heard_meanwhile(
    tmp_path: Path, workers: int
) -> None:
    announcement = put_stuck(tmp_path / "models", "stuck", "1", "a loop", seconds=0.0)
    with (
        live_server(tmp_path / "models", workers=workers, compile="off", drain_timeout_s=5) as server,
        ThreadPoolExecutor(1) as client,
    ):
        asking = client.submit(server.predict, "stuck", HANG)
        wait_until(announcement.exists, "the loop to be held")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(stretched(30)) == 0
        # a busy machine may have found this model too dear for the loop: then its request was given up on a thread
        assert asking.result().status_code in {500, 504}
    assert len(server.logged("stopped")) == workers
