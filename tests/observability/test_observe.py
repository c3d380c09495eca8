"""`make observe` really runs: starts everything, draws the dashboard, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import parts

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
    for place in ("API, stable", "API, canary", "/metrics", "/graph", "/alerts", "/spans", "curl -s"):
        assert place in ran.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_prometheus_it_says_where_to_get_it() -> None:
    ran = subprocess.run(
        COMMAND, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert ran.returncode == 1
    assert "apt-get install prometheus" in ran.stderr
