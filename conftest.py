"""What every test gets, in tests/ and in loadtests/tests/: a clean environment, and the sample models.

And what every run is held by: no test is out of time by a bet on the speed of this machine, and whatever a test started
ends with the run, however that ends.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from pytest_timeout import Settings

from tools import leash
from tools.patience import Limit
from tools.processes import ROOT


def pytest_configure() -> None:
    """Put all that tests start on the leash, programs that they run without our harness too."""
    leash.hold()


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Settings) -> Generator[None, bool, bool]:
    """Let the time of a test be up only by the measure of this machine, when it would be by that of a quiet one."""
    set_by_plugin = yield
    strike = signal.getsignal(signal.SIGALRM)
    if settings.method == "signal" and threading.current_thread() is threading.main_thread() and callable(strike):
        limit = Limit(settings.timeout)

        def strike_if_passed(signum: int, frame: FrameType | None) -> None:
            if limit.passed():
                strike(signum, frame)
            else:
                signal.setitimer(signal.ITIMER_REAL, limit.left())

        signal.signal(signal.SIGALRM, strike_if_passed)
    return set_by_plugin


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith(("MODEL_MANAGER_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def same_cores() -> Generator[None, None, None]:
    """Fail a test that leaves this process on other cores than it found: whatever comes after it would be slower."""
    before = _cores()
    yield
    assert _cores() == before, "this process may not run any more where it might before"


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of sample models, trained once for the whole run, by the first of its processes that asks."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    repository, unfinished = folder / "samples", folder / "samples-unfinished"
    with (folder / "samples.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not repository.exists():
            command = [sys.executable, "-m", "models.build", "--out", str(unfinished)]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            unfinished.rename(repository)
    return repository
