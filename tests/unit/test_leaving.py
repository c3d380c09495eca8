"""server/model_manager/process.py, the very end: a thread that does not come back holds up and loses nothing."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(200)  # what is imported takes a minute where ten others import it, too

LEAVING = """
import sys, threading
from model_manager.logs import configure_logging
from model_manager.process import leave

configure_logging(format="console", level="info")
threading.Thread(target={target}, name="predict_0").start()
print("said by a model")
leave(3, ["iris/1"])
print("returned")
sys.exit(4)
"""


def ended(target: str) -> subprocess.CompletedProcess[str]:
    """Run a process whose thread runs this, to its end."""
    return subprocess.run(
        [sys.executable, "-c", LEAVING.format(target=target)], capture_output=True, text=True, timeout=180
    )


def test_a_stuck_thread_ends_the_process_with_its_code_and_what_was_written_arrives() -> None:
    process = ended("threading.Event().wait")
    assert process.returncode == 3
    assert process.stdout == "said by a model\n"
    (line,) = process.stderr.splitlines()
    assert "does not come back: predict_0" in line
    assert "wait (threading.py:" in line
    assert "versions=iris/1" in line


def test_threads_that_end_by_themselves_are_no_reason_to_leave() -> None:
    process = ended("threading.Event().is_set")
    assert (process.returncode, process.stdout, process.stderr) == (4, "said by a model\nreturned\n", "")
