"""Models that end the server: who did it is found out, is kept out, and everything else serves."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deadly_model import DEADLY, EXIT, KILL, SLOW, DeadlyRegressor, DeadlyToLoad
from tests.foreign_models import StuckRegressor
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put

ROW = [[0.0, 0.0]]
pytestmark = pytest.mark.timeout(300)  # several starts of a server each


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of m, the newer one deadly; a busy model; and one that only answers."""
    deadly = DeadlyRegressor(tmp_path / "deadly").fit(ROW, [0.0])
    busy = DeadlyRegressor(tmp_path / "busy").fit(ROW, [0.0])
    for model, version, estimator in (("m", "1", constant(1.0)), ("m", "2", deadly), ("busy", "1", busy)):
        put(tmp_path / "models", model, version, dump(estimator))
    put(tmp_path / "models", "other", "1", dump(constant(5.0)))
    return tmp_path


@contextmanager
def mortal(folder: Path, **settings: object) -> Iterator[LiveServer]:
    """A server that may die."""
    with LiveServer(folder, {name.replace("_", "-"): value for name, value in settings.items()}) as server:
        wait_until(server.ready, "the server to be ready")
        yield server


def test_the_version_that_ends_the_server_three_times_is_kept_out_and_its_busy_neighbour_is_not(folder: Path) -> None:
    state, announcement = folder / "state", folder / "busy"
    for way in DEADLY:
        with mortal(folder / "models", state=state) as server, ThreadPoolExecutor(2) as clients:
            assert server.status("m", "2") == ("READY", "")
            busy = clients.submit(server.predict, "busy", [[SLOW, 0.0]])
            wait_until(announcement.exists, "the busy model to compute")
            assert server.predict("m", [[3.0, 0.0]], version="1").json() == {"predictions": [1.0]}
            deadly = clients.submit(server.predict, "m", [[way, 0.0]])
            assert isinstance(deadly.exception(), httpx.TransportError)
            wait_until(lambda: server.process.poll() is not None, "the server to end")
            if way != DEADLY[0]:  # on probation: the deadly one had to wait until the busy one had answered
                assert busy.result().json() == {"predictions": [SLOW]}
            announcement.unlink()
    with live_server(folder / "models", state=state) as server:
        told, reason = server.status("m", "2")
        assert told == "UNAVAILABLE"
        assert reason.startswith("quarantined: ended the server 3 times, the last time at ")
        (file,) = (state / "quarantined").iterdir()
        assert f"remove {file}" in reason
        for model, answer in (("m", 1.0), ("other", 5.0), ("busy", 0.0)):
            assert server.predict(model, ROW).json() == {"predictions": [answer]}
        assert server.metric("model_manager_version_quarantined", model_name="m", model_version="2") == 1
        assert server.metric("model_manager_unclean_ends_total", how="unknown") == 3
        file.unlink()
        wait_until(lambda: server.status("m", "2")[0] == "READY", "it to be let in again")
        assert server.metric("model_manager_version_quarantined") == 0
    assert not list(state.glob("journal-*")), "a stop that was asked for leaves nobody under suspicion"
    assert json.loads((state / "deaths.json").read_text())["deaths"] == []


def test_workers_that_die_are_replaced_while_the_others_answer_until_the_version_is_kept_out(folder: Path) -> None:
    with live_server(folder / "models", workers=2, compile="off") as server:
        for deaths, way in enumerate((EXIT, KILL, EXIT), 1):
            with httpx.Client(base_url=server.api.base_url, timeout=60) as client, pytest.raises(httpx.TransportError):
                client.post("/v1/models/m:predict", json={"instances": [[way, 0.0]]})
            while len(server.logged("is started again")) < deaths or not _all_serve(server, processes=2 + deaths):
                assert _ask(server, "other") == 200
                assert server.ready()
        wait_until(lambda: server.logged("m/2 is quarantined"), "the third death to be understood")
        wait_until(lambda: server.logged("makes room"), "the other worker to make room")
        wait_until(lambda: len(server.logged("m/2 is failed: quarantined")) >= 2, "both to refuse it")
        wait_until(lambda: _ask(server, "m", KILL) == 200, "the version before it to answer")
        assert server.ready()
        assert server.metric("model_manager_unclean_ends_total", how="SIGKILL") == 1
        assert server.metric("model_manager_unclean_ends_total", how="exit code 0") == 2
        assert server.metric("model_manager_version_quarantined", model_name="m", model_version="2") == 1
        assert len(server.logged("while it ran m/2 (predicting)")) == 3


