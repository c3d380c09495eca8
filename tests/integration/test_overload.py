"""What a request gets when the model is busy: a full queue, a deadline that passes. A real server, a held model."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live import LiveServer, live_server, wait_until
from tests.models import dump
from tests.slow_model import SlowRegressor

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
