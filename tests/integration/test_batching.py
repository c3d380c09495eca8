"""Simultaneous clients of a real server: every answer is the one the estimator gives to that request alone."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from tests.live import LiveServer, live_server
from tools.patience import stretched

CLIENTS = 10
REQUESTS = 20


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples) as server:
        yield server


def requests_of(samples: Path, model: str, client: int) -> tuple[list[Any], Any]:
    """Requests of one to five rows, drawn around the golden rows with noise, and the estimator that answers them."""
    package = samples / model / "1"
    golden = json.loads((package / "metadata.json").read_text())["golden"]["instances"]
    random = np.random.default_rng(client)

    def row() -> Any:
        instance = golden[random.integers(len(golden))]
        if isinstance(instance, list):
            return [value * random.uniform(0.5, 1.5) for value in instance]
        return {name: noisy(name, value) for name, value in instance.items()}

    def noisy(name: str, value: Any) -> Any:
        return value if isinstance(value, str) else None if random.random() < 0.1 else value * random.uniform(0.2, 2)

    bodies = [[row() for _ in range(random.integers(1, 6))] for _ in range(REQUESTS)]
    return bodies, joblib.load(package / "model.joblib")


def features(instances: list[Any]) -> Any:
    if isinstance(instances[0], list):
        return np.array(instances, float)
    frame = pd.DataFrame(instances)
    return frame.astype({name: float for name in frame if frame[name].dtype == object})


@pytest.mark.parametrize("model", ["iris", "breast-cancer", "diabetes", "churn"])
@pytest.mark.parametrize("output", ["predict", "predict_proba"])
def test_ten_simultaneous_clients_get_what_unbatched_predict_gives(
    server: LiveServer, samples: Path, model: str, output: str
) -> None:
    if model == "diabetes" and output == "predict_proba":
        output = "predict"  # a regressor
    together = threading.Barrier(CLIENTS, timeout=stretched(20))

    # on one thread: scikit-learn swaps the process's warning filters while it predicts
    asked = []
    for number in range(CLIENTS):
        bodies, estimator = requests_of(samples, model, number)
        asked.append([(body, getattr(estimator, output)(features(body))) for body in bodies])

    def client(number: int) -> None:
        together.wait()
        for instances, expected in asked[number]:
            response = server.predict(model, instances, "1", signature_name=output)
            assert response.status_code == 200, response.text
            got = response.json()["predictions"]
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
            else:
                assert got == expected.tolist()

    before = server.metric("model_manager_requests_total", model_name=model)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, number) for number in range(CLIENTS)]:
            done.result()
    answered = server.metric("model_manager_requests_total", model_name=model, code="200") - before
    assert answered == CLIENTS * REQUESTS


def test_requests_shared_batches(server: LiveServer, samples: Path) -> None:
    requests = server.metric("model_manager_requests_total", model_name="breast-cancer")
    batches = server.metric("model_manager_batch_rows_count", model_name="breast-cancer")
    assert 0 < batches < requests


def test_outputs_are_never_mixed_within_a_batch(server: LiveServer) -> None:
    together = threading.Barrier(CLIENTS, timeout=stretched(20))

    def client(number: int) -> None:
        output = ("predict", "predict_proba", "decision_function")[number % 3]
        together.wait()
        for _ in range(REQUESTS):
            (answer,) = server.predict("iris", [[5.1, 3.5, 1.4, 0.2]], signature_name=output).json()["predictions"]
            if output == "predict":
                assert answer == "setosa"
            elif output == "predict_proba":
                assert sum(answer) == pytest.approx(1)
            else:
                assert max(answer) > 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, number) for number in range(CLIENTS)]:
            done.result()
