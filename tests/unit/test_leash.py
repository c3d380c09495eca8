"""What a program starts ends with it, however it ends, with all that it started in turn."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import LiveServer, wait_until
from tools.processes import ROOT, Process, ProcessFailed
from tools.servers import Server

SILENT = "import time\nwhile True: time.sleep(60)"
PARENT = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {SILENT!r}])\n"
STARTS_AND_SLEEPS = PARENT + SILENT


def running(mark: str) -> list[str]:
    """The command lines of processes that carry a mark in theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return found


def marked(script: str, folder: Path) -> list[str]:
    """The command line of a script whose children carry the mark `folder` too."""
    return [sys.executable, "-c", script.replace("'-c', ", "'-c', " + f"'# {folder}\\n' + "), str(folder)]


def test_a_server_that_never_listens_leaves_no_process_behind(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="for it to listen"):
        LiveServer(tmp_path, {}, command=marked(STARTS_AND_SLEEPS, tmp_path), limit_s=1)
    assert running(str(tmp_path)) == []


def test_a_server_that_ends_before_it_listens_leaves_nothing_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="ended with exit code 0"):
        Server("short", marked(PARENT, tmp_path))
    assert running(str(tmp_path)) == []


def test_a_body_that_raises_kills_what_it_started_and_all_that_this_started(tmp_path: Path) -> None:
    def fail() -> None:
        with Process("parent", marked(STARTS_AND_SLEEPS, tmp_path)):
            wait_until(lambda: len(running(str(tmp_path))) == 2, "the child")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert running(str(tmp_path)) == []


@pytest.mark.parametrize("end", [f"os.kill(os.getpid(), {signal.SIGKILL})", "os._exit(1)", "raise SystemExit(3)"])
def test_what_a_program_started_ends_with_it(tmp_path: Path, end: str) -> None:
    program = f"""
import os, subprocess, sys
from pathlib import Path
from tools import leash
leash.run_at_the_end(["touch", {str(tmp_path / "told")!r}])
subprocess.Popen({marked(STARTS_AND_SLEEPS, tmp_path)!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
sys.stdin.read()
{end}
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE) as holder:
        wait_until(lambda: len(running(str(tmp_path))) >= 3, "the program, its child, and the child of that")
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
    wait_until((tmp_path / "told").exists, "the command that was left behind")
    assert running(str(tmp_path)) == []


@pytest.mark.parametrize("options", [[], ["--timeout=1"], ["--timeout=1", "--timeout-method=thread"]])
def test_a_run_of_tests_leaves_no_server_when_it_is_killed(tmp_path: Path, options: list[str]) -> None:
    """By SIGKILL, by the time of a test that is up, and by pytest-timeout's other way, which is os._exit."""
    (tmp_path / "test_it.py").write_text(
        f"""
import signal
from pathlib import Path
from tests.live import live_server
from tests.models import constant, dump, put

def test_it():
    folder = Path({str(tmp_path / "models")!r})
    put(folder, "m", "1", dump(constant(1.0)))
    with live_server(folder, workers=2):
        (folder.parent / "ready").touch()
        signal.sigwait([signal.SIGUSR1])
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={ROOT}"]
    more = ["-p", "conftest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}", *options]
    with Process("pytest", [*command, *more, str(tmp_path / "test_it.py")]) as tests:
        if options:
            wait_until(lambda: tests.popen.poll() is not None, "the time to be up")
        else:
            wait_until((tmp_path / "ready").exists, "the server to be ready")
            assert running(str(tmp_path / "models"))
            tests.popen.kill()
        wait_until(lambda: running(str(tmp_path)) == [], "its servers to be gone", limit_s=5)
        tests.end(signal.SIGKILL)
