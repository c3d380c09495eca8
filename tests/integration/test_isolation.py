"""`isolation: process` in a real server: what code of a model does in its own process, no other request notices."""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.hostile_models import DEEDS, ObedientRegressor
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, iris_classifier, put

SWAPS: Final = 10
KEPT_TO_THE_REQUEST: Final = ["segfault", "exit 0", "allocating"]


def declare(folder: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Write models.yaml for every version that lies in the folder, beside it and at once."""
    entries = {}
    for name, options in models.items():
        artifacts = {one.name: {"artifact": f"{name}/{one.name}/model.joblib"} for one in versions(folder, name)}
        entries[name] = {"versions": artifacts, **options}
    (folder / ".next").write_text(json.dumps({"models": entries}))
    (folder / ".next").rename(folder / "models.yaml")


def versions(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name).iterdir() if not path.name.startswith(".")]


def row(value: float, deed: str | None = None) -> list[list[float]]:
    return [[value, 0.0 if deed is None else list(DEEDS).index(deed) + 1.0]]


ALL = 5  # the nursery, a keeper with the child that serves, and one more with one that waits for an order


def descendants(pid: int) -> set[int]:
    """The processes below one, those that are gone and not waited for left out."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(entry)] = int(parent)
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.fixture(scope="module", params=[1, 2])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("isolated") / "models"
    for name in (*KEPT_TO_THE_REQUEST, "hanging", "failing"):
        put(folder, name.replace(" ", "-"), "1", dump(ObedientRegressor()))
    put(folder, "failing", "0", dump(constant(5.0)))
    put(folder, "iris", "1", dump(iris_classifier()))
    put(folder, "plain-iris", "1", dump(iris_classifier()))
    isolated = {"isolation": "process", "timeout_ms": 60_000}
    declare(
        folder,
        {path.name: isolated for path in folder.iterdir()}
        | {"hanging": {"isolation": "process", "timeout_ms": 300}, "plain-iris": {"compile": "off"}},
    )
    with live_server(folder, workers=request.param, threads=2, load_memory_mb=500) as server:
        yield server


def test_its_answers_are_those_of_one_without(server: LiveServer) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (300, 4)).tolist()
    for outputs in (["predict"], ["predict_proba", "decision_function"]):
        isolated, plain = (server.predict(name, rows, outputs=outputs) for name in ("iris", "plain-iris"))
        assert isolated.status_code == 200
        assert isolated.content == plain.content
    shown = server.index()["iris", "1"]["parameters"]
    assert (shown["form"], shown["isolation"], shown.keys()) == (
        *("process", "process"),
        {"form", "isolation", "default", "sha256"},
    )
    assert server.api.get("/v2/models/iris/versions/1").json()["properties"]["isolation"] == "process"


@pytest.mark.parametrize("model", ["iris", "plain-iris"])
def test_an_infinity_is_its_callers_wherever_the_model_computes(server: LiveServer, model: str) -> None:
    refused = server.api.post(f"/v1/models/{model}:predict", content=b'{"instances": [[1, 2, 3, Infinity]]}')
    assert refused.status_code == 400, refused.text
    assert "row 0, column 3: inf is too large for this model" in refused.json()["error"]


@pytest.mark.parametrize("deed", KEPT_TO_THE_REQUEST)
def test_a_request_that_does_a_deed_fails_and_no_other(server: LiveServer, deed: str) -> None:
    model, stopped = deed.replace(" ", "-"), threading.Event()

    def ask(client: int) -> list[bool]:
        answers: list[bool] = []
        for number in count(1):
            if stopped.is_set():
                return answers
            value = float(client * 1_000_000 + number)
            answer = server.predict(model, row(value))
            answers.append(answer.status_code == 200 and answer.json() == {"predictions": [value]})
        raise AssertionError

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, client) for client in range(4)]
        try:
            for _ in range(2):
                guilty = server.predict(model, row(1.0, deed))
                assert guilty.status_code == 500, guilty.text
                assert server.predict(model, row(2.0)).json() == {"predictions": [2.0]}
        finally:
            stopped.set()
        assert all(len(one.result()) and all(one.result()) for one in asking)
    assert server.status(model, "1") == ("READY", "")
    assert server.process.poll() is None


