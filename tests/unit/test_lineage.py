"""Which data it was: digests, git and DVC, each only where it holds for the file as it is."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from model_manager.packaging.lineage import Lineage, describe_file, lineage_of

TEXT = b"a,y\n1,2\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with data/größe [1].csv in its first commit, and another commit after it."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "größe [1].csv").write_bytes(TEXT)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "data")
    (tmp_path / "other.txt").write_bytes(b"")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "other")
    return tmp_path


def test_a_committed_file_has_the_commit_that_changed_it_last(checkout: Path) -> None:
    first = git(checkout, "rev-list", "--max-parents=0", "HEAD")
    assert lineage_of(checkout / "data" / "größe [1].csv") == Lineage(first, "data/größe [1].csv")
    info, notes = describe_file(
        checkout / "data" / "größe [1].csv", sha256=SHA256, rows=1, columns=2, target="y", version="v1"
    )
    assert (info.git_commit, info.git_path, info.dvc_md5) == (first, "data/größe [1].csv", None)
    assert (info.sha256, info.rows, info.columns) == (SHA256, 1, 2)
    assert (info.target, info.version, notes) == ("y", "v1", ())
    assert info.uri.endswith("/data/gr%C3%B6%C3%9Fe%20%5B1%5D.csv")


def test_what_is_not_committed_is_said_and_not_recorded(checkout: Path) -> None:
    path = checkout / "data" / "größe [1].csv"
    for content in (TEXT + b"3,4\n", TEXT):
        path.write_bytes(content)
        told = lineage_of(path)
        assert (told.git_commit is None) == bool(told.notes) == (content != TEXT)
    path.write_bytes(b"other\n")
    git(checkout, "add", ".")
    assert lineage_of(path).notes == (
        "größe [1].csv has changes that are not committed to git; its version is not recorded",
    )
    (checkout / "new.csv").write_bytes(TEXT)
    assert lineage_of(checkout / "new.csv") == Lineage()


def test_dvc_says_which_bytes_it_keeps(checkout: Path) -> None:
    path = checkout / "train.csv"
    path.write_bytes(TEXT)
    md5 = hashlib.md5(TEXT).hexdigest()
    pointer = checkout / "train.csv.dvc"
    pointer.write_text(f"outs:\n- md5: {md5}\n  size: 8\n  hash: md5\n  path: train.csv\n", encoding="utf-8")
    assert lineage_of(path) == Lineage(None, None, md5)
    git(checkout, "add", "train.csv.dvc")
    git(checkout, "commit", "--quiet", "-m", "dvc add")
    assert lineage_of(path) == Lineage(git(checkout, "rev-parse", "HEAD"), "train.csv.dvc", md5)
    path.write_bytes(b"others\n")
    assert lineage_of(path) == Lineage(
        notes=("train.csv is not what train.csv.dvc says (dvc add brings it up); its version is not recorded",)
    )
    for damaged in ("outs: [", "outs: {}", "- a", "outs:\n- path: train.csv\n", "\0"):
        pointer.write_text(damaged, encoding="utf-8")
        assert lineage_of(path) == Lineage()


def test_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT)
    assert lineage_of(tmp_path / "a.csv") == Lineage()
    monkeypatch.setenv("PATH", "")
    assert lineage_of(tmp_path / "a.csv") == Lineage()
