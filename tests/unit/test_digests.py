"""Digests are taken once for as long as a file stays what it is."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from model_manager.repository import digests as digests_module
from model_manager.repository.digests import Digests
from model_manager.repository.regular_files import Files, Limit

LATER = 2**62  # so far from now that every file has been quiet for long


def digests_of(now_ns: Callable[[], int] = time.time_ns) -> Digests:
    return Digests(Limit(1000, "make it smaller"), now_ns)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read, in order."""
    names: list[str] = []
    really = digests_module.sha256_of

    def listing(file: object) -> str:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return really(file)  # type: ignore[arg-type]

    monkeypatch.setattr(digests_module, "sha256_of", listing)
    return names


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert digests_of().of(str(tmp_path / "a"), Files(str(tmp_path))) == hashlib.sha256(b"content").hexdigest()


def test_an_unchanged_file_is_read_once_however_often_it_is_polled(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"content")
    digests = digests_of(lambda: LATER)
    assert len({digests.of(str(tmp_path / "a"), Files(str(tmp_path))) for _ in range(5)}) == 1
    digests.forget_unused()
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    assert hashed == ["a"]


def test_a_file_written_a_moment_ago_is_not_trusted_yet(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"content")
    digests = digests_of(lambda: (tmp_path / "a").stat().st_ctime_ns)
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    assert hashed == ["a", "a"]


@pytest.mark.parametrize("ahead_s", [5, 3600, 10**9])
def test_a_file_whose_time_lies_in_the_future_is_trusted_once_it_has_been_seen_for_a_while(
    tmp_path: Path, hashed: list[str], ahead_s: int
) -> None:
    path, moment = tmp_path / "a", [0]
    path.write_bytes(b"content")
    written = moment[0] = path.stat().st_ctime_ns
    os.utime(path, ns=(written, written + ahead_s * 1_000_000_000))
    digests = digests_of(lambda: moment[0])
    for _ in range(10):
        assert digests.of(str(path), Files(str(tmp_path))) == hashlib.sha256(b"content").hexdigest()
        digests.forget_unused()
        moment[0] += 500_000_000
    looked = len(hashed)
    for _ in range(5):
        digests.of(str(path), Files(str(tmp_path)))
        digests.forget_unused()
    assert 2 <= looked == len(hashed) <= 6


def test_a_file_from_the_future_that_is_replaced_is_read_again_and_trusted_as_late(
    tmp_path: Path, hashed: list[str]
) -> None:
    path, moment = tmp_path / "a", [0]
    path.write_bytes(b"old")
    moment[0] = path.stat().st_ctime_ns
    future = moment[0] + 10**12
    os.utime(path, ns=(future, future))
    digests = digests_of(lambda: moment[0])
    digests.of(str(path), Files(str(tmp_path)))
    moment[0] += 10**10
    digests.of(str(path), Files(str(tmp_path)))
    (tmp_path / "b").write_bytes(b"new")
    os.utime(tmp_path / "b", ns=(future, future))
    (tmp_path / "b").replace(path)
    assert [digests.of(str(path), Files(str(tmp_path))) for _ in range(2)] == [hashlib.sha256(b"new").hexdigest()] * 2
    assert hashed == ["a"] * 4


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    digests = digests_of(lambda: LATER)
    really = digests_module.sha256_of

    def meanwhile_appended(file: object) -> str:
        digest = really(file)  # type: ignore[arg-type]
        with (tmp_path / "a").open("ab") as more:
            more.write(b"more")
        return digest

    monkeypatch.setattr(digests_module, "sha256_of", meanwhile_appended)
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    monkeypatch.setattr(digests_module, "sha256_of", really)
    assert digests.of(str(tmp_path / "a"), Files(str(tmp_path))) == hashlib.sha256(b"contentmore").hexdigest()
    assert hashed == ["a", "a"]


def test_a_replaced_file_is_read_again_although_its_time_and_size_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    digests = digests_of(lambda: LATER)
    before, times = digests.of(str(path), Files(str(tmp_path))), path.stat()
    (tmp_path / "b").write_bytes(b"new")
    os.utime(tmp_path / "b", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "b").replace(path)
    assert digests.of(str(path), Files(str(tmp_path))) != before


def test_what_is_no_longer_asked_for_is_forgotten(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"content")
    digests = digests_of(lambda: LATER)
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    digests.forget_unused()
    digests.forget_unused()
    digests.of(str(tmp_path / "a"), Files(str(tmp_path)))
    assert hashed == ["a", "a"]


def test_what_cannot_be_read_has_no_digest_and_delays_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    digests = digests_of()
    assert [digests.of(str(tmp_path / name), Files(str(tmp_path))) for name in ("missing", "pipe", "loop", ".")] == [
        None
    ] * 4
