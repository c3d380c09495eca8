"""A real server and the commands that ask it; what it says of artifacts under other names, and of a new manifest."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from model_manager.serving.keys import digest_of

from tests.live import LiveServer, live_server, wait_until, without_server_settings
from tests.models import constant, dump, put
from tests.unit.inventory.staging import pack_iris, rows_of, run
from tools.patience import LIMIT_S, stretched


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of iris and a bare model, beside what is no version."""
    folder = tmp_path_factory.mktemp("models")
    pack_iris(folder, "1")
    pack_iris(folder, "2", accuracy=0.95, strength=0.01)
    put(folder, "bare", "1", dump(constant(1.0)))
    for place in ("iris/9/clf.bin", "wine/1/model.joblib.gz", "stray.joblib"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"model")
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[LiveServer]:
    with live_server(repository, compile="off") as server:
        yield server


def addresses(server: LiveServer) -> list[str]:
    return [str(client.base_url).rstrip("/") for client in (server.api, server.admin)]


def answered(*arguments: object) -> tuple[int, Any]:
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


class TestOtherNames:
    """The server is ready, and tells of each in the log once and in the index."""

    def test_they_are_unavailable_with_what_to_do_and_in_nobodys_way(self, server: LiveServer) -> None:
        index = server.index()
        told = {place: row["reason"] for place, row in index.items() if row["state"] == "UNAVAILABLE"}
        assert told.keys() == {("iris", "9"), ("wine", "1"), ("stray.joblib", "")}
        assert told["iris", "9"].endswith("name it model.joblib if joblib or pickle wrote it")
        assert index["iris", "2"]["parameters"]["default"] == "true"
        assert server.ready()

    def test_each_is_logged_once(self, server: LiveServer, repository: Path) -> None:
        put(repository, "seen", "1", dump(constant(1.0)))  # so that the folder was certainly read again
        wait_until(lambda: server.status("seen", "1")[0] == "READY", "the folder to be read again")
        assert len(server.logged("ignored ")) == 3
        shutil.rmtree(repository / "seen")
        wait_until(lambda: ("seen", "1") not in server.index(), "it to be gone")


class TestList:
    """`list`, `show` and `verify` with --url."""

    def test_on_both_ports(self, server: LiveServer) -> None:
        for address in addresses(server):
            code, document = answered("list", "--url", address)
            assert code == 0
            entries = {(one["model"], one["version"]): one for one in document["versions"]}
            states = {place: one["state"] for place, one in entries.items() if place[0] in ("iris", "bare")}
            assert states == {
                ("bare", "1"): "READY",
                ("iris", "1"): "READY",
                ("iris", "2"): "READY",
                ("iris", "9"): "IGNORED",
            }
            assert [one["version"] for place, one in entries.items() if one["default"] and place[0] == "iris"] == ["2"]
            assert len(entries["iris", "1"]["sha256"]) == 64
            assert entries["iris", "1"]["form"] == "sklearn"

    def test_the_port_of_the_api_tells_where_versions_come_from(self, server: LiveServer) -> None:
        _, document = answered("list", "--url", addresses(server)[0], "iris/2")
        (one,) = document["versions"]
        assert one["data"] == {"uri": "https://data.example.com/iris.csv", "sha256": "9c" * 32, "git_commit": "a1b2"}
        assert one["evaluation"] == {"metrics": {"accuracy": 0.95, "log loss": 0.25}}
        assert one["created"].startswith("2026-11-02T15:00")
        header, row = rows_of(run("list", "--url", addresses(server)[0], "iris/2").stdout)
        assert (row[header.index("evaluation")], row[header.index("version")]) == ("accuracy 0.950", "2 *")

    def test_where_the_versions_of_a_repository_serve(self, server: LiveServer, repository: Path) -> None:
        address = addresses(server)[1]
        _, document = answered("list", repository / "iris", "--serving", address)
        serves = {one["version"]: one["serves_at"] for one in document["versions"]}
        assert serves == {"1": [address], "2": [f"{address} (default)"], "9": []}
        assert run("list", "--url", address, "--serving", address).exit_code == 2

    def test_show_describes_the_version_that_answers(self, server: LiveServer) -> None:
        code, document = answered("show", "--url", addresses(server)[0], "iris")
        (one,) = document["versions"]
        assert (code, one["version"]) == (0, "2")
        assert one["metadata"]["platform"] == "sklearn_joblib"
        text = run("show", "--url", addresses(server)[0], "iris", width=80).stdout
        facts = dict(row[:2] for row in rows_of(text))
        assert (facts["state"], facts["accuracy"], facts["form"]) == (
            *("READY; answers requests that name no version", "0.95"),
            "sklearn",
        )
        assert "sepal length (cm)" in text
        assert run("show", "--url", addresses(server)[1], "iris").exit_code == 0

    def test_verify_says_whether_all_is_ready(self, server: LiveServer) -> None:
        address = addresses(server)[0]
        assert run("verify", "--url", address, "iris/2").exit_code == 0
        code, document = answered("verify", "--url", address)
        assert code == 1
        wrong = [one["model"] for one in document["versions"] if one["answer"] != "holds"]
        assert sorted(wrong) == ["iris", "stray.joblib", "wine"]

    def test_a_model_that_is_not_there(self, server: LiveServer) -> None:
        assert "there is no such model or version" in run("list", "--url", addresses(server)[0], "nobody").stderr

    def test_another_server_is_told_from_a_model_manager(self, server: LiveServer) -> None:
        result = run("list", "--url", f"{addresses(server)[0]}/v1")
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert "answers 404" in result.stderr


