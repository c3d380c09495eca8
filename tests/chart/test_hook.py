"""What `helm test` runs, run here: the rendered command, against a real server that serves what the values say."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.chart import CHART, Helm
from tests.live import LiveServer, live_server

ROWS = [[6.0, 2.8, 4.8, 1.6], [5.1, 3.5, 1.4, 0.2]]


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples) as server:
        yield server


def run(helm: Helm, server: LiveServer, test: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the container of the test's pod with the Service's address replaced by the server's."""
    (container,) = helm.template({"test": test}).one("Pod")["spec"]["containers"]
    script, url, *rest = container["args"]
    at_the_service = "http://shop-model-manager.models.svc.cluster.local:80/"
    assert url.startswith(at_the_service)
    url = url.replace(at_the_service, f"{server.api.base_url}/")
    assert container["command"] == ["python", "-c"]
    command = [sys.executable, "-c", script, url, *rest]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_right_answer_passes(helm4: Helm, server: LiveServer) -> None:
    done = run(helm4, server, {"model": "iris", "instances": ROWS, "predictions": ["virginica", "setosa"]})
    assert done.returncode == 0, done.stderr
    assert "as expected" in done.stdout


def test_one_version_can_be_asked(helm4: Helm, server: LiveServer) -> None:
    done = run(helm4, server, {"model": "iris", "version": "1", "instances": ROWS[:1], "predictions": ["versicolor"]})
    assert done.returncode == 0, done.stdout


def test_a_wrong_answer_fails_and_shows_both(helm4: Helm, server: LiveServer) -> None:
    done = run(helm4, server, {"model": "iris", "instances": ROWS, "predictions": ["virginica", "virginica"]})
    assert done.returncode == 1
    assert "'setosa'" in done.stdout
    assert "instead of {'predictions': ['virginica', 'virginica']}" in done.stdout


def test_a_refused_request_fails_at_once_with_the_reason(helm4: Helm, server: LiveServer) -> None:
    done = run(helm4, server, {"model": "irises", "instances": ROWS[:1], "predictions": ["setosa"]})
    assert done.returncode == 1
    assert "404" in done.stdout
    assert "irises" in done.stdout


def test_a_pod_that_passed_goes_and_one_that_failed_stays_for_its_log(helm4: Helm) -> None:
    """Helm uninstalls no pod of a test: what a policy does not take away stays."""
    test = {"model": "iris", "instances": [1], "predictions": [1]}
    annotations = helm4.template({"test": test}).one("Pod")["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"].split(",") == ["before-hook-creation", "hook-succeeded"]


def test_the_script_in_the_pod_is_the_file_of_the_chart(helm4: Helm) -> None:
    test = {"model": "iris", "instances": [1], "predictions": [1]}
    (container,) = helm4.template({"test": test}).one("Pod")["spec"]["containers"]
    assert container["args"][0].strip() == (CHART / "files" / "predict.py").read_text().strip()
