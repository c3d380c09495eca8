"""What a request gets when the model is busy: a full queue, a deadline that passes. A real server, a held model."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump
from tests.slow_model import SlowRegressor
from tools.open_loop import Crowd, Outcome
from tools.paced_estimator import PacedRegressor

MANIFEST = """
models:
  slow:
    versions: {"1": {artifact: slow.joblib}}
    batching: {max_rows: 4, max_queue_rows: 3}
    timeout_ms: %d
"""


def held(tmp_path: Path, timeout_ms: int) -> tuple[Path, SlowRegressor]:
    """A folder that serves a model which can be held."""
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "slow.joblib").write_bytes(dump(model))
    (folder / "models.yaml").write_text(MANIFEST % timeout_ms)
    return folder, model


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[tuple[LiveServer, SlowRegressor]]:
    folder, model = held(tmp_path, 30_000)
    with live_server(folder) as server:
        yield server, model
        model.open()


def test_a_full_queue_is_503_with_when_to_retry_and_spares_what_was_accepted(
    patient: tuple[LiveServer, SlowRegressor],
) -> None:
    server, model = patient
    model.shut()
    with ThreadPoolExecutor(2) as clients:
        running = clients.submit(server.predict, "slow", [[1.0, 0.0]])
        wait_until(model.entered, "a batch to run")
        queued = clients.submit(server.predict, "slow", [[2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
        wait_until(lambda: server.metric("model_manager_queue_rows") == 3, "the queue to fill")
        refused = server.predict("slow", [[5.0, 0.0]])
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "max_queue_rows" in refused.json()["error"]
        assert server.ready()  # a busy model does not take the pod out of service
        model.open()
        assert running.result().json() == {"predictions": [1.0]}
        assert queued.result().json() == {"predictions": [2.0, 3.0, 4.0]}


def test_a_deadline_that_passes_is_504_at_once_and_the_next_request_is_answered(tmp_path: Path) -> None:
    folder, model = held(tmp_path, 200)
    with live_server(folder) as server:
        model.shut()
        late = server.predict("slow", [[1.0, 0.0]])
        assert late.status_code == 504
        assert list(late.json()) == ["error"]
        assert server.metric("model_manager_requests_total", code="504") == 1
        model.open()
        wait_until(lambda: server.predict("slow", [[2.0, 0.0]]).status_code == 200, "the model to be free again")


CROWDED = """
models:
  paced:
    versions: {"1": {artifact: paced.joblib}}
    batching: {max_rows: 8}
    timeout_ms: 1500
  quick:
    versions: {"1": {artifact: quick.joblib}}
"""
ROW_S = 0.02
_ROUNDS = 3


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, servers_not_covered: None) -> Iterator[LiveServer]:
    """A server of a model that computes fifty rows a second, and of one that is quick."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "paced.joblib").write_bytes(dump(PacedRegressor(row_s=ROW_S).fit([[0.0, 0.0]], [0.0])))
    (folder / "quick.joblib").write_bytes(dump(constant(1.0)))
    (folder / "models.yaml").write_text(CROWDED)
    with live_server(folder, compile="off") as server:
        yield server


