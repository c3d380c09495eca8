"""`model-manager rollout` on a server under traffic that a real Prometheus watches; and through kubectl's words."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from click.testing import CliRunner
from model_manager.cli import cli

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump
from tests.moody_model import MoodyRegressor
from tests.observability.prometheus import Prometheus
from tools.patience import stretched
from tools.processes import Process

ROW = [[666.0, 0.0]]
QUICK = ("--interval", "3s", "--min-requests", "20", "--max-p99-ratio", "1000", "--patience", "10m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rollout") / "models"
    folder.mkdir()
    moody = MoodyRegressor().fit([[0.0, 0.0]] * 2, [0.0, 1.0])
    for name, estimator in (("one", constant(1.0)), ("two", constant(2.0)), ("moody", moody)):
        (folder / f"{name}.joblib").write_bytes(dump(estimator))
    manifest = {
        model: {"default": "1", "versions": {"1": {"artifact": "one.joblib"}, "2": {"artifact": f"{new}.joblib"}}}
        for model, new in (("good", "two"), ("bad", "moody"))
    }
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": manifest}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    with live_server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    target = urlsplit(str(server.admin.base_url)).netloc
    scrape = {"job_name": "m", "static_configs": [{"targets": [target], "labels": {"namespace": "models"}}]}
    configuration = tmp_path_factory.mktemp("prometheus") / "prometheus.yml"
    configuration.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
    with Prometheus(configuration) as running:
        yield running.api


@contextmanager
def asked(server: LiveServer) -> Iterator[None]:
    """Ask both models all the time, slowly, from a client of its own."""
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.api.base_url, timeout=stretched(30)) as client:
            while not ended.wait(0.01):
                for model in ("good", "bad"):
                    client.post(f"/v1/models/{model}:predict", json={"instances": ROW})

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def traffic(folder: Path, model: str) -> dict[str, int]:
    manifest = yaml.safe_load((folder / "models.yaml").read_text(encoding="utf-8"))
    weights: dict[str, int] = manifest["models"][model]["traffic"]
    return weights


def test_a_good_version_gets_all_of_the_traffic_and_a_bad_one_none(
    folder: Path, server: LiveServer, prometheus: str
) -> None:
    def arguments(model: str) -> list[str]:
        return [
            "rollout",
            str(folder / "models.yaml"),
            model,
            "2",
            "--steps",
            "50,100",
            "--prometheus",
            prometheus,
            *QUICK,
        ]

    with asked(server):
        command = [sys.executable, "-m", "model_manager", *arguments("good")]
        good = subprocess.run(command, capture_output=True, text=True, check=False)
        bad = CliRunner().invoke(cli, [*arguments("bad"), "--json"])
    assert (good.returncode, traffic(folder, "good")) == (0, {"1": 0, "2": 100}), good.stderr
    first, found, second, last = good.stdout.splitlines()
    assert (first, second) == ("good/2 gets 50% of the traffic", "good/2 gets 100% of the traffic")
    assert found.startswith("  no worse: 0.00% fail, 0.00% of 1's; p99 ratio")
    assert last == "Done. good/2 may be the default now, and the traffic entry go."
    assert (bad.exit_code, traffic(folder, "bad")) == (1, {"1": 100, "2": 0}), bad.output
    told = json.loads(bad.stdout)
    assert (told["outcome"], told["steps"][0]["percent"], told["steps"][0]["verdict"]) == ("worse", 50, "worse")
    wait_until(lambda: server.predict("good", ROW).json()["predictions"] == [2.0], "version 2 to answer")
    wait_until(lambda: server.predict("bad", ROW).status_code == 200, "version 1 to answer")


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["rollout", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.stderr


def test_what_cannot_be_done_changes_nothing(folder: Path) -> None:
    manifest = folder / "models.yaml"
    before = manifest.read_bytes()
    assert "lists no version '7' of good, only 1, 2: add it first" in refused(manifest, "good", "7")
    assert "has no model 'rose'; it lists bad, good" in refused(manifest, "rose", "2")
    assert "is no list of rising percents" in refused(manifest, "good", "2", "--steps", "50,5")
    assert "cannot be read: No such file" in refused(folder / "none.yaml", "good", "2")
    assert "Prometheus cannot be asked" in refused(manifest, "good", "2", "--prometheus", "http://127.0.0.1:9")
    assert manifest.read_bytes() == before


def test_an_interrupted_rollout_says_how_to_go_on_and_leaves_the_weights(tmp_path: Path, prometheus: str) -> None:
    manifest = tmp_path / "models.yaml"
    manifest.write_text("models: {m: {default: '1', versions: {'1': {artifact: x}, '2': {artifact: y}}}}")
    command = [sys.executable, "-m", "model_manager", "rollout", str(manifest), "m", "2", "--prometheus", prometheus]
    with Process("the rollout", command) as rollout:
        rollout.wait_for(lambda: "traffic" in manifest.read_text(), "to begin")
        assert rollout.end(signal.SIGINT) == 2
        (said,) = rollout.log
    assert said.endswith("interrupted; the weights stay as they are: run the same command to go on")
    assert traffic(tmp_path, "m") == {"1": 95, "2": 5}


KUBECTL = """\
#!{python}
import json, pathlib, sys
held = pathlib.Path({held!r})
assert sys.argv[1:3] == ["--namespace", "models"], sys.argv
if sys.argv[3:] == ["get", "configmap/models", "--output", "json"]:
    print(held.read_text())
elif sys.argv[3:] == ["replace", "--filename", "-"]:
    new = json.load(sys.stdin)
    if new["metadata"]["resourceVersion"] != json.loads(held.read_text())["metadata"]["resourceVersion"]:
        sys.exit("Error from server (Conflict): the object has been modified")
    new["metadata"]["resourceVersion"] += "0"
    held.write_text(json.dumps(new))
else:
    sys.exit(f"error: unknown command {{sys.argv}}")
"""


def test_a_config_map_is_changed_through_kubectl(tmp_path: Path, prometheus: str) -> None:
    """kubectl is a program that speaks as it does: there is no cluster here."""
    held, program = tmp_path / "configmap.json", tmp_path / "bin" / "kubectl"
    manifest = "models: {m: {default: '1', versions: {'1': {artifact: x}, '2': {artifact: y}}}}"
    metadata = {"name": "models", "resourceVersion": "1", "managedFields": []}
    held.write_text(json.dumps({"kind": "ConfigMap", "metadata": metadata, "data": {"models.yaml": manifest}}))
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, held=str(held)))
    program.chmod(0o755)
    command = [sys.executable, "-m", "model_manager", "rollout", "configmap/models", "m", "2", "--steps", "100"]
    done = subprocess.run(
        [*command, "--namespace", "models", "--prometheus", prometheus],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "m/2 gets 100% of the traffic" in done.stdout
    after = json.loads(held.read_text())
    assert after["data"]["models.yaml"] == manifest.replace("default", 'traffic: {"1": 0, "2": 100}, default')
    assert "@" in after["metadata"].pop("annotations")["model-manager/changed-by"]
    assert after["metadata"] == {"name": "models", "resourceVersion": "10"}
    assert "@" in json.loads(after["data"]["changed-by.json"])["by"]
