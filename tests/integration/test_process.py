"""The real process: how it starts, refuses to start, drains, and runs as several workers."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.live import LiveServer, live_server, wait_until, without_server_settings
from tests.models import constant, dump, put
from tests.slow_model import SlowRegressor

ROW = [[0.0, 0.0]]


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; for starts that must be refused."""
    return subprocess.run(
        [sys.executable, "-m", "model_manager", "serve", *arguments],
        env={**without_server_settings(), **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "line"),
    [
        ([], {}, "model-manager: setting --models (MODEL_MANAGER_MODELS): Field required"),
        (["--models", "{folder}", "--port", "many"], {}, "model-manager: setting --port (MODEL_MANAGER_PORT): 'many'"),
        (["--models", "{folder}"], {"MODEL_MANAGER_WORKERS": "0"}, "model-manager: setting --workers"),
        (["--models", "{folder}/nowhere"], {}, "nowhere: No such file or directory"),
        (["--models", "{folder}/m/1/model.joblib"], {}, "model.joblib: Not a directory"),
        (["--models", "{folder}", "--port", "{busy}"], {}, "model-manager: --port {busy}: cannot listen on 0.0.0.0"),
        (
            ["--models", "{folder}", "--port", "0", "--admin-port", "{busy}"],
            {"MODEL_MANAGER_WORKERS": "2"},
            "model-manager: --admin-port {busy}: cannot listen on 0.0.0.0",
        ),
    ],
    ids=["no folder", "not a port", "no workers", "missing folder", "a file", "busy port", "busy admin port"],
)
def test_a_wrong_start_ends_in_one_clear_line(
    folder: Path, arguments: list[str], environment: dict[str, str], line: str
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as busy:
        names = {"folder": folder, "busy": busy.getsockname()[1]}
        ended = start(*(argument.format(**names) for argument in arguments), **environment)
    assert ended.returncode == 2
    assert line.format(**names) in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_settings_come_from_the_environment_and_a_service_link_is_not_a_port(folder: Path) -> None:
    environment = {"MODEL_MANAGER_MODELS": str(folder), "MODEL_MANAGER_PORT": "tcp://10.0.0.7:8080"}
    with socket.create_server(("0.0.0.0", 8080)) if _free(8080) else socket.socket():
        ended = start("--admin-port", "0", **environment)
    assert "--port 8080: cannot listen" in ended.stderr


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_every_setting_is_a_flag_with_its_variable_in_the_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "model_manager", "serve", "--help"], capture_output=True, text=True, check=True
    )
    from model_manager.settings import Settings

    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown.stdout
        assert f"MODEL_MANAGER_{name.upper()}" in shown.stdout
    assert "Example: model-manager serve" in shown.stdout


@pytest.fixture
def slow(tmp_path: Path) -> tuple[Path, SlowRegressor]:
    """A folder with a model that answers only while a file exists, and how to let it."""
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    put(tmp_path / "models", "slow", "1", dump(model))
    return tmp_path / "models", model


def test_a_term_signal_finishes_what_was_accepted_and_then_exits_zero(slow: tuple[Path, SlowRegressor]) -> None:
    folder, model = slow
    with live_server(folder, lame_duck_s=0) as server, ThreadPoolExecutor(4) as clients:
        model.shut()
        answers = [clients.submit(server.predict, "slow", [[float(number), 0.0]]) for number in range(4)]
        wait_until(model.entered, "a batch to run")
        wait_until(lambda: server.metric("model_manager_requests_in_flight") == 4, "the others to be accepted")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.admin.get("/v2/health/ready").status_code == 503, "the pod to leave the endpoints")
        wait_until(lambda: _refuses_connections(server), "new connections to be refused")
        model.open()
        assert [answer.result().json() for answer in answers] == [
            {"predictions": [float(number)]} for number in range(4)
        ]
        wait_until(lambda: server.process.poll() is not None, "the process to end")
        assert server.process.returncode == 0
    assert server.logged("stopped")