def test_what_serves_is_compared_with_a_package_and_with_another(server: LiveServer, repository: Path) -> None:
    address = addresses(server)[0]
    assert run("diff", repository / "iris" / "2", f"{address}/iris/2").stdout.endswith("equal\n")
    assert run("diff", f"{address}/iris/2", f"{address}/iris").exit_code == 0
    code, document = answered("diff", f"{address}/iris/1", f"{address}/iris/2")
    assert (code, {one["of"] for one in document["differences"]}) == (1, {"artifact", "evaluation"})
    assert "list --url" in run("diff", f"{address}/iris/7", f"{address}/iris/1").stderr


def test_a_change_is_planned_for_what_serves(server: LiveServer, repository: Path, tmp_path: Path) -> None:
    for address in addresses(server):
        assert answered("plan", repository, "--url", address)[0] == 0
        after = tmp_path / address.rpartition(":")[2]
        shutil.copytree(repository, after)
        shutil.rmtree(after / "iris" / "2")
        shutil.rmtree(after / "bare")
        code, document = answered("plan", after, "--url", address)
        changes = {(one["model"], one["version"]): one["action"] for one in document["steps"]}
        assert (code, changes) == (2, {("bare", "1"): "unload", ("iris", "1"): "keep", ("iris", "2"): "unload"})
        assert document["defaults"][1] == {"model": "iris", "before": "2", "after": "1"}
        (after / "iris" / "1" / "model.joblib").write_bytes(dump(constant(2.0)))
        (after / "iris" / "1" / "metadata.json").unlink()
        assert [step["action"] for step in answered("plan", after, "--url", address)[1]["steps"]][1] == "replace"


def test_as_a_process_one_document_on_standard_output_and_nothing_else(server: LiveServer) -> None:
    command = [sys.executable, "-m", "model_manager", "list", "--url", addresses(server)[0], "--json"]
    done = subprocess.run(
        command, capture_output=True, check=False, env=without_server_settings(), timeout=stretched(LIMIT_S)
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["versions"]


def test_a_manifest_that_is_added_says_what_it_unloads_and_one_that_goes_unloads_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for number in range(1, 13):
        put(folder, "many", str(number), dump(constant(1.0)))
    put(folder, "kept", "1", dump(constant(1.0)))
    (tmp_path / "models.yaml").write_text(
        "models: {kept: {versions: {'1': {artifact: kept/1/model.joblib}}}}", encoding="utf-8"
    )
    (tmp_path / "keys").mkdir()
    digest = digest_of(b"the-key").hex()
    (tmp_path / "keys" / "keys.yaml").write_text(f"keys: {{me: {{sha256: {digest}}}}}", encoding="utf-8")
    with live_server(folder, compile="off", api_keys=tmp_path / "keys") as server:
        _check_keys(server, tmp_path)
        (tmp_path / "models.yaml").rename(folder / "models.yaml")
        (told,) = wait_until(lambda: server.logged("models.yaml was added"), "the manifest to be read")
        assert told["level"] == "WARNING"
        assert "is unloaded: 12 of the versions that were wanted, many/1, many/10, many/11, " in told["message"]
        assert " and 2 more; name them in it to keep them" in told["message"]
        (folder / "models.yaml").rename(tmp_path / "models.yaml")
        wait_until(lambda: server.logged("no longer holds models.yaml"), "its absence to be seen")
        assert server.ready()


def _check_keys(server: LiveServer, folder: Path) -> None:
    """Who has no key is told so; a key comes from a file, or from the environment."""
    address = addresses(server)[0]
    refused = run("list", "--url", address)
    assert refused.exit_code == 2
    assert "answers 401" in refused.stderr
    assert "--api-key-file" in refused.stderr
    (folder / "key").write_text("the-key\n", encoding="utf-8")
    assert run("list", "--url", address, "--api-key-file", folder / "key").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_MANAGER_API_KEY", "the-key")
        assert run("list", "--url", address).exit_code == 0
        assert run("diff", f"{address}/kept/1", f"{address}/many/1").exit_code == 0