def crowd(server: LiveServer, model: str = "paced", rows: int = 1, **headers: str) -> Crowd:
    body = json.dumps({"instances": [[float(row), 0.0] for row in range(rows)]}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Crowd(server.server.api, f"/v1/models/{model}:predict", body, names)


def _broken_promises(alone: Outcome, pressed: Outcome) -> list[str]:
    """What became of requests that come faster than they can be answered, but should not have."""
    statuses = pressed.statuses
    goodput, capacity = (one.statuses[200] / one.seconds for one in (pressed, alone))
    kept = {
        "every answer is 200, 503 or 504": statuses[200] + statuses[503] + statuses[504] == sum(statuses.values()),
        "most are refused": statuses[503] > statuses[200],
        "what is accepted is answered in time": statuses[504] <= 1 + statuses[200] // 100,
        "a refusal says when to come back": pressed.unsaid == 0,
        "the model is as busy as it can be": goodput >= 0.8 * capacity,
        "a refusal is told at once, not when time is over": pressed.quantile(503, 0.99) < pressed.quantile(200, 0.5),
    }
    return [promise for promise, holds in kept.items() if not holds]


@pytest.mark.parametrize("times", [3, 30])
def test_at_many_times_its_capacity_what_is_accepted_is_answered_in_time_and_the_rest_at_once(
    crowded: LiveServer, times: int
) -> None:
    async def measure() -> tuple[Outcome, Outcome]:
        async with crowd(crowded) as many:
            alone = await many.loop(8, 1.5)
            return alone, await many.run(times / ROW_S, 3)

    broken: list[str] = ["nothing was measured yet"]
    for _ in range(_ROUNDS):  # what else the machine does may spoil one
        if broken:
            broken = _broken_promises(*asyncio.run(measure()))
    assert broken == []
    wait_until(lambda: crowded.predict("paced", [[2.0, 0.0]]).status_code == 200, "the model to be free again")


def test_another_model_hardly_notices_and_large_requests_let_single_rows_through(crowded: LiveServer) -> None:
    async def measure() -> tuple[Outcome, Outcome, Outcome, Outcome]:
        patient = {"x_request_timeout_ms": "60000"}
        quick, singles, large = crowd(crowded, "quick"), crowd(crowded), crowd(crowded, rows=40, **patient)
        async with quick, singles, large:
            quiet = await quick.run(100, 2)
            beside, pressed = await asyncio.gather(quick.run(100, 3), singles.run(500, 3))
            among, _ = await asyncio.gather(singles.run(10, 4), large.loop(8, 3))
            return quiet, beside, pressed, among

    quiet, beside, pressed, among = asyncio.run(measure())
    assert pressed.statuses[503] > pressed.statuses[200]
    assert set(quiet.statuses) == set(beside.statuses) == {200}
    assert beside.quantile(200, 0.5) < 3 * quiet.quantile(200, 0.5) + 0.005  # loadtests.overload tells the p99
    assert among.statuses[200] == 40


def test_urgent_requests_are_answered_before_others(crowded: LiveServer) -> None:
    async def measure() -> tuple[Outcome, ...]:
        levels = [crowd(crowded, x_priority=level) for level in ("high", "normal", "low")]
        outcomes = await asyncio.gather(*(level.run(40, 3) for level in levels))
        for level in levels:
            await level.__aexit__()
        return tuple(outcomes)

    high, normal, low = (outcome.statuses for outcome in asyncio.run(measure()))
    assert high[200] > normal[200] > low[200]
    assert high[200] > 0.9 * sum(high.values())
    # some were let in before it was seen how much the urgent ones take; then such are refused when they come
    assert normal[504] + low[504] < normal[503] + low[503]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-request-timeout-ms": "30000"}, 200),
        ({"x-request-timeout-ms": "0.001"}, 504),
        ({"x-envoy-expected-rq-timeout-ms": "0.001"}, 504),
        ({"x-envoy-expected-rq-timeout-ms": "soon"}, 200),
        ({"x-request-timeout-ms": "30000", "x-envoy-expected-rq-timeout-ms": "0.001"}, 504),
        *[({"x-request-timeout-ms": text}, 400) for text in ("0", "-1", "soon", "nan", "inf", "")],
        *[({"x-priority": text}, 400) for text in ("urgent", "1", "")],
        *[({"x-priority": text}, 200) for text in ("high", "Normal", "LOW")],
    ],
)
def test_what_a_caller_says_of_its_hurry_holds(crowded: LiveServer, headers: dict[str, str], status: int) -> None:
    counted = crowded.metric("model_manager_requests_total", model_name="quick", code="504")
    answer = crowded.api.post("/v1/models/quick:predict", json={"instances": [[1.0, 2.0]]}, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 400:
        assert next(iter(headers)) in answer.json()["error"]
    # a time that the caller or its proxy chose is theirs to choose: it counts as if they had hung up
    assert crowded.metric("model_manager_requests_total", model_name="quick", code="504") == counted


BAD_TIMEOUTS: list[object] = [-1, 1.5, "1", True, []]
BAD_PRIORITIES: list[object] = [-1, 4, 1.5, "urgent", True, {}]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"timeout": 30_000_000}, 200),
        ({"timeout": 0}, 200),
        ({"timeout": 1}, 504),
        *[({"timeout": value}, 400) for value in BAD_TIMEOUTS],
        *[({"priority": value}, 200) for value in (0, 1, 2, 3, "high", "low", None)],
        *[({"priority": value}, 400) for value in BAD_PRIORITIES],
    ],
)
def test_so_does_what_the_parameters_say(crowded: LiveServer, parameters: dict[str, object], status: int) -> None:
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}
    v2 = crowded.api.post("/v2/models/quick/infer", json={"inputs": [tensor], "parameters": parameters})
    assert v2.status_code == status, v2.text
    v1 = crowded.predict("quick", [[1.0, 2.0]], parameters=parameters)
    assert v1.status_code == status, v1.text
    if status == 400:
        assert next(iter(parameters)) in v1.json()["error"]


def test_bodies_that_no_request_can_need_hold_nobody_up(crowded: LiveServer) -> None:
    path = "/v1/models/quick:predict"
    wide = b'{"instances": [[%b]]}' % b",".join([b"0"] * 6_000_000)
    keys = b"{%b}" % b",".join(b'"k%d":1' % number for number in range(500_000))

    async def measure() -> tuple[Outcome, Outcome, list[Outcome]]:
        hostile = [Crowd(crowded.server.api, path, body) for body in (wide, keys)]
        async with crowd(crowded, "quick") as quick, hostile[0], hostile[1]:
            quiet = await quick.run(50, 2)
            beside, *refused = await asyncio.gather(quick.run(50, 3), *(one.loop(1, 3) for one in hostile))
            return quiet, beside, refused

    quiet, beside, refused = asyncio.run(measure())
    assert [set(one.statuses) for one in (quiet, beside, *refused)] == [{200}, {200}, {400}, {400}]
    assert beside.quantile(200, 0.9) < 5 * quiet.quantile(200, 0.9) + 0.1
