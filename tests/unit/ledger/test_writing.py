"""The files of a ledger: bounded, whole, understood without those before them, and never in the way."""

import os
import resource
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from model_manager.ledger.entries import Began, Moved, now
from model_manager.ledger.files import files_of
from model_manager.ledger.moment import moment_of
from model_manager.ledger.reading import Log
from model_manager.ledger.writing import MOST_WAITING, Ledger

from tests.live import wait_until
from tests.unit.ledger.staging import at, began, default, ledger, lineage, minute, moved, put, wanted


def sizes(folder: Path) -> dict[str, int]:
    return {file.path.name: file.path.stat().st_size for file in files_of(folder)}


def wrote(one: Ledger, entries: int) -> bool:
    return one.written >= entries


def test_the_oldest_files_go_and_those_that_stay_say_how_things_stood(tmp_path: Path) -> None:
    with ledger(tmp_path, most_bytes=32 * 1024) as one:
        for entry in (wanted("2", 0, by="ana"), lineage("2", 1), moved("2", "ready", 1), default("2", 1)):
            one.note(entry)
        for number in range(1200):
            one.note(minute(number * 60, number * 60 + 60, v2=7))
            if number % 60 == 59:  # a file takes 4 KiB
                wait_until(partial(wrote, one, number + 5), "the entries to be written")
    files = files_of(tmp_path)
    assert sum(sizes(tmp_path).values()) <= 40 * 1024
    assert files[0].number > 1, "the first file, which says when version 2 became ready, is gone"
    assert (one.written, one.dropped) == (1204, 0)
    first = Log(tmp_path).begins
    assert first > at(0)
    (version,) = moment_of(tmp_path, at(1199 * 60 + 30)).versions
    assert (version.version, version.state, version.default, version.since) == ("2", "ready", 1, at(1))
    assert version.answered == {"200": 7}
    assert version.said is not None
    assert moment_of(tmp_path, at(1199 * 60 + 30)).wanted[0].by == "ana"


def test_files_that_are_too_old_go_whosever_they_are_but_not_the_newest(tmp_path: Path) -> None:
    old = put(tmp_path, "pod-0", began("pod-0"))
    os.utime(old, (0, 0))
    young = put(tmp_path, "pod-1", began("pod-1"))
    with ledger(tmp_path, most_age_s=3600) as one:
        one.note(minute(0, 60))
    assert not old.exists()
    assert young.exists()
    assert len(files_of(tmp_path)) == 2


def test_a_file_that_somebody_deletes_is_followed_by_another_one(tmp_path: Path) -> None:
    with ledger(tmp_path) as one:
        one.note(moved("1", "ready", 0))
        wait_until(lambda: one.written == 1, "the first entry")
        (file,) = files_of(tmp_path)
        file.path.unlink()
        one.note(minute(0, 60))
    (file,) = files_of(tmp_path)
    assert file.number == 2
    entries = list(Log(tmp_path).entries(Log(tmp_path).processes[file.process][0]))
    assert [type(entry).__name__ for entry in entries] == ["Began", "Moved", "Minute"]
    assert isinstance(entries[1], Moved)
    assert entries[1].restated


def test_a_folder_that_cannot_be_written_is_told_of_once_and_costs_entries_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "ledger"
    folder.write_text("a file, where the folder should be")
    with ledger(folder) as one:
        one.note(moved("1", "ready", 0))
        wait_until(lambda: one.dropped == 1, "the entry to be dropped")
        one.note(default("1", 0))
        wait_until(lambda: one.dropped == 2, "the other to be dropped")
        folder.unlink()
        one.note(minute(0, 60, v1=3))
        wait_until(lambda: one.written == 1, "the third to be written")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"the ledger cannot be written, and what served when is not noted: {folder}: File exists"]
    assert "the ledger is written again; 2 entries were lost" in caplog.text
    (version,) = moment_of(folder, at(60)).versions
    assert (version.state, version.default) == ("ready", 1), "what was lost is restated"


