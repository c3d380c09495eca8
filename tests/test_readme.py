"""Every example of README.md and of the pages that go on from it, run in the order in which a reader meets them."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.wanted import Batching

from models.churn.train import train as train_churn
from tests.conftest import ROOT
from tests.history import NOW, History, write_side
from tests.live import LiveServer, live_server, wait_until
from tools.kubelet import ConfigMapVolume
from tools.parts import helm

README = (ROOT / "README.md").read_text(encoding="utf-8")
LONGEST_PAGE = 150
"""Lines of README that a person reads to the end."""


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The examples of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(language, text) for language, text in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


BLOCKS = blocks("README.md")
ASKED = [*BLOCKS, *blocks("docs/answers.md"), *blocks("docs/observe.md")]
"""Requests, and what they answer: what was counted, at the end, is what the pages before had asked."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """The folder a reader sits in: a checkout in which `make serve` has built the sample models."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(samples, folder / "build" / "models")
    (folder / "models").symlink_to(ROOT / "models")
    train_churn("1").table.rename(columns={"churn": "churned"}).to_csv(folder / "customers.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def server(reader: Path) -> Iterator[LiveServer]:
    with live_server(reader / "build" / "models") as server:
        yield server


def run(command: str, reader: Path, server: LiveServer | None = None, path: Path | None = None) -> str:
    """Run an example the way a reader would, with this server's ports and this interpreter."""
    if server is not None:
        command = command.replace("localhost:8080", str(server.api.base_url.netloc, "ascii"))
        command = command.replace("localhost:8081", str(server.admin.base_url.netloc, "ascii"))
    command = command.replace(".venv/bin/python", sys.executable)
    command = command.replace(".venv/bin/model-manager", f"{sys.executable} -m model_manager")
    environment = {"PATH": f"{path}:/usr/bin:/bin"} if path is not None else None
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=reader,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_request_answers_as_printed(reader: Path, server: LiveServer) -> None:
    asked = 0
    for block, answer in pairwise(ASKED):
        if block.language == "sh" and "curl" in block.text:
            printed = run(block.text, reader, server)
            if answer.language == "json":
                assert json.loads(printed) == json.loads(answer.text), block.text
            else:
                assert answer.language == "text"
                assert printed == answer.text
            asked += 1
    assert asked == sum(block.text.count("curl -s") for block in ASKED) == 6


def test_a_row_a_frame_and_a_file_are_answered_as_printed(reader: Path, server: LiveServer) -> None:
    ((script, printed),) = [pair for pair in pairwise(BLOCKS) if "httpx.post" in pair[0].text]
    (reader / "ask.py").write_text(script.text.replace("localhost:8080", server.api.base_url.netloc.decode()))
    assert run(".venv/bin/python ask.py", reader) == printed.text
    (command,) = [block.text for block in ASKED if "model-manager predict" in block.text]
    run(command, reader, server)
    rows, scored = (pd.read_csv(reader / name) for name in ("customers.csv", "scored.csv"))
    assert scored.drop(columns="predict").equals(rows)
    assert set(scored["predict"]) == {"yes", "no"}


def test_the_packages_a_reader_writes_go_live(reader: Path, server: LiveServer) -> None:
    scripts = [block.text for block in BLOCKS if block.language == "python" and "pack(" in block.text]
    assert len(scripts) == 1
    subprocess.run([sys.executable, "-c", scripts[0]], cwd=reader, check=True)
    wait_until(lambda: server.status("wine", "1") == ("READY", ""), "the packed model to serve")
    commands = [block.text for block in BLOCKS if "model-manager train" in block.text and block.language == "sh"]
    assert len(commands) == 1
    run(commands[0], reader)
    wait_until(lambda: server.status("customers", "1") == ("READY", ""), "the model from the CSV file to serve")


def test_the_config_map_serves_what_it_says(reader: Path) -> None:
    (command,) = [block.text for block in BLOCKS if "model-manager configmap" in block.text and block.language == "sh"]
    run(command, reader)
    config_map = yaml.safe_load((reader / "models-configmap.yaml").read_text())
    binary = {key: base64.b64decode(text) for key, text in config_map["binaryData"].items()}
    volume = ConfigMapVolume(reader / "mount")
    volume.write({**binary, **{key: text.encode() for key, text in config_map["data"].items()}})
    with live_server(volume.folder) as server:
        answer = server.predict("iris", [[6.0, 2.8, 4.8, 1.6]])
        assert answer.headers["x-model-version"] == "1"
        assert answer.json() == {"predictions": ["versicolor"]}
        assert server.predict("iris", [[6.0, 2.8, 4.8, 1.6]], "2").json() == {"predictions": ["virginica"]}


def test_the_manifest_is_one_and_its_defaults_are_those(reader: Path) -> None:
    (text,) = [block.text for block in blocks("docs/manifests.md") if block.language == "yaml"]
    manifest = parse_manifest(text.replace("SHA256_OF_IRIS_2", hashlib.sha256().hexdigest()).encode())
    batching = manifest.models["iris"].batching
    assert batching is not None
    assert Batching(**batching.model_dump()) == Batching()


def test_the_helm_commands_render_what_they_promise(reader: Path) -> None:
    later = (ROOT / "docs" / "canary.md").read_text(encoding="utf-8").partition("## When Istio comes later")[2]
    (install,) = [block.text.rstrip() for block in BLOCKS if block.text.startswith("helm ")]
    proxies, add, shift = re.findall(r"```sh\n(helm .*?)\n```", later, re.DOTALL)
    (reader / "charts").symlink_to(ROOT / "charts")
    homes = " ".join(f"HELM_{kind}_HOME={reader / kind}" for kind in ("CACHE", "CONFIG", "DATA"))
    template = f"{homes} {helm(4)} template models charts/model-manager"
    installed = install.removeprefix("helm install models charts/model-manager")
    assert "image: registry.example.com/model-manager:" in run(template + installed, reader).replace('"', "")
    values = installed  # Helm keeps what was set before; a render has to be told again
    for step, weights in ((proxies, []), (add, ["0", "100"]), (shift, ["10", "90"])):
        values += step.removeprefix("helm upgrade models charts/model-manager --reset-then-reuse-values")
        assert re.findall(r"^ +weight: (\d+)", run(template + values, reader), re.MULTILINE) == weights


def test_the_comparison_with_a_canary_is_printed_as_it_would_be(reader: Path, tmp_path: Path) -> None:
    ((command, verdict),) = [pair for pair in pairwise(BLOCKS) if pair[0].text.startswith("model-manager canary")]
    ((again, printed),) = [
        pair for pair in pairwise(blocks("docs/canary.md")) if pair[0].text.startswith("model-manager canary")
    ]
    assert command == again
    history = History()
    write_side(history, "iris", "stable", {"200": 9051, "400": 12, "503": 3}, dropped={"queue_full": 3})
    labels = {"setosa": 31, "versicolor": 38, "virginica": 31}
    write_side(history, "iris", "canary", {"200": 1003, "400": 1}, labels=labels, slowness=0.8)
    with history.served(tmp_path) as prometheus:
        asked = command.text.strip().replace("http://localhost:9090", prometheus) + f" --at {NOW}"
        said = run(asked.replace("model-manager", ".venv/bin/python -m model_manager"), reader)
    assert [line.rstrip() for line in said.splitlines()] == printed.text.splitlines()
    assert printed.text.splitlines()[-1:] == verdict.text.splitlines()


def test_the_make_commands_are_targets_of_the_makefile() -> None:
    commands = re.findall(r"^make \w+", README, re.MULTILINE)
    assert commands == ["make serve", "make test", "make image"]
    for command in commands:
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_it_is_one_page() -> None:
    assert len(README.splitlines()) <= LONGEST_PAGE
