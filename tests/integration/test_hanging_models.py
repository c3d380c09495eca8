"""Predictions that do not return, in a real server: they cost their version, and neither others nor the server."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.foreign_models import ExitingRegressor, StuckRegressor
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tools.patience import stretched

HANG, QUICK = [[666.0, 0.0]], [[8.0, 0.0]]


def put_stuck(folder: Path, model: str, version: str, within: str, seconds: float = 0.002) -> Path:
    """Publish a version that gets stuck; returns the file that tells when it is."""
    announcement = folder.parent / f"{model}-{version}-is-stuck"
    put(folder, model, version, dump(StuckRegressor(announcement, within, seconds).fit([[0.0, 0.0]], [0.0])))
    return announcement


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Two threads, and models that hang on threads and on the loop."""
    folder = tmp_path_factory.mktemp("hanging") / "models"
    for model, within in (("lock", "a lock"), ("loop", "a loop")):
        put(folder, model, "1", dump(constant(1.0)))
        put_stuck(folder, model, "2", within)
    for within in ("a sleep", "a loop", "a lock", "an expression"):
        put_stuck(folder, f"inline-{within.split()[1]}", "1", within, seconds=0.0)
    put(folder, "third", "1", dump(ExitingRegressor(0.002).fit([[0.0, 0.0]], [0.0])))
    with live_server(folder, threads=2, timeout_ms=300) as server:
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


def test_a_version_that_hung_is_tried_again_with_other_bytes(hanging: LiveServer, tmp_path: Path) -> None:
    with live_server(tmp_path / "models", wait=False, timeout_ms=100, poll_interval_s=0.2) as server:
        put_stuck(tmp_path / "models", "m", "1", "a loop")
        wait_until(server.ready, "the server to be ready")
        while server.status("m", "1")[0] == "READY":
            server.predict("m", HANG)
        assert "has no version ready" in server.predict("m", QUICK).json()["error"]
        (tmp_path / "models" / "m" / "1" / "model.joblib").write_bytes(dump(constant(5.0)))
        wait_until(lambda: server.predict("m", QUICK).status_code == 200, "other bytes to be loaded")
        assert server.predict("m", QUICK).json() == {"predictions": [5.0]}


@pytest.mark.parametrize("within", ["sleep", "loop", "lock", "expression"])
def test_a_prediction_that_holds_the_loop_is_ended_and_moves_to_threads(hanging: LiveServer, within: str) -> None:
    model = f"inline-{within}"
    assert hanging.predict(model, QUICK).json() == {"predictions": [8.0]}
    if within != "sleep":  # time.sleep(0) may take longer than what runs on the loop
        assert _last_on(hanging, model) == "loop"
    failed = hanging.predict(model, HANG)
    assert failed.status_code == 500
    assert "far too long" in failed.json()["error"]
    assert hanging.predict(model, QUICK).json() == {"predictions": [8.0]}
    assert _last_on(hanging, model) == "thread"
    (told,) = hanging.logged(f"{model}/1: predict does not return")
    assert "on the event loop, at " in told["message"]
    assert "predict (foreign_models.py:" in told["message"]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_signal_to_stop_is_heard_while_a_prediction_holds_the_loop(tmp_path: Path, workers: int) -> None:
    announcement = put_stuck(tmp_path / "models", "stuck", "1", "a loop", seconds=0.0)
    with live_server(tmp_path / "models", workers=workers, drain_timeout_s=5) as server, ThreadPoolExecutor(1) as one:
        asking = one.submit(server.predict, "stuck", HANG)
        wait_until(announcement.exists, "the loop to be held")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(stretched(30)) == 0
        assert asking.result().status_code == 500
    assert len(server.logged("stopped")) == workers


def _last_on(server: LiveServer, model: str) -> str:
    """Where the last batch of a model was computed."""
    processes = server.admin.get("/debug/batches").json()["processes"]
    batches = [batch for process in processes for batch in process["batches"] if batch["model_name"] == model]
    return str(batches[0]["on"])
