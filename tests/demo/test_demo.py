"""`make demo` runs to its end: everybody notices, the pictures are taken, and Ctrl-C leaves nothing behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="make test-browser installs it")

from tests.browser.staging import chromium
from tests.conftest import ROOT
from tools import parts
from tools.patience import wait_until

COMMAND = (sys.executable, "-m", "tests.demo")


@pytest.mark.browser
@pytest.mark.timeout(400)
def test_everybody_notices_that_the_new_version_turned_wrong(tmp_path: Path) -> None:
    parts.program_of_debian("prometheus", "prometheus")
    if chromium() is None:
        parts.absent("Chromium is not there")
    told, said = tmp_path / "told", tmp_path / "said"
    with told.open("wb") as out, said.open("wb") as progress:
        running = subprocess.Popen([*COMMAND, "--pictures", tmp_path], cwd=ROOT, stdout=out, stderr=progress)
    try:
        ended = lambda: running.poll() is not None or b"Ctrl-C stops it" in said.read_bytes()  # noqa: E731
        wait_until(ended, "the story to be told", limit_s=180)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0, said.read_text(encoding="utf-8")
    finally:
        running.kill()
        running.wait()
    text = told.read_text(encoding="utf-8")
    steady, _, risen = text.partition("2. Prices rise")
    assert "no worse (exit code 0)" in steady
    assert "ModelDrifts" not in steady
    assert "version 2: monthly_charges" in risen
    assert "ModelAnswersWorse: Version 2 of churn" in risen
    assert "ModelDrifts: The feature monthly_charges" in risen
    assert "worse (exit code 1); accuracy: " in risen
    assert "raised the log-odds of yes" in risen
    taken = {path.name for path in tmp_path.glob("*.png") if path.read_bytes().startswith(b"\x89PNG")}
    assert taken == {"demo-console.png", "demo-why.png", "demo-terminal.png"}


def test_without_prometheus_it_says_where_to_get_it() -> None:
    ran = subprocess.run(COMMAND, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "apt-get install prometheus" in ran.stderr
