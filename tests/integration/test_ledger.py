"""What served when, asked of real servers: by the admin port and by the command, over kills and failing disks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from model_manager.cli import cli

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put

ONE, TWO = dump(constant(1.0)), dump(constant(2.0))
ROWS = [[1.0, 2.0]]


def manifest(default: str, *versions: str) -> str:
    lines = "".join(f'      "{version}": {{artifact: m-{version}.joblib}}\n' for version in versions)
    return f'# {default}\nmodels:\n  m:\n    default: "{default}"\n    versions:\n{lines}'


def want(folder: Path, text: str) -> None:
    beside = folder / ".models.yaml"
    beside.write_text(text)
    beside.rename(folder / "models.yaml")


def now() -> str:
    return datetime.now(UTC).isoformat()


def asked(server: LiveServer, **query: str) -> Any:
    answer = server.admin.get("/ledger", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def command(*arguments: object) -> Any:
    """What the command prints in a process of its own, with `--json`."""
    line = [sys.executable, "-m", "model_manager", "history", *map(str, arguments), "--json"]
    done = subprocess.run(line, capture_output=True, check=True, env={**os.environ, "NO_COLOR": "1"})
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    for version, artifact in (("1", ONE), ("2", TWO), ("bad", b"no pickle")):
        (folder / f"m-{version}.joblib").write_bytes(artifact)
    want(folder, manifest("1", "1", "2"))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    kept = tmp_path_factory.mktemp("kept")
    (kept / "token").write_text("opensesame-opensesame-opensesame")
    settings: dict[str, Any] = {"state": kept / "state", "records": kept / "records.jsonl", "poll_interval_s": 0.2}
    with live_server(folder, admin_token=kept / "token", wait=False, compile="off", **settings) as server:
        assert server.admin.get("/ledger").status_code == 401
        assert server.admin.get("/ledger/last-good").status_code == 401
        server.admin.headers["authorization"] = "Bearer opensesame-opensesame-opensesame"
        wait_until(server.ready, "the server to be ready")
        yield server


def good(server: LiveServer) -> httpx.Response:
    return server.admin.get("/ledger/last-good")


def test_a_change_is_answered_for_and_a_bad_one_can_be_taken_back(server: LiveServer, folder: Path) -> None:
    first = manifest("1", "1", "2")
    wait_until(lambda: good(server).text == first, "the first state to be good")
    assert server.predict("m", ROWS).json() == {"predictions": [1.0]}
    before = now()
    (folder / "changed-by.json").write_text('{"by": "ana@example.com", "commit": "abc123"}')
    second = manifest("2", "1", "2")
    want(folder, second)
    wait_until(lambda: good(server).text == second, "the second state to be good")
    assert server.predict("m", ROWS).json() == {"predictions": [2.0]}
    answer = good(server)
    assert answer.headers["content-type"].startswith("application/yaml")
    generation = answer.headers["x-generation"]
    want(folder, manifest("bad", "1", "2", "bad"))
    wait_until(lambda: server.status("m", "bad")[0] == "UNAVAILABLE", "the bad version to fail")
    assert (good(server).text, good(server).headers["x-generation"]) == (second, generation)

    def shown(time: str) -> dict[str, int]:
        return {one["version"]: one["default"] for one in asked(server, at=time, model="m")["versions"]}

    assert shown(before) == {"1": 1, "2": 0}
    states = {"1": "ready", "2": "ready", "bad": "failed"}
    wait_until(
        lambda: {one["version"]: one["state"] for one in asked(server, at=now(), model="m")["versions"]} == states,
        "the failure to be in the ledger",
    )
    changes = [one for one in asked(server)["events"] if one["what"] == "wanted"]
    assert [one.get("by") for one in changes] == [None, "ana@example.com", None], "the third is nobody's"
    want(folder, good(server).text)
    wait_until(lambda: ("m", "bad") not in server.index(), "the rollback")
    assert server.predict("m", ROWS).json() == {"predictions": [2.0]}


def test_the_command_asks_the_admin_port(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("opensesame-opensesame-opensesame\n")
    url = server.server.addresses["admin"]
    document = command("m", "--url", url, "--at", now(), "--api-key-file", tmp_path / "token")
    assert "1" in {one["version"] for one in document["versions"]}
    refused = CliRunner().invoke(cli, ["history", "--url", url])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "answers 401: the admin port needs its token" in refused.stderr
    other = CliRunner().invoke(cli, ["history", "--url", server.server.api])
    assert (other.exit_code, "name the admin port" in other.stderr) == (2, True)
    shown = CliRunner().invoke(cli, ["history", "--url", url, "--api-key-file", str(tmp_path / "token")])
    assert (shown.exit_code, "m is answered by 1" in shown.stdout) == (0, True)


def test_a_question_that_makes_no_sense_is_refused(server: LiveServer) -> None:
    answer = server.admin.get("/ledger", params={"at": "yesterday"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("at: 'yesterday' is not a time such as")
    assert asked(server, at="1999-01-01")["known"] is False


def test_changes_go_to_the_records_as_well_and_are_not_counted_with_them(server: LiveServer) -> None:
    assert server.predict("m", ROWS).is_success
    path = Path(server.server.popen.args[server.server.popen.args.index("--records") + 1])  # type: ignore[union-attr, index, arg-type]

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def predictions() -> int:
        return sum(one["type"] == "model-manager.prediction.v1" for one in lines())

    wait_until(lambda: server.metric("model_manager_prediction_records_total", outcome="sent") == predictions() > 0, "")
    states = [one for one in lines() if one["type"] == "model-manager.version-state.v1"]
    assert (states[0]["subject"], states[0]["specversion"]) == ("m/1", "1.0")
    assert [one["data"]["state"] for one in states if one["subject"] == "m/1"][-1] == "ready"
    assert states[0]["time"].endswith("Z")
    wanted = [one for one in lines() if one["type"] == "model-manager.wanted-changed.v1"]
    assert wanted[0]["data"]["models"]["m"]["default"] == "1"
    assert len({one["id"] for one in lines()}) == len(lines())


def test_workers_keep_a_file_each_and_a_worker_that_is_killed_leaves_what_it_noted(tmp_path: Path) -> None:
    models, ledger = tmp_path / "models", tmp_path / "ledger"
    put(models, "m", "1", ONE)
    with live_server(models, ledger=ledger, workers=2, compile="off") as server:
        wait_until(lambda: server.metric("model_manager_ledger_entries_total", outcome="written") >= 16, "entries")
        pids = [one["pid"] for one in server.admin.get("/debug/queues").json()["processes"]]
        killed_at = now()
        os.kill(pids[0], signal.SIGKILL)

        def both() -> bool:
            processes = server.admin.get("/debug/queues").json()["processes"]
            return len(processes) == 2 and pids[0] not in [one["pid"] for one in processes]

        wait_until(both, "another worker")
        wait_until(lambda: len(list(ledger.glob("*.000001.jsonl"))) == 3, "its file")
        for _ in range(20):
            assert server.predict("m", ROWS).is_success
        answer = good(server)
        assert answer.status_code == 404
        assert "a folder without models.yaml" in answer.json()["error"]
    document = command("--ledger", ledger, "m")
    assert document["answered"][0]["codes"] == {"200": 20}
    assert next(one["processes"] for one in document["events"] if one.get("to") == "ready") >= 2
    (version,) = command("--ledger", ledger, "--at", killed_at)["versions"]
    assert (version["version"], version["default"], version["processes"]) == ("1", 2, 2)
    assert not document["unread"]


def test_a_ledger_that_cannot_be_written_keeps_nobody_from_serving(tmp_path: Path) -> None:
    models, ledger = tmp_path / "models", tmp_path / "ledger"
    put(models, "m", "1", ONE)
    ledger.write_text("a file, where the folder should be")
    with live_server(models, ledger=ledger) as server:
        assert server.predict("m", ROWS).is_success
        wait_until(lambda: server.metric("model_manager_ledger_entries_total", outcome="dropped") > 0, "entries")
        assert len(server.logged("the ledger cannot be written")) == 1
        answer = server.admin.get("/ledger")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith(f"{ledger}: Not a directory")


def test_a_server_without_a_ledger_says_how_to_get_one(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", ONE)
    with live_server(tmp_path) as server:
        answer = server.admin.get("/ledger")
        assert (answer.status_code, "--ledger FOLDER" in answer.json()["error"]) == (404, True)
        assert "model_manager_ledger_entries" not in server.admin.get("/metrics").text
