"""`verify`: what holds, what does not and why, and what nobody can tell, with the exit code that says it."""

import json
from pathlib import Path
from typing import Any

import joblib
import pytest
from model_manager.repository.packages import METADATA

from tests.models import constant
from tests.unit.inventory.staging import rows_of, run, spoil
from tests.unit.test_signing import write_key


def verified(*arguments: object) -> tuple[int, Any, dict[str, Any]]:
    """Exit code, the answer for all, and what is said of each version."""
    result = run("verify", *arguments, "--json")
    document = json.loads(result.stdout)
    return result.exit_code, document["verified"], {one["version"]: one for one in document["versions"]}


def test_all_that_was_declared_holds(repository: Path) -> None:
    code, answer, versions = verified(repository)
    assert (code, answer) == (0, True)
    assert {one["answer"] for one in versions.values()} == {"holds"}
    assert [row[2:] for row in rows_of(run("verify", repository).stdout)[1:]] == [["OK", "ok", "", "holds"]] * 2


def test_one_byte_that_changed_is_found(repository: Path) -> None:
    spoil(repository / "iris" / "1")
    code, answer, versions = verified(repository)
    assert (code, answer) == (1, False)
    assert versions["1"]["problem"].startswith("BROKEN: digest_mismatch: sha256 ")
    assert versions["2"]["answer"] == "holds"
    assert "iris/1: BROKEN: digest_mismatch" in run("verify", repository).stdout


def test_metadata_of_another_version_does_not_hold(repository: Path) -> None:
    (repository / "iris" / "1").rename(repository / "iris" / "7")
    code, _, versions = verified(repository)
    assert (code, versions["7"]["problem"]) == (1, "OK: its metadata.json is that of iris/1")


def test_what_declares_no_digest_cannot_be_told(repository: Path) -> None:
    (repository / "iris" / "1" / METADATA).unlink()
    code, answer, versions = verified(repository)
    assert (code, answer, versions["1"]["answer"]) == (3, None, "cannot tell")
    spoil(repository / "iris" / "2")
    assert verified(repository)[0] == 1


class TestLoading:
    """With --load, a version answers as its author saw."""

    def test_golden_rows_hold(self, repository: Path) -> None:
        code, _, versions = verified(repository, "--load")
        assert (code, versions["1"]["golden"]) == (0, "3 hold")

    def test_a_model_that_answers_something_else_is_found(self, repository: Path) -> None:
        package = repository / "iris" / "1"
        said = json.loads((package / METADATA).read_text(encoding="utf-8"))
        said["golden"]["outputs"]["predict"] = [9 for _ in said["golden"]["instances"]]
        (package / METADATA).write_text(json.dumps(said), encoding="utf-8")
        assert verified(repository)[0] == 0
        code, _, versions = verified(repository, "--load")
        assert (code, versions["1"]["golden"]) == (1, "failed")
        assert versions["1"]["problem"].startswith("golden_mismatch: golden row 0")

    def test_what_does_not_unpickle_is_found_and_what_is_broken_is_not_loaded(self, repository: Path) -> None:
        (repository / "bare" / "1").mkdir(parents=True)
        (repository / "bare" / "1" / "model.joblib").write_bytes(b"no pickle")
        (repository / "bare" / "2").mkdir()
        joblib.dump(constant(1.0), repository / "bare" / "2" / "model.joblib")
        code, _, versions = verified(repository / "bare", "--load")
        assert (code, versions["1"]["problem"].split(":")[0]) == (1, "corrupt")
        assert (versions["2"]["golden"], versions["2"]["answer"]) == ("none; it answers", "cannot tell")
        spoil(repository / "iris" / "1")
        assert verified(repository / "iris", "--load")[2]["1"]["golden"] is None


class TestSignatures:
    """With a key, of whole repositories as of single packages."""

    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        write_key(tmp_path / "key.pem")
        return tmp_path / "key.pem"

    def test_every_version_has_to_be_signed(self, repository: Path, key: Path) -> None:
        assert run("sign", repository / "iris" / "1", "--key", key).exit_code == 0
        code, _, versions = verified(repository, "--key", key.with_suffix(".pub"))
        assert code == 1
        assert versions["1"]["integrity"] | {"signed_by": ""} == {"digest": "ok", "signed_by": "", "verified": True}
        assert versions["1"]["integrity"]["signed_by"].startswith("key ")
        assert versions["2"]["problem"].startswith("BROKEN: unsigned: ")
        assert run("sign", repository / "iris" / "2", "--key", key).exit_code == 0
        assert verified(repository, "--key", key.with_suffix(".pub"))[0] == 0
        assert "(verified)" in run("verify", repository, "--key", key.with_suffix(".pub")).stdout
        assert "(not verified)" in run("verify", repository).stdout

    def test_a_signature_stands_for_a_digest_that_is_not_declared(self, repository: Path, key: Path) -> None:
        (repository / "iris" / "1" / METADATA).unlink()
        assert run("sign", repository / "iris" / "1", "--key", key).exit_code == 0
        assert run("sign", repository / "iris" / "2", "--key", key).exit_code == 0
        assert verified(repository, "--key", key.with_suffix(".pub"))[0] == 0

    def test_what_was_signed_after_it_was_spoilt_does_not_hold(self, repository: Path, key: Path) -> None:
        package = repository / "iris" / "1"
        spoil(package)
        assert run("sign", package, "--key", key).exit_code == 0
        result = run("verify", package, "--key", key.with_suffix(".pub"))
        assert (result.exit_code, result.stderr.split(": ")[1]) == (1, "digest_mismatch")

    def test_of_another_signer_and_of_rubbish(self, repository: Path, key: Path, tmp_path: Path) -> None:
        write_key(tmp_path / "other.pem")
        assert run("sign", repository / "iris" / "1", "--key", tmp_path / "other.pem").exit_code == 0
        assert verified(repository, "--key", key.with_suffix(".pub"))[2]["1"]["integrity"]["verified"] is False
        (repository / "iris" / "1" / "model.sig").write_bytes(b"[[[")
        (one, _) = json.loads(run("list", repository, "--json").stdout)["versions"]
        assert one["integrity"]["signed_by"] == "nobody: the signature cannot be read"

    def test_a_key_that_is_none_ends_the_command(self, repository: Path, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("no key", encoding="utf-8")
        result = run("verify", repository, "--key", tmp_path / "text")
        assert result.exit_code == 1
        assert "is no public key in PEM" in result.stderr


def test_wrong_usage(repository: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "key.pem")
    public = tmp_path / "key.pub"
    for arguments in (
        ["--url", "http://x", "--key", public],
        ["--url", "http://x", "--load"],
        [repository, "--key", public, "--cert", public],
        ["--url", "http://x", "a/b/c"],
    ):
        assert run("verify", *arguments).exit_code == 2
