"""The first second of a process, in which it only imports: a signal ends it cleanly, and nobody is told of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import COMMAND, live_server, wait_until
from tests.models import constant, dump, put
from tools.processes import Process


def test_a_term_signal_during_the_imports_ends_the_process_with_zero(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    with Process("the server", [*COMMAND, "--models", str(tmp_path), "--port", "0"]) as starting:
        wait_until(lambda: _handles(starting, signal.SIGTERM), "the handler")
        assert starting.end(signal.SIGTERM) == 0


def test_ctrl_c_during_the_imports_ends_in_one_line(tmp_path: Path) -> None:
    with Process("the server", [*COMMAND, "--models", str(tmp_path), "--port", "0"]) as starting:
        # SIGTERM is handled last, and Python itself has a handler of SIGINT
        wait_until(lambda: _handles(starting, signal.SIGTERM), "the handlers")
        assert starting.end(signal.SIGINT) == 130
        assert starting.log == ["model-manager: interrupted"]


@pytest.mark.parametrize("library", ["numpy", "scipy", "sklearn"])
@pytest.mark.parametrize("command", ["train", "serve"])
def test_ctrl_c_while_a_library_is_imported_ends_in_one_line(tmp_path: Path, command: str, library: str) -> None:
    (tmp_path / "table.csv").write_text("x,y\n" + "1,a\n2,b\n" * 20, encoding="utf-8")
    words = {
        "train": ["train", str(tmp_path / "table.csv"), "--target", "y", "--out", str(tmp_path / "out")],
        "serve": ["serve", "--models", str(tmp_path), "--port", "0", "--admin-port", "0"],
    }
    with Process(command, [sys.executable, "-m", "model_manager", *words[command]]) as starting:
        wait_until(lambda: f"/site-packages/{library}/" in _mapped(starting), f"it to import {library}")
        assert starting.end(signal.SIGINT) == 130
        assert starting.log == ["model-manager: interrupted"]


@pytest.mark.uncovered  # whose tracing can lose a signal that comes during an import
def test_ctrl_c_before_it_serves_is_a_stop(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    with Process("the server", [*COMMAND, "--models", str(tmp_path), "--port", "0", "--admin-port", "0"]) as starting:
        wait_until(lambda: _offspring(starting.popen.pid), "the process that tries versions")
        assert starting.end(signal.SIGINT) in (0, 130)
        assert not [line for line in starting.log if "Traceback" in line or "ready" in line]


@pytest.mark.uncovered
@pytest.mark.parametrize("processes", [1, 3], ids=["while they are prepared", "while they begin"])
def test_ctrl_c_while_workers_are_starting_leaves_no_traceback(tmp_path: Path, processes: int) -> None:
    ports = ["--port", "0", "--admin-port", "0"]
    with Process("the server", [*COMMAND, "--models", str(tmp_path), "--workers", "2", *ports]) as starting:
        # what they are forked from, and they themselves
        wait_until(lambda: len(_offspring(starting.popen.pid)) >= processes, "its processes")
        for child in _offspring(starting.popen.pid):  # a terminal tells all of them
            os.kill(child, signal.SIGINT)
        if starting.end(signal.SIGINT) == 130:  # it had not begun to wait for signals
            (said,) = starting.log
            assert said.startswith("model-manager: interrupted")
        else:
            assert starting.end(signal.SIGINT) == 0
        assert not [line for line in starting.log if "Traceback" in line]


def test_ctrl_c_waits_until_the_event_loop_handles_it_and_does_not_come_after_it() -> None:
    """Raised where a loop starts or ends, it would be a traceback, and a task that nobody awaits."""
    script = """
import asyncio, os, signal
from model_manager.event_loop import event_loop, on_interrupt

async def serve():
    told = asyncio.Event()
    os.kill(os.getpid(), signal.SIGINT)
    on_interrupt(told.set)
    await told.wait()
    print("told")

with event_loop() as runner:
    os.kill(os.getpid(), signal.SIGINT)
    runner.run(serve())
os.kill(os.getpid(), signal.SIGINT)
print("ended")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (ran.stdout.split(), ran.stderr) == (["told", "ended"], "")


def _offspring(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # one a thread
    born = [int(child) for children in lists for child in children.read_text().split()]
    return [*born, *(each for child in born for each in _offspring(child))]


def _mapped(process: Process) -> str:
    """The files that a process has mapped, of which libraries are some."""
    return Path(f"/proc/{process.popen.pid}/maps").read_text(encoding="utf-8")


def _handles(process: Process, signum: int) -> bool:
    """Whether a process has a handler of a signal."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return bool(int(status.partition("SigCgt:\t")[2].split()[0], 16) & 1 << (signum - 1))


def test_onnx_runtime_reports_to_nobody(samples: Path) -> None:
    with live_server(samples) as live:
        wait_until(lambda: live.logged("breast-cancer/1 is answered by onnx"), "a form of ONNX Runtime")
        assert live.plain == []  # its notice of reporting would be a line of another form
    ask = "import os, model_manager.inference.compiled; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout.strip() == b"1"