def _all_serve(server: LiveServer, *, processes: int) -> bool:
    """Whether that many processes have come as far with every version as they will."""
    return all(
        len(server.logged(f"{version} is ready: ")) + len(server.logged(f"{version} is failed: ")) >= processes
        for version in ("m/1", "m/2", "busy/1", "other/1")
    )


def _ask(server: LiveServer, model: str, value: float = 0.0) -> int:
    """The answer's code, on a connection of its own: whichever worker takes it."""
    with httpx.Client(base_url=server.api.base_url, timeout=60) as client:
        return client.post(f"/v1/models/{model}:predict", json={"instances": [[value, 0.0]]}).status_code


def test_workers_whose_loops_stand_still_are_ended_and_replaced(tmp_path: Path) -> None:
    stuck = StuckRegressor(tmp_path / "announcement", "an expression").fit(ROW, [0.0])
    put(tmp_path / "models", "stuck", "1", dump(stuck))
    put(tmp_path / "models", "other", "1", dump(constant(5.0)))
    serving = live_server(tmp_path / "models", workers=2, frozen_after_s=4, compile="off")
    with serving as server, ThreadPoolExecutor(2) as clients:
        asking: list[Future[int]] = []

        def two_were_found() -> bool:
            if sum(not one.done() for one in asking) < 2:
                asking.append(clients.submit(_ask, server, "stuck", 666.0))
            return len(server.logged("(frozen) while it ran stuck/1 (predicting)")) >= 2

        wait_until(two_were_found, "two workers to stand still and be ended")
        wait_until(lambda: all(one.done() for one in asking), "nothing to be asked that makes another stand still")
        wait_until(server.ready, "others to take their places")
        assert _ask(server, "other") == 200
        assert any("in predict" in line for line in server.plain), "it said where it was"
        assert server.metric("model_manager_unclean_ends_total", how="frozen") >= 2
        for one in asking:
            assert isinstance(one.exception(), httpx.TransportError) or one.result() == 503, "none was answered 200"


def test_a_version_that_ends_every_worker_while_it_is_loaded_is_kept_out(tmp_path: Path) -> None:
    put(tmp_path / "models", "m", "1", dump(constant(1.0)))
    put(tmp_path / "models", "m", "2", dump(DeadlyToLoad()))
    put(tmp_path / "models", "other", "1", dump(constant(5.0)))
    with live_server(tmp_path / "models", wait=False, workers=2, compile="off") as server:
        wait_until(lambda: server.admin.get("/v2/health/ready").status_code == 200, "the pod to be ready")
        assert _ask(server, "m") == _ask(server, "other") == 200

        def state() -> str:
            rows = server.admin.post("/v2/repository/index").json()
            (found,) = [str(row["state"]) for row in rows if (row["name"], row["version"]) == ("m", "2")]
            return found

        wait_until(lambda: state() == "UNAVAILABLE", "m/2 to be kept out, between two attempts to load it")


def test_a_state_folder_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    put(tmp_path / "models", "other", "1", dump(constant(5.0)))
    state = tmp_path / "state"
    state.mkdir()
    (state / "journal-0").write_bytes(b"what is this" * 1000)
    (state / "deaths.json").write_text('{"format": 1, "deaths": "many"}')
    (state / "quarantined").write_text("no folder")
    with live_server(tmp_path / "models", state=state) as server:
        assert server.predict("other", ROW).json() == {"predictions": [5.0]}
        assert server.logged("is not a journal of this version")
        assert server.logged("earlier deaths of the server are forgotten")
        with live_server(tmp_path / "models", state=state) as another:
            assert another.predict("other", ROW).json() == {"predictions": [5.0]}
            assert another.logged("is kept by another server")


def test_a_stop_by_signal_suspects_nobody_even_of_what_still_computes(folder: Path) -> None:
    announcement = folder / "busy"
    with mortal(folder / "models", state=folder / "state") as server, ThreadPoolExecutor(1) as clients:
        busy = clients.submit(server.predict, "busy", [[SLOW, 0.0]])
        wait_until(announcement.exists, "the busy model to compute")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.logged("stopping"), "the stop to begin")
        assert not list((folder / "state").glob("journal-*"))
        server.kill()
        assert busy.exception() is None or isinstance(busy.exception(), httpx.TransportError)
