"""`make observe` really runs: starts everything, draws the dashboard, and leaves nothing behind."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import parts
from tools.patience import wait_until

pytestmark = pytest.mark.timeout(200)
COMMAND = (sys.executable, "-m", "tests.observability", "--prometheus-port", "0")


def test_it_says_where_to_look_and_draws_the_dashboard(tmp_path: Path) -> None:
    parts.program_of_debian("prometheus", "prometheus")
    parts.module("matplotlib")
    parts.module("opentelemetry.proto")
    picture = tmp_path / "dashboard.png"
    ran = subprocess.run(
        [*COMMAND, "--seconds", "8", "--picture", str(picture)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    for place in ("API, stable", "API, canary", "/metrics", "/graph", "/alerts", "/spans"):
        assert place in ran.stderr
    assert re.search(r"^curl -s http://\S+/v1/models/iris:predict -H '[^']+' -d '[^']+'$", ran.stderr, re.MULTILINE)
    drawn = sorted(tmp_path.iterdir())
    assert {f"dashboard-{row}.png" for row in ("traffic-and-errors", "latency", "versions")} <= {p.name for p in drawn}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_ctrl_c_ends_it_in_peace_though_a_terminal_tells_everybody_at_once(tmp_path: Path) -> None:
    """By make, whom the terminal would tell as well, and by somebody who is impatient."""
    parts.program_of_debian("prometheus", "prometheus")
    parts.module("opentelemetry.proto")
    (tmp_path / "Makefile").write_text(f"observe:\n\t@cd {ROOT} && {shlex.join(COMMAND)}\n", encoding="utf-8")
    told = tmp_path / "told"
    at_a_terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    with told.open("wb") as stream:
        running = subprocess.Popen(
            [sys.executable, "-c", at_a_terminal, "make", "-C", str(tmp_path), "observe"],
            stdin=subprocess.PIPE,
            stdout=stream,
            start_new_session=True,
        )
    assert running.stdin is not None
    try:
        wait_until(lambda: b"requests sent" in told.read_bytes(), "it to run", limit_s=100)
        running.stdin.write(b"\x03\x03")
        running.stdin.flush()
        assert running.wait(100) == 0, told.read_text(encoding="utf-8")
        assert b"curl -s" in told.read_bytes()
        assert b"Traceback" not in told.read_bytes()
    finally:
        running.stdin.close()  # which hangs up, should it run still
        running.wait(100)


def test_without_prometheus_it_says_where_to_get_it() -> None:
    ran = subprocess.run(
        COMMAND, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert ran.returncode == 1
    assert "apt-get install prometheus" in ran.stderr
