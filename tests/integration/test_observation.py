"""What single requests tell where it was asked for: a header that says where the time went, a line in the log."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live import LiveServer, live_server, wait_until

ROW = [[5.1, 3.5, 1.4, 0.2]]
PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "x-request-id": "abc"}


@pytest.fixture(scope="module")
def observed(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples, log_requests=1, server_timing=True) as server:
        yield server


def ask(server: LiveServer, body: object) -> httpx.Response:
    return server.api.post("/v1/models/iris/versions/1:predict", json=body, headers=PARENT)


def test_server_timing_says_where_the_time_went(observed: LiveServer) -> None:
    header = ask(observed, {"instances": ROW}).headers["server-timing"]
    steps = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([0-9.]+)", header)}
    assert list(steps) == ["decode", "queue", "batch", "total"]
    assert all(0 < ms < 5000 for ms in steps.values())
    assert steps["decode"] + steps["queue"] + steps["batch"] <= steps["total"]


def test_a_logged_request_names_ids_version_rows_and_no_payload(observed: LiveServer) -> None:
    secret = 5.123456
    assert ask(observed, {"instances": [[secret, 3.5, 1.4, 0.2]]}).status_code == 200
    (line,) = wait_until(lambda: [r for r in observed.log if r["logger"] == "model_manager.requests"][-1:], "the line")
    assert line["message"] == "POST /v1/models/iris/versions/1:predict 200"
    expected = {
        "request_id": "abc",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "route": "/v1/models/{model}/versions/{version}:predict",
        "status": 200,
        "model_name": "iris",
        "model_version": "1",
        "rows": 1,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["duration_ms"] > 0
    assert str(secret) not in str(observed.log)


def test_a_refused_request_is_logged_too(observed: LiveServer) -> None:
    assert ask(observed, {"instances": [["wide", 3.5, 1.4, 0.2]]}).status_code == 400
    line = wait_until(lambda: [r for r in observed.log if r.get("status") == 400], "the line")[-1]
    assert line["model_version"] == "1"
    assert "wide" not in str(observed.log)


def test_neither_is_there_unless_it_is_asked_for(samples: Path) -> None:
    with live_server(samples) as server:
        answer = ask(server, {"instances": ROW})
        assert "server-timing" not in answer.headers
    assert not [record for record in server.log if record["logger"] == "model_manager.requests"]


def test_every_change_of_a_versions_state_is_one_line_that_says_why(observed: LiveServer) -> None:
    lines = [r for r in observed.log if r.get("model_name") == "iris" and r["model_version"] == "1" and "state" in r]
    assert [line["state"] for line in lines] == ["wanted", "fetching", "loading", "proving", "ready"]
    assert lines[0]["message"] == "iris/1 is wanted: the models folder has it"
    assert lines[-1]["message"] == "iris/1 is ready: it answered 3 golden rows"
