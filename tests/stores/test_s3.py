"""Against a real S3 API: versions are published whole or not at all, by one of many, and served from there."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from model_manager.cli import cli
from model_manager.errors import VersionTaken
from model_manager.packaging.uploading import publish_package, read_package
from model_manager.repository.stores import open_store

from tests.live import live_server
from tests.stores import publisher
from tests.unit.stores.staging import fetch, refusal, remote, wanted
from tools.processes import Process

pytestmark = [pytest.mark.stores, pytest.mark.timeout(300)]

BUCKET = "models"
_MOMENTS = 50


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a server of S3's API with one bucket, to which the environment points."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which("moto_server", path=beside)
    assert program is not None, "make test-stores"
    with Process("S3", [program, "-H", "127.0.0.1", "-p", "0"]) as process, pytest.MonkeyPatch.context() as patch:
        url = process.wait_for(lambda: _address(process.log), "to listen")
        assert httpx.put(f"{url}/{BUCKET}").status_code == 200
        for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "AKID", "SECRET_ACCESS_KEY": "hunter2"}.items():
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_REGION", "us-east-1")
        try:
            yield url
        finally:
            process.end(signal.SIGKILL)


@pytest.fixture
def destination(s3: str, request: pytest.FixtureRequest) -> str:
    """A place of the test's own in the bucket."""
    return f"s3://{BUCKET}/{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"


def _address(log: list[str]) -> str | None:
    return next((line.rpartition(" ")[2] for line in log if "Running on http://127" in line), None)


def keys(s3: str, destination: str) -> set[str]:
    """The objects below a destination, without those that are known by their digest alone."""
    prefix = destination.removeprefix(f"s3://{BUCKET}/") + "/"
    text = httpx.get(f"{s3}/{BUCKET}", params={"list-type": "2", "prefix": prefix}).text
    found = (part.partition("</Key>")[0].removeprefix(prefix) for part in text.split("<Key>")[1:])
    return {key for key in found if not key.startswith("blobs/")}


def read(uri: str) -> bytes | None:
    """The content of an object."""
    store, path = open_store(uri, timeout_s=60)
    return store.read_small(path)


def package(folder: Path, content: bytes, **described: Any) -> Path:
    """A package around any bytes."""
    place = folder / "iris" / "1"
    place.mkdir(parents=True)
    (place / "model.joblib").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    metadata = {"artifact": {"file": "model.joblib", "sha256": digest, "bytes": len(content)}, **described}
    (place / "metadata.json").write_text(json.dumps(metadata))
    return place


def test_a_version_is_published_and_served(samples: Path, tmp_path: Path, destination: str) -> None:
    result = CliRunner().invoke(cli, ["publish", str(samples / "iris" / "2"), destination, "--json"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "wanted"
    folder.mkdir()
    (folder / "models.yaml").write_text(json.loads(result.stdout)["manifest"])
    with live_server(folder, artifact_stores=destination, cache=tmp_path / "cache") as server:
        assert server.predict("iris", [[5.1, 3.5, 1.4, 0.2]]).headers["x-model-version"] == "2"
        assert server.metric("model_manager_golden_rows", model_version="2") > 0
        assert "hunter2" not in json.dumps(server.log)
    again = CliRunner().invoke(cli, ["publish", str(samples / "iris" / "2"), destination, "--json"])
    assert (again.exit_code, json.loads(again.stdout)["published"]) == (0, False)


def test_a_large_artifact_is_sent_and_comes_in_parts(tmp_path: Path, destination: str) -> None:
    content = random.Random(0).randbytes(20 << 20)
    folder, sent = package(tmp_path, content), list[int]()
    published = publish_package(read_package(folder), "iris", "1", destination, sent.append)
    assert sum(sent) == len(content)
    assert len(sent) == 3
    version = wanted(published.artifact, published.sha256, None)
    assert refusal(remote(tmp_path), version).reason == "too_large"  # by the limit of these tests, nothing was read
    small = package(tmp_path / "small", content[: 3 << 20])
    published = publish_package(read_package(small), "small", "1", destination)
    version = wanted(published.artifact, published.sha256, None)
    assert fetch(remote(tmp_path), version) == content[: 3 << 20]


def test_of_many_who_publish_a_version_at_once_one_wins(s3: str, tmp_path: Path, destination: str) -> None:
    packages = [read_package(package(tmp_path / str(n), b"model %d" % n, python=f"3.{n}")) for n in range(8)]
    start, won, lost = threading.Barrier(len(packages)), list[int](), list[int]()

    def publish(number: int) -> None:
        start.wait()
        try:
            publish_package(packages[number], "iris", "1", destination)
        except VersionTaken:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(len(packages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert keys(s3, destination) == {"iris/1/metadata.json", "iris/1/model.joblib"}
    assert read(f"{destination}/iris/1/model.joblib") == b"model %d" % won[0]


def test_killed_at_any_moment_it_leaves_nothing_half_and_can_be_repeated(
    s3: str, tmp_path: Path, destination: str
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.stores.publisher", "obstore.store"])
    content = random.Random(1).randbytes(9 << 20)  # two parts
    folder = package(tmp_path, content)
    started = time.monotonic()
    whole = context.Process(target=publisher.publish, args=(str(folder), f"{destination}/whole"))
    whole.start()
    whole.join()
    assert whole.exitcode == 0
    takes, chance, killed = time.monotonic() - started, random.Random(2), 0
    for moment in range(_MOMENTS):
        place = f"{destination}/{moment}"
        process = context.Process(target=publisher.publish, args=(str(folder), place))
        process.start()
        process.join(chance.uniform(0, takes))
        killed += process.is_alive()
        process.kill()
        process.join()
        seen = keys(s3, place)
        assert seen in (set(), {"iris/1/metadata.json"}, {"iris/1/metadata.json", "iris/1/model.joblib"})
        if "iris/1/model.joblib" in seen:
            assert read(f"{place}/iris/1/model.joblib") == content
        if moment % 10 == 0:
            assert publish_package(read_package(folder), "iris", "1", place).sha256
            assert read(f"{place}/iris/1/model.joblib") == content
    assert killed > _MOMENTS / 4
