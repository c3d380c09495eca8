"""`list` and `show` of a repository: what would serve, what is broken and why, and all that a package says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.inventory.staging import rows_of, run, spoil


def listed(*arguments: object) -> dict[tuple[str, str], dict[str, Any]]:
    result = run("list", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return {(one["model"], one["version"]): one for one in json.loads(result.stdout)["versions"]}


def test_a_line_for_each_version_with_its_origin_its_quality_and_its_integrity(repository: Path) -> None:
    header, *lines = rows_of(run("list", repository).stdout)
    assert header == ["model", "version", "state", "created", "size", "trained on", "evaluation", "digest"]
    assert lines[0].pop(4) == f"{(repository / 'iris' / '1' / 'model.joblib').stat().st_size} B"
    assert lines[0] == ["iris", "1", "OK", "2026-11-02", "iris.csv 9c9c9c9c", "accuracy 0.900", "ok"]
    assert (lines[1][1], lines[1][6]) == ("2 *", "accuracy 0.950")


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_of_the_table_is_wider_than_the_terminal(repository: Path, width: int) -> None:
    for command in ("list", "show", "verify"):
        lines = run(command, repository, width=width).stdout.splitlines()
        assert max(map(len, lines)) <= width
        assert any("accuracy" in line or "holds" in line for line in lines)


def test_machines_get_every_key_always(repository: Path) -> None:
    (repository / "bare" / "1").mkdir(parents=True)
    (repository / "bare" / "1" / "model.pkl").write_bytes(b"bare")
    versions = listed(repository)
    told = "model version state reason default location bytes sha256 created data evaluation integrity form serves_at"
    assert {" ".join(one) for one in versions.values()} == {told}
    bare = versions["bare", "1"]
    assert (bare["state"], bare["bytes"], bare["data"], bare["integrity"]["digest"]) == ("OK", 4, None, "undeclared")
    whole = versions["iris", "2"]
    assert whole["data"]["git_commit"] == "a1b2"
    assert (whole["default"], whole["location"]) == (True, f"{repository}/iris/2/model.joblib")
    assert whole["evaluation"]["metrics"]["accuracy"] == 0.95


class TestBroken:
    """What a server would not load is told with why, and is no default."""

    def test_other_bytes_than_declared(self, repository: Path) -> None:
        spoil(repository / "iris" / "2")
        versions = listed(repository)
        assert versions["iris", "2"]["integrity"]["digest"] == "differs"
        assert "digest_mismatch: sha256" in versions["iris", "2"]["reason"]
        assert [one["default"] for one in versions.values()] == [True, False]
        assert "iris/2 is BROKEN: digest_mismatch" in run("list", repository).stdout

    @pytest.mark.parametrize(
        ("file", "content", "reason"),
        [
            ("model.joblib", b"short", "the file has 5"),
            ("metadata.json", b"{", "metadata_invalid: metadata.json: the whole file: "),
            ("metadata.json", b'{"inputs": [{"name": "a", "datatype": "FP64", "shape": [1, 2, 3]}]}', "is not [-1]"),
            ("model.joblib", None, "missing: there is no artifact in it"),
        ],
    )
    def test_what_else_keeps_a_version_from_loading(
        self, repository: Path, file: str, content: bytes | None, reason: str
    ) -> None:
        path = repository / "iris" / "2" / file
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        one = listed(repository)["iris", "2"]
        assert (one["state"], one["default"]) == ("BROKEN", False)
        assert reason in one["reason"]

    def test_a_link_that_leads_out_of_the_repository(self, repository: Path) -> None:
        (repository / "iris" / "2" / "model.joblib").unlink()
        (repository / "iris" / "2" / "model.joblib").symlink_to("/etc/passwd")
        assert "not_allowed" in listed(repository)["iris", "2"]["reason"]

    def test_metadata_of_another_version_is_told_and_loads(self, repository: Path) -> None:
        (repository / "iris" / "2").rename(repository / "iris" / "3")
        one = listed(repository)["iris", "3"]
        assert (one["state"], one["reason"]) == ("OK", "its metadata.json is that of iris/2")


def test_what_is_ignored_is_listed_with_what_to_do(repository: Path) -> None:
    for place in ("wine/1/clf.bin", "iris.joblib", "iris/models/iris/1/model.joblib"):
        (repository / place).parent.mkdir(parents=True, exist_ok=True)
        (repository / place).write_bytes(b"model")
    versions = listed(repository)
    assert [place for place, one in versions.items() if one["state"] == "IGNORED"] == [
        *[("iris", "models"), ("iris.joblib", ""), ("wine", "1")]
    ]
    assert "wine/1 is IGNORED: it holds clf.bin" in run("list", repository).stdout
    assert list(listed(repository / "iris")) == [("iris", "1"), ("iris", "2"), ("iris", "models")]
    assert list(listed(repository / "iris" / "1")) == [("iris", "1")]


def test_a_model_without_folders_of_versions_is_its_version_1(repository: Path) -> None:
    os.rename(repository / "iris" / "1", repository / "alone")
    one = listed(repository)["alone", "1"]
    assert (one["default"], one["location"]) == (True, f"{repository}/alone/model.joblib")


def test_markup_and_control_characters_of_others_are_only_text(repository: Path) -> None:
    path = repository / "iris" / "2" / "metadata.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["data"]["uri"] = "[red]\x1b[31m[/nothing]"
    path.write_text(json.dumps(said), encoding="utf-8")
    for command, kept in (("list", "nothing]"), ("show", "[red]�[31m[/nothing]")):  # a list shows the end of a path
        shown = run(command, repository / "iris" / "2").stdout
        assert "\x1b" not in shown
        assert kept in shown


@pytest.mark.parametrize("command", ["list", "show", "verify"])
def test_what_cannot_be_read_ends_with_one_line(command: str, repository: Path) -> None:
    for arguments, told in (
        ([repository / "iris" / "7"], "iris/7: there is no such folder; beside it there is 1, 2"),
        ([repository / "iris" / "1" / "model.joblib"], "is a file; name the folder of a version"),
        (["--url", "nonsense"], "'nonsense' is not the address of a server: write it as http://localhost:8080"),
        (["--url", "http://127.0.0.1:1"], "http://127.0.0.1:1 cannot be asked: "),
        ([repository / "empty"], "there is no such model or version"),
    ):
        (repository / "empty").mkdir(exist_ok=True)
        result = run(command, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert "name a repository" in run(command).stderr
    assert run(command).exit_code == 2


class TestShow:
    """Everything that a package says."""

    def test_of_one_version(self, repository: Path) -> None:
        lines = dict(pair for pair in (line[:2] for line in rows_of(run("show", repository / "iris" / "1").stdout)))
        assert lines["state"] == "OK"
        assert "OK; would answer requests that name no version" in run("show", repository / "iris").stdout
        assert lines["artifact"] == f"{repository}/iris/1/model.joblib"
        assert (lines["digest"], lines["data: git_commit"]) == ("the declared one", "a1b2")
        assert (lines["evaluated on"], lines["accuracy"]) == ("hold-out of May, 38 rows", "0.9")
        assert (lines["golden rows"], lines["framework.name"]) == ("3", "scikit-learn")
        assert lines["sepal length (cm)"].startswith("4.3 … 7.9")
        assert lines["predict_proba"] == "FP64"

    def test_every_key_of_metadata_is_in_it_somewhere(self, repository: Path) -> None:
        path = repository / "iris" / "1" / "metadata.json"
        said = json.loads(path.read_text(encoding="utf-8"))
        shown = run("show", repository / "iris" / "1").stdout
        for key in said.keys() - {"name", "version", "artifact"}:
            assert {"data": "data: ", "evaluation": "evaluated on", "golden": "golden rows"}.get(key, key) in shown

    def test_of_a_model_the_version_that_would_answer(self, repository: Path) -> None:
        (shown,) = json.loads(run("show", repository / "iris", "--json").stdout)["versions"]
        assert (shown["version"], shown["default"]) == ("2", True)
        assert shown["metadata"] == json.loads((repository / "iris" / "2" / "metadata.json").read_bytes())

    def test_of_what_is_broken_why(self, repository: Path) -> None:
        (repository / "iris" / "2" / "metadata.json").write_bytes(b"{")
        shown = run("show", repository / "iris" / "2")
        assert shown.exit_code == 0
        assert "metadata_invalid" in shown.stdout


def test_help_has_examples_and_exit_codes() -> None:
    for command in ("list", "show", "verify", "diff", "plan"):
        text = run(command, "--help").stdout
        assert "Exit codes:" in text
        assert f"model-manager {command} " in text
