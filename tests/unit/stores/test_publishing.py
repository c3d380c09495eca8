"""`model-manager publish`: a version is there whole or not at all, whoever else publishes it and however that ends."""

import hashlib
import json
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from model_manager.cli import cli
from model_manager.errors import VersionTaken
from model_manager.packaging.uploading import publish_package, read_package
from model_manager.repository.manifest import parse_manifest

from tests.artifact_server import ArtifactServer, Request
from tests.live import wait_until, without_server_settings
from tests.unit.stores.staging import fetch, refusal, remote, wanted
from tools.processes import Process

FILES = {"/r/iris/1/metadata.json", "/r/iris/1/model.joblib"}


@pytest.fixture
def package(samples: Path, tmp_path: Path) -> Path:
    """A version in a repository of its own."""
    folder = tmp_path / "repository" / "iris" / "1"
    shutil.copytree(samples / "iris" / "1", folder)
    return folder


@pytest.fixture(params=["http", "s3"])
def destination(request: pytest.FixtureRequest, store: ArtifactServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store, which is an HTTP server, or speaks the language of S3; empty."""
    store.files.clear()
    if request.param == "http":
        return f"{store.url}/r"
    for name, value in {"ENDPOINT_URL": store.url, "ACCESS_KEY_ID": "AKID", "SECRET_ACCESS_KEY": "hunter2"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return "s3://r"


def publish(package: Path, destination: object, *options: str) -> Result:
    return CliRunner().invoke(cli, ["publish", str(package), str(destination), *options])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions(store: ArtifactServer) -> dict[str, bytes]:
    """What can be seen: everything but what lies under a digest alone."""
    return {path: content for path, content in store.files.items() if "/blobs/" not in path}


def test_a_version_is_published_and_fetched(
    package: Path, destination: str, store: ArtifactServer, tmp_path: Path
) -> None:
    result = publish(package, destination, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    digest = sha256(package / "model.joblib")
    assert told["uri"] == f"{destination}/iris/1/model.joblib"
    assert (told["sha256"], told["bytes"], told["published"]) == (digest, 1096, True)
    entry = parse_manifest(told["manifest"].encode()).models["iris"].versions["1"]
    assert (entry.artifact, entry.sha256) == (told["uri"], digest)
    assert versions(store) == {
        "/r/iris/1/metadata.json": (package / "metadata.json").read_bytes(),
        "/r/iris/1/model.joblib": (package / "model.joblib").read_bytes(),
    }
    assert ("PUT", "/r/iris/1/metadata.json", "*") in store.asked  # only if there is none
    version = wanted(entry.artifact, digest, None)
    assert fetch(remote(tmp_path), version) == (package / "model.joblib").read_bytes()


def test_the_same_bytes_are_there_already(package: Path, destination: str, store: ArtifactServer) -> None:
    assert publish(package, destination).exit_code == 0
    before = dict(store.files)
    store.asked.clear()
    result = publish(package, destination)
    assert (result.exit_code, store.files) == (0, before)
    assert "there already, with the same bytes" in result.stdout
    assert not [asked for asked in store.asked if asked[0] == "PUT"]


def test_a_version_is_never_overwritten(package: Path, destination: str, store: ArtifactServer) -> None:
    assert publish(package, destination).exit_code == 0
    before = dict(store.files)
    metadata = json.loads((package / "metadata.json").read_text())
    (package / "metadata.json").write_text(json.dumps(metadata | {"python": "3.99"}))
    result = publish(package, destination)
    assert (result.exit_code, store.files) == (1, before)
    assert "iris/1 is published already, with the same artifact and another metadata.json" in result.stderr


def test_wherever_it_breaks_off_nothing_half_is_seen_and_the_same_command_goes_on(
    package: Path, destination: str, store: ArtifactServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, broken = sha256(package / "model.joblib"), 0
    for number in range(1, 100):
        store.files.clear()
        store.asked.clear()
        store.fault = lambda request, number=number: len(store.asked) >= number  # type: ignore[misc]
        if publish(package, destination).exit_code == 0:
            break
        broken += 1
        seen = versions(store)
        assert seen.keys() <= FILES
        if "/r/iris/1/model.joblib" in seen:
            assert "/r/iris/1/metadata.json" in seen
            assert hashlib.sha256(seen["/r/iris/1/model.joblib"]).hexdigest() == digest
        store.fault = lambda request: False
        assert publish(package, destination).exit_code == 0
        assert versions(store).keys() == FILES
    assert broken >= 5


def test_of_two_who_publish_at_once_one_wins(package: Path, destination: str, store: ArtifactServer) -> None:
    """Both have found nothing there when the first creates the version."""
    other = package.parent.parent.parent / "other" / "iris" / "1"
    shutil.copytree(package, other)
    metadata = json.loads((other / "metadata.json").read_text())
    (other / "metadata.json").write_text(json.dumps(metadata | {"python": "3.99"}))
    both, lost = threading.Barrier(2), list[Path]()

    def meet(request: Request) -> bool:
        if request.command == "PUT" and request.path.endswith("metadata.json"):
            both.wait()
        return False

    def run(folder: Path) -> None:
        try:
            publish_package(read_package(folder), "iris", "1", destination)
        except VersionTaken:
            lost.append(folder)

    store.fault = meet
    threads = [threading.Thread(target=run, args=(folder,)) for folder in (package, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (loser,) = lost
    winner = other if loser == package else package
    assert store.files["/r/iris/1/metadata.json"] == (winner / "metadata.json").read_bytes()


def test_a_tampered_package_is_not_published(package: Path, store: ArtifactServer) -> None:
    with open(package / "model.joblib", "ab") as file:
        file.write(b"more")
    result = publish(package, f"{store.url}/r")
    assert (result.exit_code, store.asked) == (2, [])
    assert "it was changed or cut short since it was packed" in result.stderr


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("ftp://host/models", "cannot reach ftp://"),
        ("https://host/models?token=hunter2", "without '?' and '#'"),
        ("s3://reader:hunter2@models", "credentials belong into the environment"),
    ],
)
def test_a_destination_that_is_none_is_refused(package: Path, destination: str, told: str) -> None:
    result = publish(package, destination)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "hunter2" not in result.stderr


def test_a_store_that_refuses_is_told_with_no_secret(package: Path, destination: str, store: ArtifactServer) -> None:
    def refuse(request: Request) -> bool:
        request.answer(403, b"")
        return True

    store.fault = refuse
    result = publish(package, destination)
    assert result.exit_code == 2
    assert "credentials" in result.stderr
    assert "hunter2" not in result.output


def test_a_folder_gets_it_whole(package: Path, tmp_path: Path) -> None:
    repository = tmp_path / "there"
    results = [publish(package, repository) for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    for result, outcome in zip(results, ("published", "there already, with the same bytes"), strict=True):
        assert outcome in result.stdout
    manifest = yaml.safe_load(results[1].stdout.partition("models.yaml:")[2])
    assert manifest["models"]["iris"]["versions"]["1"]["artifact"] == str(repository / "iris" / "1" / "model.joblib")
    assert {path.name for path in (repository / "iris").rglob("*")} == {"1", "metadata.json", "model.joblib"}
    (package / "metadata.json").write_bytes((package / "metadata.json").read_bytes() + b"\n")
    assert publish(package, repository).exit_code == 1


def test_ctrl_c_is_heard_while_a_store_hangs(package: Path, store: ArtifactServer) -> None:
    def hang(request: Request) -> bool:
        return store.released.wait()

    store.fault = hang
    command = [sys.executable, "-m", "model_manager", "publish", str(package), f"{store.url}/r"]
    with Process("a publisher", command, environment=without_server_settings()) as process:
        wait_until(lambda: store.asked, "the store to be asked")
        assert process.end(signal.SIGINT) == 130


def test_what_is_read_from_an_object_store_is_told_apart(
    store: ArtifactServer, destination: str, tmp_path: Path
) -> None:
    def reason(code: int) -> str:
        def answer(request: Request) -> bool:
            request.answer(code, b"")
            return True

        store.fault = answer
        return refusal(remote(tmp_path, timeout_s=5), wanted(f"{destination}/iris/1/model.joblib")).reason

    assert [reason(code) for code in (404, 403, 401)] == ["missing", "store_refused", "store_refused"]


def test_object_stores_need_the_extra(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    result = publish(package, "s3://models")
    assert result.exit_code == 2
    assert "pip install 'model-manager-server[remote]'" in result.stderr
