"""`/debug/…` on the admin port: what a person asks when the server is slow, of one process and of several workers."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tests.slow_model import SlowRegressor


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> SlowRegressor:
    folder = tmp_path_factory.mktemp("gate")
    model = SlowRegressor(str(folder / "gate"), str(folder / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    return model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, slow: SlowRegressor) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    put(folder, "slow", "1", dump(slow))
    with live_server(folder) as server:
        yield server


def topic(server: LiveServer, name: str) -> list[dict[str, Any]]:
    """What every process says of a topic, in one list."""
    processes = server.admin.get(f"/debug/{name}").json()["processes"]
    return [one for process in processes for one in process[name]]


def test_a_held_batch_is_seen_in_the_queue_and_afterwards_among_the_last_batches(
    server: LiveServer, slow: SlowRegressor
) -> None:
    slow.shut()
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(server.predict, "slow", [[1.0, 0.0]] * 2)]
        wait_until(lambda: topic(server, "queues")[0]["running_rows"] == 2, "a batch to run")
        answers += [clients.submit(server.predict, "slow", [[1.0, 0.0]] * 2) for _ in range(2)]
        wait_until(lambda: topic(server, "queues")[0]["queued_rows"] == 4, "the others to queue")
        (queue,) = topic(server, "queues")
        assert (queue["model_name"], queue["running_rows"], queue["queued_requests"]) == ("slow", 2, 2)
        assert queue["requests_in_flight"] == 3
        slow.open()
        assert {answer.result().status_code for answer in answers} == {200}
    newest, before = topic(server, "batches")[:2]
    assert (newest["rows"], newest["requests"], newest["on"], newest["failed"]) == (4, 2, "thread", 0)
    assert (before["rows"], before["requests"]) == (2, 1)
    assert newest["batch_ms"] >= newest["predict_ms"] > 1


def test_tasks_are_shown_with_the_line_at_which_they_wait(server: LiveServer) -> None:
    tasks = {task["coroutine"]: task["at"] for task in topic(server, "tasks")}
    assert re.fullmatch(r"model_manager/serving/manager\.py:\d+", tasks["Manager.run"])
    assert "measure_loop_lag" in tasks


def test_a_profile_holds_the_stacks_of_every_thread_in_the_form_of_flame_graphs(server: LiveServer) -> None:
    text = server.admin.get("/debug/profile", params={"seconds": "0.2"}).text
    stacks = [re.fullmatch(r"(\S.*) (\d+)", line) for line in text.splitlines()]
    assert all(stacks)
    (main,) = [stack for stack in stacks if stack is not None and "run (model_manager/process.py:" in stack[1]][:1]
    assert main[1].startswith("MainThread;")
    assert int(main[2]) > 5


@pytest.mark.parametrize("seconds", ["0", "61", "long", "nan"])
def test_a_profile_of_no_or_too_long_a_time_is_refused(server: LiveServer, seconds: str) -> None:
    answer = server.admin.get("/debug/profile", params={"seconds": seconds})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"seconds: '{seconds}' is no number above 0 and up to 60")


def test_the_api_port_shows_none_of_it(server: LiveServer) -> None:
    assert server.api.get("/debug/tasks").status_code == 404


@pytest.mark.parametrize("topic", ["tasks", "queues", "batches", "profile"])
async def test_nothing_is_shown_unless_it_was_asked_for(admin: httpx.AsyncClient, topic: str) -> None:
    answer = await admin.get(f"/debug/{topic}")
    assert answer.status_code == 403
    told = "debug routes are off; start the server with --debug-routes (MODEL_MANAGER_DEBUG_ROUTES=true)"
    assert answer.json() == {"error": told}
    assert "debug" not in (await admin.get("/")).text


def test_several_workers_are_shown_each(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    with live_server(tmp_path, workers=2) as server:
        processes = server.admin.get("/debug/queues").json()["processes"]
        assert len({process["pid"] for process in processes}) == 2
        assert [process["queues"][0]["model_name"] for process in processes] == ["m", "m"]
        profile = server.admin.get("/debug/profile", params={"seconds": "0.1"}).text
        assert {line.partition(";")[0] for line in profile.splitlines()} == {
            f"process {process['pid']}" for process in processes
        }
