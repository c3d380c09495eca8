"""One server, two versions and a manifest that splits between them: who is answered by which, and what shadows get."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from model_manager.serving.shadowing import MOST_WAITING, LoopLoad
from model_manager.serving.traffic import Shares

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump
from tests.moody_model import MoodyRegressor
from tests.slow_model import SlowRegressor
from tools.kubelet import ConfigMapVolume

ROW = [[0.0, 0.0]]
USERS = [f"user-{number}" for number in range(60)]
SPLIT = {"1": 90, "2": 10}


class Stage:
    """A server with version 1 to 4 of a model at hand, of which a manifest wants some."""

    def __init__(self, folder: Path) -> None:
        self.volume = ConfigMapVolume(folder / "mount")
        self.records = folder / "records.jsonl"
        self.slow = SlowRegressor(str(folder / "gate"), str(folder / "asked")).fit([[0.0, 0.0]] * 2, [0.0, 1.0])
        self.slow.open()
        self.artifacts = {
            "1": dump(constant(1.0)),
            "2": dump(constant(2.0)),
            "slow": dump(self.slow),
            "moody": dump(MoodyRegressor().fit([[0.0, 0.0]] * 2, [0.0, 1.0])),
            "wide": dump(constant(4.0, width=3)),
            "broken": b"no artifact",
        }

    def want(self, *versions: str, **keys: Any) -> None:
        """Write the manifest of a ConfigMap."""
        listed = {
            version: {
                "artifact": f"{version}.joblib",
                "sha256": hashlib.sha256(self.artifacts[version]).hexdigest(),
            }
            for version in versions
        }
        manifest = {"models": {"m": {"versions": listed, **keys}}}
        self.volume.write(
            {
                "models.yaml": json.dumps(manifest).encode(),
                **{f"{version}.joblib": self.artifacts[version] for version in versions},
            }
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("traffic"))


@pytest.fixture(scope="module")
def server(stage: Stage) -> Iterator[LiveServer]:
    stage.want("1", "2", traffic=SPLIT, sticky="X-User-Id")
    with live_server(stage.volume.folder, poll_interval_s=60, records=stage.records) as server:
        yield server


def by_user(server: LiveServer, user: str) -> str:
    """The version that answers a user."""
    response = server.api.post("/v1/models/m:predict", json={"instances": ROW}, headers={"x-user-id": user})
    assert response.status_code == 200, response.text
    version = response.headers["x-model-version"]
    assert response.json()["predictions"] == [float(version)]
    return version


def dealt(weights: dict[str, int]) -> dict[str, str]:
    """Who is answered by which, as another process computes it."""
    shares = Shares("m", weights)
    return {user: shares.versions[shares.of(user.encode())] for user in USERS}


def weight(server: LiveServer, version: str) -> str | None:
    parameters: dict[str, str] = server.index()["m", version].get("parameters", {})
    return parameters.get("traffic")


def test_a_user_stays_on_one_version_and_weights_change_without_a_load(stage: Stage, server: LiveServer) -> None:
    assert {user: by_user(server, user) for user in USERS} == dealt(SPLIT)
    assert server.metric("model_manager_traffic_weight_ratio", model_version="2") == 0.1
    model = server.api.get("/v2/models/m").json()
    assert (model["properties"]["version"], model["properties"]["traffic"]) == ("1", "1: 90, 2: 10")
    loads = len(server.logged("is loading"))
    stage.want("1", "2", traffic={"1": 75, "2": 25}, sticky="x-user-id")
    wait_until(lambda: weight(server, "2") == "25", "the weights to change")
    after = {user: by_user(server, user) for user in USERS}
    assert after == dealt({"1": 75, "2": 25})
    assert {after[user] for user in USERS if after[user] != dealt(SPLIT)[user]} == {"2"}
    assert len(server.logged("is loading")) == loads


def test_who_does_not_say_who_he_is_may_get_either(stage: Stage, server: LiveServer) -> None:
    stage.want("1", "2", traffic={"1": 50, "2": 50}, sticky="x-user-id")
    wait_until(lambda: weight(server, "2") == "50", "the weights to change")
    answered = {server.predict("m", ROW).headers["x-model-version"] for _ in range(60)}  # one in 2**59 fails this
    assert answered == {"1", "2"}


def test_a_header_pins_a_version_of_what_names_none(stage: Stage, server: LiveServer) -> None:
    stage.want("1", "2", traffic={"1": 100, "2": 0}, sticky="x-user-id")
    wait_until(lambda: weight(server, "2") == "0", "the weights to change")
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0.0, 0.0]}
    v1, v2 = {"instances": ROW}, {"inputs": [tensor]}

    def ask(path: str, body: Any, *pins: str) -> tuple[int, str]:
        answer = server.api.post(path, json=body, headers=[("x-model-version", pin) for pin in pins])
        return answer.status_code, answer.headers.get("x-model-version") or answer.json()["error"]

    for path, body in (("/v1/models/m:predict", v1), ("/v2/models/m/infer", v2)):
        assert [ask(path, body), ask(path, body, "2"), ask(path, body, "2", "2")] == [
            (200, "1"),
            (200, "2"),
            (200, "2"),
        ]
        assert ask(path, body, "7") == (404, "model 'm' has no version '7'; versions: 1, 2")
        assert ask(path, body, "1", "2") == (
            400,
            "header x-model-version: expected one version, such as 2, got '1, 2'",
        )
        assert ask(path, body, "")[0] == 400
    for path, body in (("/v1/models/m/versions/1:predict", v1), ("/v2/models/m/versions/1/infer", v2)):
        assert ask(path, body, "2") == (200, "1")
    described = server.api.get("/v2/models/m", headers={"x-model-version": "2"})
    assert described.json()["properties"]["version"] == described.headers["x-model-version"] == "2"
    assert server.api.get("/v1/models/m", headers={"x-model-version": "7"}).status_code == 404


def test_the_default_answers_for_a_version_that_cannot_and_everybody_is_told(stage: Stage, server: LiveServer) -> None:
    stage.want("1", "broken", traffic={"1": 50, "broken": 50}, sticky="x-user-id")
    wait_until(lambda: server.status("m", "broken")[0] == "UNAVAILABLE", "the version to fail")
    assert {by_user(server, user) for user in USERS} == {"1"}
    assert server.index()["m", "broken"]["parameters"] == {"traffic": "50", "traffic_answered_by": "1"}
    assert server.logged("m/broken has traffic and is not ready: version 1 answers its share meanwhile")
    assert server.metric("model_manager_traffic_weight_ratio", model_version="broken") == 0.5


def copies(server: LiveServer, version: str, code: int = 200) -> float:
    return server.metric("model_manager_shadow_requests_total", model_version=version, code=str(code))


def has_copies(server: LiveServer, version: str, code: int, count: int) -> bool:
    return copies(server, version, code) == count


def test_a_shadow_computes_what_others_answered_and_is_counted_apart(stage: Stage, server: LiveServer) -> None:
    stage.want("1", "slow", default="1", shadow="slow")
    wait_until(lambda: server.index().get(("m", "slow"), {}).get("parameters", {}).get("shadow"), "a shadow")
    for number in range(5):
        assert server.predict("m", [[float(number), 0.0]]).json()["predictions"] == [1.0]
        wait_until(partial(has_copies, server, "slow", 200, number + 1), "the copy to be computed")
    for name in ("requests_total", "rows_total", "request_duration_seconds_count", "dropped_requests_total"):
        assert server.metric(f"model_manager_{name}", model_version="slow") == 0
    assert server.metric("model_manager_shadow_duration_seconds_count", model_version="slow") == 5
    assert server.predict("m", ROW, "slow").json()["predictions"] == [0.0]  # named by its path: no copy of it
    assert server.predict("m", ROW, "1").status_code == 200
    assert server.metric("model_manager_requests_total", model_version="slow") == 1

    def recorded() -> list[Any]:
        data = [json.loads(line)["data"] for line in stage.records.read_text().splitlines()]
        return [one["outputs"]["predict"] for one in data if one.get("shadow")]

    wait_until(lambda: recorded() == [[0.0], [1.0], [2.0], [3.0], [4.0]], "the copies to be recorded as such")
    assert copies(server, "slow") == 5


def test_a_shadow_that_is_slow_costs_copies_and_no_request(stage: Stage, server: LiveServer) -> None:
    stage.want("1", "slow", default="1", shadow="slow")
    wait_until(lambda: server.index().get(("m", "slow"), {}).get("parameters", {}).get("shadow"), "a shadow")
    before = copies(server, "slow")
    stage.slow.shut()
    assert server.predict("m", ROW).status_code == 200
    wait_until(stage.slow.entered, "the shadow to hold a copy")
    for _ in range(2 * MOST_WAITING):
        assert server.predict("m", ROW).json()["predictions"] == [1.0]
    dropped = server.metric("model_manager_shadow_dropped_total", model_version="slow", reason="shadow_busy")
    assert dropped >= MOST_WAITING - 1  # and whatever the server was too busy for
    stage.slow.open()
    wait_until(lambda: copies(server, "slow") > before, "what was not dropped to be computed")


@pytest.mark.parametrize(("version", "code"), [("moody", 500), ("wide", 400)])
def test_what_a_shadow_makes_of_a_copy_is_nobody_elses_concern(
    stage: Stage, server: LiveServer, version: str, code: int
) -> None:
    stage.want("1", version, default="1", shadow=version)
    wait_until(lambda: server.index().get(("m", version), {}).get("parameters", {}).get("shadow"), "a shadow")
    for number in (1, 2):
        assert server.predict("m", [[666.0, 0.0]]).json()["predictions"] == [1.0]
        wait_until(partial(has_copies, server, version, code, number), "the copy to fail")
    assert server.metric("model_manager_requests_total", model_version=version) == 0
    assert len(server.logged(f"m/{version} as a shadow: a copy failed")) == 1


def test_every_answer_is_right_while_many_ask_and_weights_and_shadows_change(stage: Stage, server: LiveServer) -> None:
    def ask(user: str) -> set[str]:
        return {by_user(server, user) for _ in range(5)}

    with ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(ask, user) for user in USERS]
        stage.want("1", "2", traffic=SPLIT, sticky="x-user-id", shadow="2")
        stage.want("1", "2", traffic={"1": 0, "2": 100}, sticky="x-user-id", shadow="1")
        for asked in asking:
            assert asked.result() <= {"1", "2"}
    wait_until(lambda: weight(server, "2") == "100", "the weights to change")
    wait_until(lambda: server.status("m", "2")[0] == "READY", "version 2 to answer its share")
    assert {by_user(server, user) for user in USERS} == {"2"}


def test_a_loop_that_computes_most_of_the_time_has_none_to_spare() -> None:
    clock, computed = [0.0], [0.0]
    load = LoopLoad(lambda: clock[0], lambda: computed[0])

    def after(seconds: float, at_work: float) -> bool:
        clock[0] += seconds
        computed[0] += at_work
        return load.is_busy()

    assert not after(0.05, 0.05)  # too short to judge
    assert after(0.05, 0.05)
    assert after(0.05, 0.0)
    assert not after(0.15, 0.05)
