"""The first second of a process, in which it only imports: a signal ends it cleanly, and nobody is told of it."""

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
    handled = 1 << (signal.SIGTERM - 1)
    status = Path(f"/proc/{process.pid}/status")
    wait_until(lambda: int(status.read_text().partition("SigCgt:\t")[2].split()[0], 16) & handled, "the handler")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_onnx_runtime_reports_to_nobody(samples: Path) -> None:
    with live_server(samples) as live:
        wait_until(lambda: live.logged("breast-cancer/1 is answered by onnx"), "a form of ONNX Runtime")
        assert live.plain == []  # its notice of reporting would be a line of another form
    ask = "import os, model_manager.inference.compiled; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True).stdout.strip() == b"1"
