"""Versions whose code exits, crashes or hangs while they are loaded, in a real server: each fails, and nothing else.

One server gets all of them at once, while a good model answers and another good version goes live beside them.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hostile_models import LINGERING, HostileRegressor
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tools import leash
from tools.patience import stretched

GOLDEN = json.dumps({"golden": {"instances": [[0, 0]], "outputs": {"predict": [0]}}})
ROW = [[0.0, 0.0]]
ENDED = "(in a child process: nothing else was harmed)"

FATAL = {
    "exit 0": f"ended the process with exit code 0 {ENDED}",
    "exit 3": f"ended the process with exit code 3 {ENDED}",
    "segfault": f"ended the process with SIGSEGV {ENDED}",
    "SIGTERM": f"ended the process with SIGTERM {ENDED}",
    "SIGKILL": f"ended the process with SIGKILL, as the kernel does when memory runs out {ENDED}",
    "its group": f"ended the process with SIGKILL, as the kernel does when memory runs out {ENDED}",
    "holding the interpreter": "did not return within 20 s and was stopped",
    "sleeping": "did not return within 20 s and was stopped",
    "spinning": "took more than 2 s of CPU time (SIGXCPU; --load-cpu-s)",
    "leaving processes": f"ended the process with exit code 4 {ENDED}",
    "changing the process": f"ended the process with exit code 6 {ENDED}",
    "closing files": f"ended the process with exit code 1 {ENDED}",
    "writing garbage": f"wrote to files that it did not open {ENDED}",
}
RAISED = {
    "KeyboardInterrupt": "KeyboardInterrupt",
    "GeneratorExit": "GeneratorExit",
    "SystemExit": "SystemExit: 5",
    "CancelledError": "CancelledError",
    "RecursionError": "RecursionError: too deep",
    "allocating": "MemoryError",
}
HARMLESS = ["printing", "leaving a thread"]
WHILE_COMPILING = ["exit 0", "segfault", "SIGKILL", "leaving processes", "writing garbage"]


def name_of(deed: str, where: str) -> str:
    return f"{where}-{deed}".replace(" ", "-")


def publish(folder: Path, deed: str, where: str, *, golden: bool = True) -> str:
    name = name_of(deed, where)
    package = put(folder, name, "1", dump(HostileRegressor(deed, where)))
    if golden:
        (package / "metadata.json").write_text(GOLDEN)
    return name


@dataclass
class Answers:
    """What a client was answered that asked all the while."""

    codes: list[int] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)


@contextmanager
def asking(server: LiveServer, model: str) -> Iterator[Answers]:
    answers = Answers()

    def ask() -> None:
        while not answers.stopped.wait(0.01):
            answers.codes.append(server.predict(model, ROW).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        answers.stopped.set()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, servers_not_covered: None) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    put(folder, "good", "1", dump(constant(1.0)))
    trying = live_server(folder, load_timeout_s=20, load_cpu_s=2, load_memory_mb=400)
    with trying as running, asking(running, "good") as answers:
        for where in ("unpickling", "predicting"):
            for deed in (*FATAL, *RAISED, *HARMLESS, "its parent"):
                publish(folder, deed, where)
        for deed in WHILE_COMPILING:
            publish(folder, deed, "compiling")
        put(folder, "late", "1", dump(constant(2.0)))
        wait_until(lambda: running.logged("late/1 is ready"), "the good version among all of them", limit_s=100)
        assert running.predict("late", ROW).json() == {"predictions": [2.0]}
        yield running
        assert set(answers.codes) == {200}


def outcome(server: LiveServer, name: str, *states: str) -> str:
    """The first line of the log that says that a version came into one of these states."""
    lines = wait_until(
        lambda: [line for state in states for line in server.logged(f"{name}/1 is {state}")],
        f"{name} to be {' or '.join(states)}",
        limit_s=100,
    )
    return str(lines[0]["message"])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", ["unpickling", "predicting"])
@pytest.mark.parametrize("deed", [*FATAL, *RAISED])
def test_a_version_that_cannot_be_tried_to_the_end_fails_with_the_cause(
    server: LiveServer, deed: str, where: str
) -> None:
    told = outcome(server, name_of(deed, where), "failed", "ready")
    step = {"unpickling": "reading it", "predicting": "proving it"}[where]
    if deed == "spinning" and "did not return" in told:
        return  # a machine so busy that it was given no two seconds
    assert (f"{step} {FATAL[deed]}" if deed in FATAL else RAISED[deed]) in told


@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", ["unpickling", "predicting"])
def test_a_version_cannot_harm_what_watches_over_it(server: LiveServer, where: str) -> None:
    """Where the kernel knows how, it refuses the signal; elsewhere what watches over this one version is killed."""
    told = outcome(server, name_of("its parent", where), "failed", "ready")
    assert "Operation not permitted" in told or "ended the process that watched over it" in told


@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", ["unpickling", "predicting"])
@pytest.mark.parametrize("deed", HARMLESS)
def test_what_harms_only_the_child_is_no_reason_to_refuse(server: LiveServer, deed: str, where: str) -> None:
    assert "ready" in outcome(server, name_of(deed, where), "failed", "ready")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("deed", WHILE_COMPILING)
def test_a_version_whose_forms_cannot_be_looked_for_is_answered_by_scikit_learn(server: LiveServer, deed: str) -> None:
    name = name_of(deed, "compiling")
    outcome(server, name, "ready")
    told = outcome(server, name, "answered")
    assert f"compiling it {FATAL[deed]}" in told
    assert server.predict(name, ROW).json() == {"predictions": [0.0]}


@pytest.mark.timeout(240)
def test_what_a_child_writes_is_logged_with_the_name_of_its_version(server: LiveServer) -> None:
    name = name_of("printing", "unpickling")
    outcome(server, name, "ready")
    (record, *_) = wait_until(lambda: server.logged(f"{name}/1 wrote while it was tried: a flood"), "its words")
    assert record["bytes"] >= 600_000
    assert len(record["message"]) < 2_200


def test_a_crash_says_where_in_the_log(server: LiveServer) -> None:
    name = name_of("segfault", "unpickling")
    outcome(server, name, "failed")
    (record, *_) = wait_until(lambda: server.logged(f"{name}/1 wrote while it was tried"), "its words")
    assert "Fatal Python error: Segmentation fault" in record["message"]
    assert "__setstate__" in record["message"]


def test_what_was_left_behind_is_gone(server: LiveServer) -> None:
    outcome(server, name_of("leaving processes", "predicting"), "failed")
    wait_until(lambda: not lingering(), "processes that were left behind to be gone")


def lingering() -> list[str]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:
                    found += [entry.name] if LINGERING.encode() in file.read() else []
            except OSError:
                pass
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_versions_that_hang_delay_no_other_and_no_stop(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "models"
    for number in range(2):
        for deed in ("sleeping", "holding the interpreter"):
            put(folder, f"{name_of(deed, 'unpickling')}-{number}", "1", dump(HostileRegressor(deed, "unpickling")))
    put(folder, "good", "1", dump(constant(1.0)))
    with live_server(folder, wait=False, workers=workers, drain_timeout_s=1) as server:
        wait_until(lambda: len(server.logged("good/1 is ready")) == workers, "the good version")
        put(folder, "late", "1", dump(constant(2.0)))
        wait_until(lambda: len(server.logged("late/1 is ready")) == workers, "the late version")
        assert server.predict("late", ROW).json() == {"predictions": [2.0]}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(stretched(30)) == 0
        assert not server.logged("does not come back")


def test_a_version_that_is_not_wanted_any_more_is_not_tried_to_the_end(tmp_path: Path) -> None:
    package = put(tmp_path, "hanging", "1", dump(HostileRegressor("sleeping", "unpickling")))
    put(tmp_path, "good", "1", dump(constant(1.0)))
    with live_server(tmp_path, wait=False) as server:
        wait_until(lambda: children(server), "the child")
        wait_until(lambda: server.status("good", "1")[0] == "READY", "the other version")
        package.rename(tmp_path / ".gone")
        wait_until(lambda: not children(server), "the child to be gone")


@pytest.mark.parametrize("killed", ["server", "nursery"])
def test_children_go_with_their_server_and_a_nursery_that_dies_is_replaced(tmp_path: Path, killed: str) -> None:
    put(tmp_path, "hanging", "1", dump(HostileRegressor("sleeping", "unpickling")))
    server = LiveServer(tmp_path, {"compile": "off"})
    with server:
        wait_until(lambda: children(server), "the child")
        (nursery,) = below(server.process.pid)
        os.kill(server.process.pid if killed == "server" else nursery, signal.SIGKILL)
        if killed == "server":
            server.process.wait()
            wait_until(lambda: not leash.carriers(server.server._token), "everything to be gone")
            return
        wait_until(lambda: nursery not in below(server.process.pid), "the nursery to be gone")
        put(tmp_path, "good", "1", dump(constant(1.0)))
        wait_until(lambda: server.status("good", "1")[0] == "READY", "a version that is tried in a new nursery")
        assert server.stop() == 0


def test_without_isolation_versions_are_loaded_by_the_server_alone(tmp_path: Path) -> None:
    put(tmp_path, "good", "1", dump(constant(1.0)))
    with live_server(tmp_path, load_isolation="none") as server:
        assert server.predict("good", ROW).json() == {"predictions": [1.0]}
        assert below(server.process.pid) == []


def below(pid: int) -> list[int]:
    """The processes that this one is the parent of and that still run."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found


def children(server: LiveServer) -> list[int]:
    """The processes in which a version is tried: one that waits for an order has no session of its own yet."""
    kept = [c for nursery in below(server.process.pid) for keeper in below(nursery) for c in below(keeper)]
    return [child for child in kept if session_of(child) == child]


def session_of(pid: int) -> int:
    """The session of a process; 0 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
