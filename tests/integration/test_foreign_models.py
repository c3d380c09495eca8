"""Models that misbehave, in a real server: what they do to one request, they do to no other, nor to the process."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.foreign_models import (
    RAISED,
    ExitingRegressor,
    HeldReader,
    MeddlingRegressor,
    StuckRegressor,
    UnspeakableClassifier,
)
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tools.patience import stretched
from tools.processes import ROOT

pytestmark = pytest.mark.usefixtures("servers_not_covered")

QUICK = [[0.0, 0.0]]


@pytest.fixture(scope="module")
def exiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    for name, seconds in (("loop", 0.0), ("thread", 0.002)):
        put(folder, name, "1", dump(ExitingRegressor(seconds).fit([[0.0, 0.0]], [0.0])))
        put(folder, f"texts-{name}", "1", dump(UnspeakableClassifier(seconds).fit([[0.0, 0.0]], [0.0])))
    with live_server(folder) as server:
        yield server


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("value", RAISED)
def test_what_is_no_error_is_a_500_with_its_cause_in_the_log(exiting: LiveServer, where: str, value: float) -> None:
    failed = exiting.predict(where, [[value, 0.0]])
    assert failed.status_code == 500
    name = RAISED[value].__name__
    id = failed.headers["x-request-id"]
    told = "the model failed on this input" if name == "KeyboardInterrupt" else f"predict raised {name}"
    assert failed.json() == {"error": f"{told} (request id {id})"}
    (record,) = wait_until(
        lambda: [record for record in exiting.log if record.get("request_id") == id], "it to be logged"
    )
    assert record["exc_info"].endswith(f" in predict\n{name}")  # what it says may be a row
    assert exiting.predict(where, [[7.0, 0.0]]).json() == {"predictions": [7.0]}
    if where == "thread":
        assert {batch["on"] for batch in _batches(exiting, where)} == {where}


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("value", RAISED)
def test_an_answer_that_cannot_be_told_is_a_500(exiting: LiveServer, where: str, value: float) -> None:
    model = f"texts-{where}"
    assert exiting.predict(model, [[7.0, 0.0]]).json() == {"predictions": ["7"]}
    for _ in range(2):
        assert exiting.predict(model, [[value, 0.0]]).status_code == 500
        infer = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [value, 0.0]}]}
        assert exiting.api.post(f"/v2/models/{model}/infer", json=infer).status_code == 500
    assert exiting.predict(model, [[8.0, 0.0]]).json() == {"predictions": ["8"]}
    assert exiting.admin.get("/metrics").status_code == 200


def test_only_the_guilty_request_of_a_batch_fails(exiting: LiveServer) -> None:
    guilty = list(RAISED)
    with ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(lambda value: exiting.predict("thread", [[value, 0.0]]), [*guilty, *range(10, 40)]))
    assert [answer.status_code for answer in answers] == [500] * len(guilty) + [200] * 30
    assert [answer.json()["predictions"] for answer in answers[len(guilty) :]] == [[float(n)] for n in range(10, 40)]


@pytest.mark.parametrize("inside", ["bare", "pipeline"])
def test_a_long_document_does_not_hold_the_loop(tmp_path: Path, inside: str) -> None:
    reader = HeldReader(tmp_path / "gate", tmp_path / "announcement")
    vectorizer = CountVectorizer(analyzer=reader)
    model = vectorizer if inside == "bare" else make_pipeline(vectorizer, LogisticRegression())
    put(tmp_path / "models", "text", "1", dump(model.fit(["one fine day", "another day"], [0, 1])))
    put(tmp_path / "models", "quick", "1", dump(constant(1.0)))
    with live_server(tmp_path / "models", timeout_ms=60_000) as server, ThreadPoolExecutor(1) as clients:
        try:
            assert server.predict("text", ["one day"]).status_code == 200
            long = clients.submit(server.predict, "text", ["fine " * 200_000])
            wait_until(reader.announcement.exists, "the long document to be read")
            assert server.predict("quick", QUICK).json() == {"predictions": [1.0]}
            assert not long.done()
        finally:
            reader.gate.touch()
        assert long.result().status_code == 200
        assert next(_batches(server, "text"))["on"] == "thread"


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_what_a_model_changes_of_the_process_is_put_back(tmp_path: Path, where: str) -> None:
    model = MeddlingRegressor(0.002 if where == "thread" else 0.0).fit([[0.0, 0.0]], [0.0])
    put(tmp_path / "models", "meddling", "1", dump(model))
    with live_server(tmp_path / "models", compile="off") as server:
        assert server.predict("meddling", [[13.0, 0.0]]).json() == {"predictions": [13.0]}

        def told() -> set[str]:
            parts = [record["message"].partition(" of the process")[0] for record in server.logged("put back")]
            return {part.split("the ")[1] for part in parts}

        changed = {"working folder", "umask", "logging", "standard files"}  # each in a line of its own
        wait_until(lambda: changed <= told(), "all of the process to be put back")
        assert all(record["message"].endswith(": meddling/1") for record in server.logged("put back"))
        assert server.metric("model_manager_process_changes_total", what="umask") == 1
        assert server.predict("meddling", [[14.0, 0.0]]).json() == {"predictions": [14.0]}
        assert server.predict("meddling", [[15.0, 0.0]]).json() == {"predictions": [15.0]}
        assert Path(f"/proc/{server.process.pid}/cwd").readlink() == ROOT
    assert server.logged("stopped")  # by SIGTERM, into the log, with exit code 0
    assert 0 < len(server.logged("of a flood")) < 1000


def stuck(tmp_path: Path, within: str) -> tuple[Path, Path]:
    """A folder with a model that can get stuck, and the file that tells when it is."""
    announcement = tmp_path / "announcement"
    put(tmp_path / "models", "stuck", "1", dump(StuckRegressor(announcement, within).fit([[0.0, 0.0]], [0.0])))
    return tmp_path / "models", announcement


@pytest.mark.parametrize(("within", "workers"), [("a lock", 1), ("a loop", 1), ("a lock", 2)])
def test_a_prediction_that_never_returns_does_not_hold_the_exit(tmp_path: Path, within: str, workers: int) -> None:
    folder, announcement = stuck(tmp_path, within)
    records = tmp_path / "records"
    with live_server(folder, workers=workers, timeout_ms=300, drain_timeout_s=0.5, records=records) as server:
        assert server.predict("stuck", [[1.0, 0.0]]).json() == {"predictions": [1.0]}
        assert server.predict("stuck", [[666.0, 0.0]]).status_code == 504
        assert announcement.exists()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(stretched(30)) == 0
    assert len(server.logged("stopped")) == workers
    # a loop in Python may be quicker to come by than threads that would end: they are left as well, and named
    (left,) = [one for one in server.logged("does not come back: predict_") if "(foreign_models.py:" in one["at"]]
    assert left["versions"] == "stuck/1"
    assert sorted(json.loads(line)["data"]["status"] for line in records.read_text().splitlines()) == [200, 504]


def test_a_worker_that_hears_no_signal_is_killed(tmp_path: Path) -> None:
    folder, announcement = stuck(tmp_path, "an expression")
    server = LiveServer(folder, {"workers": 2, "drain-timeout-s": 0})
    try:
        wait_until(server.ready, "the server to be ready")
        with ThreadPoolExecutor(1) as clients:
            asking = clients.submit(server.predict, "stuck", [[666.0, 0.0]])
            wait_until(announcement.exists, "the model to be stuck")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(stretched(30)) == signal.SIGKILL
            assert isinstance(asking.exception(), httpx.TransportError)
    finally:
        server.stop(signal.SIGKILL)
    (killed,) = server.logged("is killed")
    assert "does not end" in killed["message"]


def _batches(server: LiveServer, model: str) -> Iterator[dict[str, Any]]:
    """The last batches of one model, the newest first."""
    processes = server.admin.get("/debug/batches").json()["processes"]
    return (batch for process in processes for batch in process["batches"] if batch["model_name"] == model)
