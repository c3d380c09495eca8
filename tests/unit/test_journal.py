"""The journal: what a process that is gone was doing, whatever state its file is in."""

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_manager.serving import journal as module
from model_manager.serving.journal import Journal, Noted, Suspect, read_journal

A, B = "a" * 64, "b" * 64


def noted(journal: Journal, digest: str = A, model: str = "m", version: str = "1") -> Noted:
    return Noted(journal, (digest, model, version))


def test_what_runs_is_named_while_it_runs_and_not_after(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    assert read_journal(path) is None
    journal = Journal(path)
    assert read_journal(path) == []
    seen: list[list[Suspect] | None] = []
    noted(journal).run("loading", lambda: seen.append(read_journal(path)))
    noted(journal, B, "n", "2026-11-02.1").run("compiling", lambda: seen.append(read_journal(path)))
    assert seen == [[Suspect(A, "m", "1", "loading")], [Suspect(B, "n", "2026-11-02.1", "compiling")]]
    with pytest.raises(KeyboardInterrupt):
        noted(journal).run("loading", _raise)
    assert read_journal(path) == []


def _raise() -> None:
    raise KeyboardInterrupt


def test_a_predictor_is_named_while_it_computes_and_gives_its_slot_back(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    journal = Journal(path)
    seen: list[list[Suspect] | None] = []

    def predict(rows: object, outputs: tuple[str, ...]) -> dict[str, object]:
        seen.append(read_journal(path))
        if outputs == ("raise",):
            raise SystemExit
        return {}

    first, second = noted(journal).predict(predict), noted(journal, B).predict(predict)  # type: ignore[arg-type]
    first(None, ())  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        second(None, ("raise",))  # type: ignore[arg-type]
    assert seen == [[Suspect(A, "m", "1", "predicting")], [Suspect(B, "m", "1", "predicting")]]
    assert read_journal(path) == []
    free = len(journal._free)
    del first, second
    gc.collect()
    assert len(journal._free) == free + 2


def test_a_process_that_is_killed_leaves_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    program = (
        "import os, signal, sys; from pathlib import Path; from model_manager.serving.journal import Journal, Noted\n"
        f"Noted(Journal(Path(sys.argv[1])), ('{A}', 'm', '1')).run('loading', os.kill, os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -9
    assert read_journal(path) == [Suspect(A, "m", "1", "loading")]


def test_a_stop_removes_the_journal_and_what_still_runs_may_go_on(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    journal = Journal(path)
    noted(journal).run("loading", journal.end)
    noted(journal).run("loading", lambda: None)
    assert read_journal(path) is None


def test_a_stop_leaves_the_journal_of_whoever_took_the_place(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    former, present = Journal(path), Journal(path)
    former.end()
    assert read_journal(path) == []
    present.end()
    assert read_journal(path) is None


def test_more_versions_than_slots_are_served_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path / "journal-0")
    slots = [journal.take(A, "m", str(number)) for number in range(module._SLOTS + 2)]
    assert caplog.text.count("has no slot for") == 1
    seen: list[list[Suspect] | None] = []
    noted(journal).run("loading", lambda: seen.append(read_journal(tmp_path / "journal-0")))
    assert seen == [[]]
    for slot in slots:
        journal.give_back(slot)
    assert sorted(journal._free) == list(range(module._SLOTS))


def _cut(content: bytes) -> bytes:
    return content[:1000]


def _empty(content: bytes) -> bytes:
    return b""


def _other_version(content: bytes) -> bytes:
    return content.replace(b"journal 1", b"journal 2")


def _longer(content: bytes) -> bytes:
    return content + b"x"


@pytest.mark.parametrize("spoil", [_cut, _empty, _other_version, _longer])
def test_what_is_no_journal_names_nobody_and_is_said(
    tmp_path: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal-0"
    Journal(path)
    path.write_bytes(spoil(path.read_bytes()))
    caplog.set_level(logging.WARNING)
    assert read_journal(path) == []
    assert "is not a journal of this version of the server" in caplog.text


def test_garbage_in_a_journal_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "journal-0"
    journal = Journal(path)
    journal.take(A, "m", "1")
    content = bytearray(path.read_bytes())
    content[len(module._MAGIC) :] = os.urandom(len(content) - len(module._MAGIC))
    path.write_bytes(content)
    assert read_journal(path) == []
    content[module._BYTES_AT :] = b"\x01" * (len(content) - module._BYTES_AT)
    path.write_bytes(content)
    assert read_journal(path) == []


def test_a_folder_that_cannot_be_read_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journal-0").mkdir()
    assert read_journal(tmp_path / "journal-0") == []
    assert "cannot be read" in caplog.text
