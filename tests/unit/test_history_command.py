"""`model-manager history`: what it prints, as a table and as JSON, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from model_manager.cli import cli
from model_manager.ledger.entries import now

from tests.models import constant, dump, put
from tests.unit.ledger.staging import at, began, default, lineage, minute, moved, wanted
from tests.unit.ledger.staging import put as put_file


def history(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": "100", **environment}).invoke(cli, ["history", *map(str, arguments)])


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    put_file(
        folder,
        "pod-0",
        began("pod-0"),
        wanted("1", 1, first=True),
        lineage("1", 10, signed_by="/keys/team.pem"),
        moved("1", "ready", 10),
        default("1", 10),
        wanted("2", 70, by="ana@[red]example.com\x1b[2J", commit="abc123"),
        moved("2", "failed", 75, reason="corrupt: [bold]it does not unpickle"),
        minute(60, 120, v1=1234),
    )
    return folder


def test_what_answered_at_a_time_for_people(ledger: Path) -> None:
    result = history("--model", "iris", "--ledger", ledger, "--at", "2026-11-02T12:01:20")
    assert (result.exit_code, result.stderr) == (0, "")
    for text in (
        "iris at 2026-11-02 12:01:20 UTC",
        "wanted since 2026-11-02 12:01:10 UTC: manifest bbbbbbbbbbbb, changed by ana@[red]example.com�[2J in",
        "│ iris  │ 1       │ ready  │ yes     │             1,234 × 200 │",
        "│ iris  │ 2       │ failed │         │                       0 │",
        "iris/1: sha256 111111111111…, ready since 2026-11-02 12:00:10 UTC",
        "the default since 2026-11-02 12:00:10 UTC",
        "trained on   iris-1.csv (150 rows, sha256 dddddddddddd)",
        "evaluated    accuracy 0.974 on hold-out",
        "signed by    /keys/team.pem",
        "corrupt: [bold]it does not unpickle",
    ):
        assert text in result.stdout
    assert history("iris/1", "--ledger", ledger, "--at", "2026-11-02T12:01:20").stdout.count("iris/2") == 0


def test_what_answered_at_a_time_for_machines(ledger: Path) -> None:
    result = history("--ledger", ledger, "--at", "1793620880", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    assert (document["known"], document["processes"], document["at"]) == (True, 1, "2026-11-02T12:01:20Z")
    first, second = document["versions"]
    assert (first["version"], first["default"], first["answered"]) == ("1", 1, {"200": 1234})
    assert first["said"]["data"]["uri"] == "iris-1.csv"
    assert (second["state"], second["reason"]) == ("failed", "corrupt: [bold]it does not unpickle")


def test_what_happened_for_people_and_for_machines(ledger: Path) -> None:
    result = history("--ledger", ledger)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines() if "│" in line]
    assert ["2026-11-02 12:00:00", "a server began on pod", "version 0.1.0"] in rows
    assert ["2026-11-02 12:00:01", "another state is wanted: iris", "nobody says by whom (aaaaaaaaaaaa)"] in rows
    assert ["2026-11-02 12:00:10", "iris/1 is ready", ""] in rows
    assert ["2026-11-02 12:00:10", "iris is answered by 1", ""] in rows
    assert ["2026-11-02 12:01:15", "iris/2 failed", "corrupt: [bold]it does not unpickle"] in rows
    assert ["iris", "1", "1,234", "0", "0", "2026-11-02 12:01", "2026-11-02 12:02"] in rows
    document = json.loads(history("--ledger", ledger, "--json").stdout)
    assert [one["what"] for one in document["events"]] == ["began", "wanted", "state", "default", "wanted", "state"]
    nothing = history("--ledger", ledger, "--since", "2026-11-03", "--model", "iris")
    assert "nothing changed in that time" in nothing.stdout


@pytest.mark.parametrize(
    ("time", "code", "said"),
    [
        ("2026-11-02T11:59", 3, "the ledger knows from 2026-11-02 12:00:00 UTC on"),
        ("2999-01-01", 3, "2999-01-01 00:00:00 UTC is yet to come"),
        ("2026-11-02T13:00", 1, "no server that keeps this ledger was running then"),
    ],
)
def test_what_it_cannot_tell_it_says(ledger: Path, time: str, code: int, said: str) -> None:
    result = history("--ledger", ledger, "--at", time)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"model-manager: {said}\n")
    as_json = history("--ledger", ledger, "--at", time, "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["problem"]) == (code, said)


def test_a_model_without_a_version_then(ledger: Path) -> None:
    result = history("churn", "--ledger", ledger, "--at", "2026-11-02T12:01")
    assert (result.exit_code, result.stderr) == (1, "model-manager: no version of churn was there then\n")
    known = history("--ledger", ledger, "--at", str(at(5).timestamp()), "--model", "iris")
    assert (known.exit_code, known.stderr) == (1, "model-manager: no version of iris was there then\n")
    third = history("iris/3", "--ledger", ledger, "--at", "2026-11-02T12:01:20")
    assert (third.exit_code, third.stderr) == (1, "model-manager: no version 3 of iris was there then\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a repository, or give --url of a running server, or --ledger of one"),
        (("absent",), "absent: there is no such folder; name a repository"),
        (("--ledger", "/absent"), "/absent: No such file or directory"),
        (("--url", "localhost:8081"), "write it as http://localhost:8081"),
        (("--url", "http://localhost:8081", "--ledger", "x"), "give --url, or --ledger"),
        (("--ledger", "x", "--at", "yesterday"), "'yesterday' is not a time such as 2026-11-02T15:00Z"),
        (("--ledger", "x", "--at", "2026-11-02", "--since", "2026-11-01"), "give --at, or --since and --until"),
        (("--ledger", "x", "--since", "2026-11-02", "--until", "2026-11-01"), "--since is later than --until"),
        (("--ledger", "x", "--model", "a", "b"), "give b, or --model a"),
        (("--ledger", "x", "a/b/c"), "name a model, or a version of it: iris, iris/2"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    result = history(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_variables_of_a_servers_container_name_the_ledger(ledger: Path) -> None:
    question = ("--model", "iris", "--at", "2026-11-02T12:01:20", "--json")
    assert history(*question, MODEL_MANAGER_LEDGER=str(ledger)).exit_code == 0
    assert history(*question, MODEL_MANAGER_STATE=str(ledger.parent)).exit_code == 0


def test_a_line_that_cannot_be_read_is_told_of(ledger: Path) -> None:
    path = put_file(ledger, "pod-1", began("pod-1"), torn=b"{}\n{}\n")
    result = history("--ledger", ledger, "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"model-manager: a line of the ledger cannot be read: {path}:2: ")
    assert result.stderr.endswith(" and 1 more\n")
    assert json.loads(result.stdout)["unread"]


def metadata(folder: Path, **said: object) -> None:
    (folder / "metadata.json").write_text(json.dumps(said))


def test_a_repository_tells_what_was_made_when_and_of_what(tmp_path: Path) -> None:
    artifact = dump(constant(1.0))
    data = {"uri": "sales.csv", "sha256": "a" * 64, "rows": 1200, "columns": 7, "git_commit": "f00dcafe"}
    metadata(put(tmp_path, "sales", "10", artifact), created="2026-11-01T00:00:00Z", data=data)
    evaluation = {"dataset": "hold-out", "rows": 10, "metrics": {"r2": 0.5}}
    metadata(put(tmp_path, "sales", "9", artifact), created="2026-10-01T00:00:00Z", evaluation=evaluation)
    put(tmp_path, "sales", "bare", artifact)
    broken = put(tmp_path, "sales", "broken", artifact)
    (broken / "metadata.json").write_text("{")
    made = json.loads(history(tmp_path / "sales", "--json").stdout)
    assert [one["version"] for one in made] == ["bare", "broken", "9", "10"]
    assert made[3]["data"] == data
    assert made[0]["problem"] == "it has no metadata.json"
    assert made[1]["problem"].startswith("metadata.json: ")
    shown = history(tmp_path, COLUMNS="200").stdout
    assert "sales.csv (1,200 rows, sha256 aaaaaaaaaaaa, git f00dcafe)" in shown
    assert "r2 0.500 on hold-out" in shown
    assert [one["version"] for one in json.loads(history(tmp_path / "sales" / "9", "--json").stdout)] == ["9"]
    refused = history(tmp_path, "--at", "2026-11-02")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "knows what was made and not what served" in refused.stderr
    (tmp_path / "empty").mkdir()
    assert history(tmp_path / "empty").exit_code == 2


def test_what_is_asked_now_is_known(ledger: Path) -> None:
    put_file(ledger, "pod-2", *(_just_now(one) for one in (began("pod-2"), moved("1", "ready", 0))))
    result = history("--ledger", ledger, "--at", now().isoformat())
    assert result.exit_code == 0
    assert "not counted yet" in result.stdout


def _just_now(entry: Any) -> Any:
    entry.at = now()
    return entry
