"""The first second of a process, in which it only imports: a signal ends it cleanly, and nobody is told of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.live import live_server, wait_until
from tests.models import constant, dump, put


def test_a_term_signal_during_the_imports_ends_the_process_with_zero(tmp_path: Path) -> None:
    put(tmp_path, "m", "1", dump(constant(1.0)))
    process = subprocess.Popen(
        [sys.executable, "-m", "model_manager", "serve", "--models", str(tmp_path), "--port", "0"]
    )
    status = Path(f"/proc/{process.pid}/status")
    wait_until(lambda: _handles(status, signal.SIGTERM), "the handler")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_ctrl_c_during_the_imports_ends_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model_manager", "serve", "--models", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    status = Path(f"/proc/{process.pid}/status")
    # SIGTERM is handled last, and Python itself has a handler of SIGINT
    wait_until(lambda: _handles(status, signal.SIGTERM), "the handlers")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "model-manager: interrupted\n")


def test_ctrl_c_while_workers_are_starting_leaves_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model_manager", "serve", "--models", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--admin-port", "0"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: len(children.read_text().split()) >= 3, "two workers, and what looks after their resources")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=50)
    assert "Traceback" not in said
    assert process.returncode == 0


def _handles(status: Path, signum: int) -> bool:
    """Whether a process has a handler of a signal, by its /proc/<pid>/status."""
    caught = int(status.read_text().partition("SigCgt:\t")[2].split()[0], 16)
    return bool(caught & 1 << (signum - 1))


def test_onnx_runtime_reports_to_nobody(samples: Path) -> None:
    with live_server(samples) as live:
        wait_until(lambda: live.logged("breast-cancer/1 is answered by onnx"), "a form of ONNX Runtime")
        assert live.plain == []  # its notice of reporting would be a line of another form
    ask = "import os, model_manager.inference.compiled; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout.strip() == b"1"