def test_one_that_hangs_is_ended_and_its_version_goes_on(server: LiveServer) -> None:
    assert server.predict("hanging", row(1.0, "holding the interpreter")).status_code in {500, 504}
    wait_until(lambda: server.predict("hanging", row(2.0)).status_code == 200, "another process")
    assert server.metric("model_manager_predictions_given_up_total", model_name="hanging") == 1
    assert server.metric("model_manager_isolated_process_ends_total", model_name="hanging") == 1
    assert server.status("hanging", "1") == ("READY", "")


def test_a_version_whose_process_ends_again_and_again_fails_and_the_one_before_answers(server: LiveServer) -> None:
    while server.status("failing", "1")[0] == "READY":
        server.predict("failing", row(1.0, "segfault"), version="1")
    state, reason = server.status("failing", "1")
    assert state == "UNAVAILABLE"
    assert reason == (
        "predict ends its process: 3 predictions within 10 minutes ended it, or hung, the last time it ended"
    )
    assert server.predict("iris", [[5.1, 3.5, 1.4, 0.2]]).json() == {"predictions": ["setosa"]}


def test_nothing_is_left_of_versions_that_went_and_no_request_failed(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder, "m", "0", dump(constant(0.0)))
    declare(folder, {"m": {"isolation": "process"}})
    with live_server(folder) as server:
        codes: list[int] = []
        stopped = threading.Event()

        def ask() -> None:
            while not stopped.is_set():
                codes.append(server.predict("m", [[0.0, 0.0]]).status_code)

        def swap(version: int) -> None:
            put(folder, "m", str(version), dump(constant(float(version))))
            before = folder / "m" / str(version - 1)
            before.rename(folder / "m" / f".{before.name}")
            declare(folder, {"m": {"isolation": "process"}})
            answer = {"predictions": [float(version)]}
            wait_until(lambda: server.predict("m", [[0.0, 0.0]]).json() == answer, "the swap")
            wait_until(lambda: list(server.index()) == [("m", str(version))], "the version before to be gone")

        client = threading.Thread(target=ask)
        client.start()
        try:
            swap(1)
            files = f"/proc/{server.process.pid}/fd"
            wait_until(lambda: len(descendants(server.process.pid)) == ALL, "the nursery, and both keepers")
            before = len(os.listdir(files))
            for version in range(2, SWAPS + 2):
                swap(version)
            wait_until(lambda: len(descendants(server.process.pid)) == ALL, "the processes before to be gone")
            wait_until(lambda: len(os.listdir(files)) <= before, "their files to be closed")
        finally:
            stopped.set()
            client.join()
        assert set(codes) == {200}
        below = descendants(server.process.pid)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below), "all processes to be gone")


def test_without_children_it_is_refused_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder, "m", "1", dump(constant(1.0)))
    declare(folder, {"m": {"isolation": "process"}})
    with live_server(folder, wait=False, load_isolation="none") as server:
        wait_until(lambda: server.status("m", "1")[0] == "UNAVAILABLE", "the version to fail")
        assert server.status("m", "1")[1].startswith("not_isolated: isolation: process needs child processes; ")


def test_a_version_that_is_quarantined_serves_again_in_a_process_of_its_own(tmp_path: Path) -> None:
    folder, artifact = tmp_path / "models", dump(constant(1.0))
    for model in ("m", "n"):
        put(folder, model, "1", artifact)
    declare(folder, {"m": {}, "n": {"isolation": "process"}})
    (tmp_path / "state" / "quarantined").mkdir(parents=True)
    (tmp_path / "state" / "quarantined" / f"{sha256(artifact).hexdigest()}.json").touch()
    with live_server(folder, state=tmp_path / "state") as server:
        assert server.status("m", "1")[1].startswith("quarantined: ")
        assert server.predict("n", [[0.0, 0.0]]).json() == {"predictions": [1.0]}