def test_a_disk_that_is_full_leaves_no_torn_lines_among_whole_ones(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ledger(tmp_path, most_bytes=2**26) as one:
        one.note(moved("1", "ready", 0))
        wait_until(lambda: one.written == 1, "the first entry")
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))  # Python has SIGXFSZ ignored
        try:
            for number in range(1500):
                one.note(minute(number * 60, number * 60 + 60, v1=number))
            wait_until(lambda: one.dropped > 0, "the file to be full")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        wait_until(lambda: one.written + one.dropped == 1501, "what waits")
        one.note(default("1", 1500 * 60))
    log = Log(tmp_path)
    (segments,) = log.processes.values()
    assert len(segments) > 1
    read = [entry for segment in segments for entry in log.entries(segment)]
    assert not log.unread
    assert type(read[-1]).__name__ == "Default"
    (version,) = moment_of(tmp_path, at(1500 * 60)).versions
    assert (version.state, version.default) == ("ready", 1)


def test_what_waits_is_bounded_and_the_loop_never_waits(tmp_path: Path) -> None:
    one = Ledger(tmp_path, most_bytes=2**20, most_age_s=1e9)  # never started: as slow as a disk can be
    entry = minute(0, 60)
    for _ in range(MOST_WAITING + 10):
        one.note(entry)
    assert one.dropped == 10
    one.close(0.0)
    assert not files_of(tmp_path)


_WRITES_FOR_EVER = """
import sys
from pathlib import Path
from time import sleep
from tests.unit.ledger.staging import minute, moved
from model_manager.ledger.writing import Ledger
ledger = Ledger(Path(sys.argv[1]), most_bytes=2**20, most_age_s=1e9, gather_s=0.0)
ledger.start()
ledger.note(moved("1", "ready", 0))
number = 0
while True:
    ledger.note(minute(number * 60, number * 60 + 60, v1=number + 1))
    number += 1
    while ledger.written < number - 50:
        sleep(0.001)
    if number % 100 == 0:
        print(number, flush=True)
"""


def test_a_process_that_is_killed_leaves_whole_lines(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        killing = threading.Timer(60, process.kill)
        killing.start()
        assert process.stdout.readline().strip() == b"100"
        process.send_signal(signal.SIGKILL)
        process.wait()
        killing.cancel()
    log = Log(tmp_path)
    entries = [entry for segments in log.processes.values() for one in segments for entry in log.entries(one)]
    assert not log.unread
    assert len(entries) > 50
    assert isinstance(entries[0], Began)


def test_a_torn_last_line_waits_and_a_line_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, "pod-0", began("pod-0"), moved("1", "ready", 1), torn=b'{"kind":"minute","at":"20')
    log = Log(tmp_path)
    assert len(list(log.entries(log.processes["pod-0"][0]))) == 2
    assert not log.unread
    path.write_bytes(path.read_bytes() + b"\n")
    log = Log(tmp_path)
    assert len(list(log.entries(log.processes["pod-0"][0]))) == 2
    (unread,) = log.unread
    assert unread.startswith(f"{path}:3: ")


def test_a_file_that_has_not_even_its_first_line_is_no_file_yet(tmp_path: Path) -> None:
    put(tmp_path, "pod-0", began("pod-0"), minute(0, 60))
    put(tmp_path, "pod-1", torn=b'{"kind":"beg')
    assert list(Log(tmp_path).processes) == ["pod-0"]


def test_entries_of_the_same_moment_stay_in_order(tmp_path: Path) -> None:
    time = now()
    with ledger(tmp_path) as one:
        for number in range(500):
            one.note(Moved(at=time, model="m", version="1", load=number, sha256=None, was=None, state="wanted"))
    log = Log(tmp_path)
    ((segment,),) = log.processes.values()
    loads = [entry.load for entry in log.entries(segment) if isinstance(entry, Moved)]
    assert loads == list(range(500))
