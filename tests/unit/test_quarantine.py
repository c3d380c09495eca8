"""The state folder: what is remembered over restarts, and what happens when it cannot be."""

from pathlib import Path

import pytest
from model_manager.errors import LoadFailed
from model_manager.repository.wanted import Batching, ServableId, WantedVersion
from model_manager.serving.attribution import Attribution, attributed
from model_manager.serving.journal import _BYTES_AT, Journal, Noted
from model_manager.serving.quarantine import Quarantine, kept

A, B = "a" * 64, "b" * 64


def wanted(digest: str) -> WantedVersion:
    return WantedVersion(ServableId("m", digest[0]), "/nowhere", None, digest, None, Batching(), None)


def dies(folder: Path, *digests: str, how: str = "SIGKILL") -> list[str]:
    """One server that ran these versions when it died; the digests of those that are quarantined for it."""
    quarantine = Quarantine(folder)
    journal = Journal(quarantine.journal(0))
    for digest in digests:
        journal.file[_BYTES_AT + journal.take(digest, "m", digest[0])] = 1
    return [one.sha256 for one in quarantine.died([quarantine.journal(0)], how, "the server")]


def test_three_deaths_put_a_version_in_quarantine_until_its_file_is_removed(tmp_path: Path) -> None:
    assert [dies(tmp_path, A) for _ in range(3)] == [[], [], [A]]
    attribution = Attribution(Quarantine(tmp_path))
    with pytest.raises(
        LoadFailed, match=r"^ended the server 3 times, the last time at .* UTC: SIGKILL while predicting;"
    ):
        attribution.admit(wanted(A))
    attribution.admit(wanted(B))
    Quarantine(tmp_path).file_of(A).unlink()
    attribution.admit(wanted(A))
    assert [dies(tmp_path, A) for _ in range(2)] == [[], []], "who is let in again starts anew"
    assert Quarantine(tmp_path).ends["SIGKILL"] == 5


def test_whoever_died_beside_the_guilty_computes_in_turn_until_it_is_found(tmp_path: Path) -> None:
    dies(tmp_path, A, B)
    attribution = Attribution(Quarantine(tmp_path))
    ours, theirs = attribution.admit(wanted(A)), attribution.admit(wanted(B))
    assert ours.turns is theirs.turns is not None
    dies(tmp_path, A)
    assert dies(tmp_path, A) == [A]
    assert Attribution(Quarantine(tmp_path)).admit(wanted(B)).turns is None


def test_a_version_that_died_while_it_was_compiled_serves_uncompiled(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    journal = Journal(quarantine.journal(0))
    Noted(journal, (A, "m", "a")).run("compiling", quarantine.died, [quarantine.journal(0)], "SIGSEGV", "the server")
    attribution = Attribution(Quarantine(tmp_path))
    assert attribution.admit(wanted(A)).never_compiled.startswith("the server ended while it was compiled")
    assert attribution.admit(wanted(B)).never_compiled == ""


def test_a_start_looks_back_at_the_server_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with attributed(str(tmp_path / "state")) as first:
        first.admit(wanted(A)).run("loading", lambda: None)
        pass  # and ends without having been asked to
    with attributed(str(tmp_path / "state")) as second:
        assert second.ends["unknown"] == 1
        assert "the server that ran here before ended (unknown) while it ran no model's code" in caplog.text
        second.end()
    with attributed(str(tmp_path / "state")) as third:
        assert third.ends["unknown"] == 1


def test_one_folder_is_kept_by_one_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with kept(tmp_path) as first, kept(tmp_path) as second:
        assert first is not None
        assert second is None
        assert "is kept by another server" in caplog.text
    with kept(tmp_path) as third:
        assert third is not None


def test_what_cannot_be_remembered_is_said_and_nothing_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with attributed(str(tmp_path / "file" / "state")) as attribution:
        assert attribution.admit(wanted(A)).run("loading", lambda: 1) == 1
    assert "cannot be used, the server goes on without" in caplog.text
    state = tmp_path / "state"
    state.mkdir()
    (state / "deaths.json").mkdir()  # it can be neither read nor replaced
    (state / "quarantined").touch()
    assert [dies(state, A) for _ in range(3)] == [[], [], []]
    assert "cannot be written, so this will not be remembered" in caplog.text
    Attribution(Quarantine(state)).admit(wanted(A))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"format": 2}',
        b'{"deaths": [{"at": "now"}]}',
        b"\xff\xfe",
        b"0" * (1 << 20) + b"0",
        b'{"ends": {"x": -1e999}}',
    ],
)
def test_whatever_deaths_json_holds_the_server_starts(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deaths.json").write_bytes(content)
    assert [dies(tmp_path, A) for _ in range(3)] == [[], [], [A]]


def test_a_quarantine_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.file_of(A).parent.mkdir()
    quarantine.file_of(A).write_bytes(b"\x00garbage")
    with pytest.raises(LoadFailed, match="but the file that says when cannot be read"):
        Attribution(quarantine).admit(wanted(A))
