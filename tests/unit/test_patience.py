"""Limits follow the machine: one that strikes asks it first."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import patience
from tools.patience import Limit, measure_slowness, stretched, until, wait_until
from tools.processes import ROOT


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this measure of a quiet machine, the real one is hundreds of times slower."""
    monkeypatch.setattr(patience, "quiet_s", 0.001)
    monkeypatch.setattr(patience, "_known", None)


def test_a_condition_that_comes_true_late_is_late_on_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "quiet_s", 1000.0)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    with pytest.raises(AssertionError, match="still waiting for what never comes after"):
        wait_until(lambda: False, "what never comes", limit_s=0.1)


def test_the_same_is_in_time_on_a_slow_one(slow_machine: None) -> None:
    began = time.monotonic()
    assert wait_until(lambda: time.monotonic() > began + 0.3, "a moment", limit_s=0.1)


async def test_a_wait_on_an_event_loop_follows_the_machine_too(slow_machine: None) -> None:
    loop = asyncio.get_running_loop()
    turned = asyncio.Event()
    loop.call_later(0.3, turned.set)
    assert await until(turned.is_set, "the loop to go on", limit_s=0.1)


async def test_and_what_never_comes_is_said_there_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "quiet_s", 1000.0)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    with pytest.raises(AssertionError, match="still waiting for what never comes after"):
        await until(lambda: False, "what never comes", limit_s=0.1)


def test_a_limit_is_never_shorter_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "quiet_s", 1000.0)
    assert measure_slowness() >= 1
    assert stretched(30) >= 30
    assert Limit(30).left() > 29


def test_a_limit_that_cannot_ask_is_stretched_by_what_was_measured(slow_machine: None) -> None:
    assert stretched(30) > 300


def test_the_time_of_a_test_follows_the_machine_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
import time
from tools import patience

patience.quiet_s = 0.001

def test_it():
    time.sleep(1.5)  # stands for work
"""
    )
    command = [sys.executable, "-m", "pytest", "-q", f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={ROOT}"]
    more = ["-p", "conftest", "-p", "no:cacheprovider", "--timeout=1", str(tmp_path / "test_it.py")]
    ran = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