def _refuses_connections(server: LiveServer) -> bool:
    try:
        httpx.get(server.api.base_url.join("/v2/health/live"))
    except httpx.TransportError:  # refused, or reset for having knocked while the door closed
        return True
    return False


def test_a_client_that_leaves_takes_its_rows_out_of_the_queue(slow: tuple[Path, SlowRegressor]) -> None:
    folder, model = slow
    with live_server(folder, timeout_ms=600_000) as server, ThreadPoolExecutor(4) as clients:
        model.shut()
        first = clients.submit(server.predict, "slow", [[1.0, 0.0]])
        wait_until(model.entered, "a batch to run")
        body = b'{"instances": [[666.0, 0.0]]}'
        with socket.create_connection((server.api.base_url.host, server.api.base_url.port or 0)) as leaving:
            leaving.sendall(
                b"POST /v1/models/slow:predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
            wait_until(lambda: server.metric("model_manager_queue_rows") == 1, "its rows to queue")
        wait_until(lambda: server.metric("model_manager_requests_total", code="499") == 1, "its leaving to be seen")
        model.open()
        assert first.result().json() == {"predictions": [1.0]}
        assert server.predict("slow", [[2.0, 0.0]]).json() == {"predictions": [2.0]}
        assert server.metric("model_manager_rows_total") == 2  # not the one that left


def test_a_second_interrupt_waits_for_nobody(slow: tuple[Path, SlowRegressor]) -> None:
    folder, model = slow
    with LiveServer(folder, {}) as server:
        wait_until(server.ready, "the server to be ready")
        model.shut()
        asking = threading.Thread(target=_ask_in_vain, args=(server,))
        asking.start()
        wait_until(model.entered, "a batch to run")
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: server.logged("stopping"), "the stop to begin")
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: server.logged("stopped"), "the stop to end")
        assert server.stop() == 0  # not even for the thread that is inside the model
    asking.join()


def _ask_in_vain(server: LiveServer) -> None:
    try:
        server.predict("slow", [[1.0, 0.0]])
    except httpx.HTTPError:
        return


def test_several_workers_add_up_in_one_scrape_and_are_ready_together(folder: Path) -> None:
    with live_server(folder, workers=2) as server:
        clients = [httpx.Client(base_url=server.api.base_url) for _ in range(8)]
        for number in range(40):
            answer = clients[number % 8].post("/v1/models/m:predict", json={"instances": ROW})
            assert answer.json() == {"predictions": [1.0]}
        for client in clients:
            client.close()
        assert server.metric("model_manager_requests_total", code="200") == 40
        assert server.metric("model_manager_rows_total") == 40
        assert server.metric("model_manager_version_state", state="ready") == 1
        (row,) = server.admin.post("/v2/repository/index").json()
        assert (row["name"], row["version"], row["state"]) == ("m", "1", "READY")


def test_a_worker_that_dies_is_started_again_and_none_outlives_its_supervisor(folder: Path) -> None:
    with live_server(folder, workers=2) as server:
        first = _children(server.process.pid)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: server.logged("is started again"), "the death to be noticed")
        wait_until(lambda: len(_children(server.process.pid)) == 2, "another worker")
        wait_until(server.ready, "it to be ready")
        assert server.predict("m", ROW).status_code == 200
    with LiveServer(folder, {"workers": 2}) as server:
        wait_until(server.ready, "the server to be ready")
        workers = _children(server.process.pid)
        server.process.kill()
        wait_until(lambda: not any(_alive(worker) for worker in workers), "the workers to follow their supervisor")


def _children(pid: int) -> list[int]:
    """The worker processes of a supervisor: the children of the process that it forks them from."""
    return [worker for template in _born(pid) for worker in _born(template)]


def _born(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # one a thread
    return [int(child) for children in lists for child in children.read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
