"""The split is measured: what the rendered VirtualService says is what ten thousand requests get."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.chart.chart import Helm
from tests.conftest import ROOT
from tests.live import LiveServer, live_server, wait_until
from tests.mesh.deployment import TRACKS, VALUES, Release, environment, weights
from tests.mesh.proxy import MeshProxy
from tests.mesh.traffic import Asked, bounds, traffic
from tests.mesh.virtual_service import read_routing, route_configuration
from tests.models import dump, put
from tests.slow_model import SlowRegressor
from tools import parts
from tools.patience import stretched
from tools.servers import ask

REQUESTS = 10_000
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


def tracks(asked: Sequence[Asked]) -> Counter[str]:
    """How many requests each track answered rightly; the rest, by what was wrong."""
    return Counter(each.failure or TRACKS[each.version] for each in asked)


def pinned(deployed: Release, header: str, value: str, count: int = 500) -> Counter[str]:
    with traffic(deployed.proxy.api, deployed.question, {header: value}) as load:
        return tracks(load.take(count))


def test_ninety_to_ten_is_ninety_to_ten(deployed: Release) -> None:
    deployed.upgrade(weights(10))
    with traffic(deployed.proxy.api, deployed.question) as load:
        answered = tracks(load.take(REQUESTS))
    low, high = bounds(REQUESTS, 0.10)
    assert answered.keys() == {"stable", "canary"}
    assert low <= answered["canary"] <= high
    assert answered.total() == REQUESTS


@pytest.mark.parametrize("track", ["stable", "canary"])
def test_a_pin_is_exact_by_header_and_by_cookie(deployed: Release, track: str) -> None:
    deployed.upgrade(weights(10))
    assert pinned(deployed, "x-model-track", track) == {track: 500}
    assert pinned(deployed, "cookie", f"session=7; model-track={track}; theme=dark") == {track: 500}


def test_a_pin_reaches_a_track_that_has_no_share(deployed: Release) -> None:
    deployed.upgrade(weights(0))
    assert pinned(deployed, "x-model-track", "canary") == {"canary": 500}
    assert pinned(deployed, "cookie", "model-track=canary") == {"canary": 500}


def test_what_only_resembles_a_pin_is_split_like_the_rest(deployed: Release) -> None:
    deployed.upgrade(weights(0))
    assert pinned(deployed, "x-model-track", "canary-2") == {"stable": 500}
    assert pinned(deployed, "cookie", "model-track=canary-2; other-model-track=canary") == {"stable": 500}


def test_weights_change_under_load_without_a_failed_request(deployed: Release) -> None:
    deployed.upgrade(weights(0))
    with traffic(deployed.proxy.api, deployed.question) as load:
        for canary in (0, 50, 100, 5, 0):
            deployed.upgrade(weights(canary))
            answered = tracks(load.take(1000))
            low, high = bounds(1000, canary / 100)
            assert low <= answered["canary"] <= high
    assert tracks(load.asked).keys() == {"stable", "canary"}


def test_a_rolling_restart_of_a_track_fails_no_request(deployed: Release) -> None:
    deployed.upgrade(weights(50))
    before = {pod.name for pod in deployed.pods["canary"]}
    with traffic(deployed.proxy.api, deployed.question) as load:
        load.take(500)
        deployed.restart("canary")
        load.take(500)
    assert len(deployed.pods["canary"]) == 2
    assert before.isdisjoint(pod.name for pod in deployed.pods["canary"])
    assert tracks(load.asked).keys() == {"stable", "canary"}


def test_a_track_without_a_ready_pod_is_seen_to_fail(deployed: Release) -> None:
    """What tells that the tests above would notice a lost request."""
    deployed.upgrade(weights(50))
    deployed.proxy.endpoints("canary", [])
    with traffic(deployed.proxy.api, deployed.question) as load:
        answered = tracks(load.take(500))
    deployed.publish("canary")
    (failure,) = answered.keys() - {"stable"}
    assert failure.startswith("503 of version ?")


def test_a_pod_that_refuses_connections_costs_no_request(deployed: Release) -> None:
    """As when a node ends before the endpoints say so: nothing was accepted, so another pod is asked."""
    deployed.upgrade(weights(0))
    gone = deployed.start("stable")
    gone.wait_for(gone.is_ready, "to be ready")
    deployed.publish("stable")
    deployed.pods["stable"].remove(gone)
    gone.stop()
    with traffic(deployed.proxy.api, deployed.question) as load:
        answered = tracks(load.take(500))
    deployed.publish("stable")
    assert answered == {"stable": 500}


def test_a_mirror_gets_copies_whose_answers_nobody_sees(deployed: Release) -> None:
    def predicted() -> float:
        said = (ask(f"{pod.addresses['admin']}/metrics").body.decode() for pod in deployed.pods["canary"])
        counts = re.findall(r'^model_manager_requests_total\{.*code="200".*\} (.*)$', "\n".join(said), re.MULTILINE)
        return sum(map(float, counts))

    deployed.upgrade(weights(0))
    before = predicted()
    deployed.upgrade({"route.mirror.track": "canary"})
    try:
        with traffic(deployed.proxy.api, deployed.question) as load:
            load.take(500)
        assert tracks(load.asked).keys() == {"stable"}
        wait_until(lambda: predicted() == before + len(load.asked), "a copy of every request")
    finally:
        deployed.upgrade({"route.mirror.track": ""})


def test_a_pod_gets_no_request_before_it_is_ready(deployed: Release) -> None:
    deployed.upgrade(weights(50))
    artifacts = {path.name: path.read_bytes() for path in deployed.artifacts.glob("*.joblib")}
    with traffic(deployed.proxy.api, deployed.question) as load:
        for name in artifacts:
            (deployed.artifacts / name).unlink()
        try:
            late = deployed.start("canary")
        finally:
            for name, content in artifacts.items():
                (deployed.artifacts / name).write_bytes(content)
        deployed.publish("canary")
        load.take(500)
        assert not late.is_ready()
        assert ask(f"{late.api}{deployed.question.path}", deployed.question.body).status == 503
        for name, content in artifacts.items():
            (deployed.mount(late.name) / name).write_bytes(content)
        late.wait_for(late.is_ready, "to be ready")
        deployed.publish("canary")
        load.take(500)
        deployed.stop("canary", late)
    assert tracks(load.asked).keys() == {"stable", "canary"}


@pytest.fixture
def held(tmp_path: Path) -> SlowRegressor:
    """A model named held, in the folder models, that answers nothing while it is shut."""
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0], [1.0]], [0.0, 1.0])
    model.open()
    put(tmp_path / "models", "held", "1", dump(model))
    return model


def ask_held(proxy: MeshProxy, host: str) -> httpx.Response:
    body = {"instances": [[1.0]]}
    return httpx.post(f"{proxy.api}/v1/models/held:predict", json=body, headers={"host": host}, timeout=stretched(30))


def test_the_server_gives_up_before_the_route_does(helm4: Helm, held: SlowRegressor, tmp_path: Path) -> None:
    """So that the caller reads why, and nobody asks another pod for what is merely slow."""
    sets = {"settings.timeoutMs": "300", "route.timeout": "1s"}
    documents = helm4.template(file=VALUES, sets=sets).documents
    routing = read_routing(documents)
    timeout_ms = environment(documents, "stable")["MODEL_MANAGER_TIMEOUT_MS"]
    with (
        live_server(tmp_path / "models", timeout_ms=timeout_ms) as server,
        MeshProxy(["stable", "canary"], route_configuration(routing), tmp_path) as proxy,
    ):
        held.shut()
        proxy.endpoints("stable", [str(server.api.base_url)])
        answer = ask_held(proxy, routing.hosts[0])
        held.open()
        assert answer.status_code == 504
        assert answer.json()["error"]
        assert answer.headers["x-model-version"] == "1"
        assert server.metric("model_manager_requests_total", code="504") == 1


def test_what_a_pod_has_begun_is_never_begun_again(helm4: Helm, held: SlowRegressor, tmp_path: Path) -> None:
    # neither the route nor the server gives up before the pod is gone, however slow the machine
    routing = read_routing(helm4.template(file=VALUES, sets={"route.timeout": "60s"}).documents)
    with (
        live_server(tmp_path / "models", compile="off") as other,  # nobody but the test asks the model
        MeshProxy(["stable", "canary"], route_configuration(routing), tmp_path) as proxy,
        ThreadPoolExecutor() as pool,
        ExitStack() as pods,
    ):
        broken = pods.enter_context(LiveServer(tmp_path / "models", {"timeout-ms": 60_000, "compile": "off"}))
        wait_until(broken.ready, "the server to be ready")
        held.shut()
        proxy.endpoints("stable", [str(broken.api.base_url)])
        asked = pool.submit(ask_held, proxy, routing.hosts[0])
        wait_until(held.entered, "the request to reach the model")
        proxy.endpoints("stable", [str(broken.api.base_url), str(other.api.base_url)])
        broken.stop(signal.SIGKILL)
        answer = asked.result()
        held.open()
        assert answer.status_code == 503, (answer.text, dict(answer.headers))
        assert "reset reason: connection termination" in answer.text
        assert other.metric("model_manager_requests_total") == 0


def test_the_command_walks_the_whole_way_and_draws_it(tmp_path: Path) -> None:
    parts.module("matplotlib")
    figures, picture = tmp_path / "split.json", tmp_path / "split.png"
    command = ["-m", "tests.mesh", "--requests", "500", "--json", str(figures), "--plot", str(picture)]
    ran = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(figures.read_text())
    assert [step["weight"] for step in document["steps"]] == [0, 5, 25, 50, 100, 0]
    assert sum(each["failed"] for each in document["slices"]) == 0
    assert sum(each["requests"] for each in document["slices"]) > 6 * 500
    assert "promoted" in ran.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
