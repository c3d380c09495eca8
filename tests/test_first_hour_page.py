"""docs/first-hour.md from its first command to its last, as a newcomer runs them: a CSV file, a pickle, a canary."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.live import LiveServer, wait_until
from tests.observability.prometheus import Prometheus
from tools.parts import program_of_debian

PAGE = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
pytestmark = pytest.mark.timeout(600)  # some ten processes that import scikit-learn, and a server


class Newcomer:
    """Somebody in an empty folder, who types what the page says, and waits as people do."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._server: LiveServer | None = None
        self._prometheus: Prometheus | None = None
        self._printed = ""

    def reads(self, language: str, text: str) -> None:
        """Do what a block says, or hold it against what was printed last."""
        match language:
            case "python":
                subprocess.run([sys.executable, "-c", text], cwd=self.folder, check=True)
            case "yaml":
                self._writes(text)
            case "text":
                self._compares(text)
            case _ if text.startswith("model-manager serve"):
                self._server = self._stack.enter_context(LiveServer(self.folder / "repository", {}))
                wait_until(self._server.ready, "the server to be ready")
            case _ if text.startswith("prometheus "):
                self._prometheus = self._stack.enter_context(Prometheus(self.folder / "prometheus.yml"))
                self._wait_for_prometheus("up == 1")
            case _:
                self._runs(text)

    def _writes(self, text: str) -> None:
        assert self._server is not None
        if "scrape_configs" in text:
            admin = str(self._server.admin.base_url.netloc, "ascii")
            assert "localhost:8081" in text
            faster = text.replace("localhost:8081", admin).replace("5s", "1s")
            (self.folder / "prometheus.yml").write_text(faster, encoding="utf-8")
            return
        (self.folder / "repository" / "models.yaml").write_text(text, encoding="utf-8")
        if "traffic" in text:
            server = self._server
            wait_until(lambda: server.status("wine", "2") == ("READY", ""), "version 2 to be ready")

    def _runs(self, command: str) -> None:
        for name, server in (("8080", "api"), ("8081", "admin")):
            if self._server is not None:
                base = str(getattr(self._server, server).base_url).rstrip("/")
                command = command.replace(f"http://localhost:{name}", base)
        if self._prometheus is not None:
            command = command.replace("http://localhost:9090", self._prometheus.api)
        command = re.sub(r"^model-manager", f"{sys.executable} -m model_manager", command, flags=re.MULTILINE)
        judged = " canary " in command
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "100", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        # on a busy machine a version may well be slower for a while, and the page names that code as well
        assert done.returncode in ((0, 1) if judged else (0,)), f"{command}{done.stdout}{done.stderr}"
        self._printed = done.stdout + done.stderr
        if "[1-1000]" in command:
            self._wait_for_prometheus('sum(model_manager_requests_total{model_name="wine"}) >= 1000')

    def _wait_for_prometheus(self, expression: str) -> None:
        prometheus = self._prometheus
        assert prometheus is not None
        wait_until(lambda: prometheus.query(expression), f"Prometheus to see {expression}")

    def _compares(self, excerpt: str) -> None:
        """Every line of an excerpt was printed, in this order, whatever the width of its columns."""
        rest = re.sub(r" +", " ", self._printed)
        for line in excerpt.splitlines():
            wanted = re.sub(r" +", " ", line.rstrip())
            assert wanted in rest, f"not printed after what is before it: {line}\n{self._printed}"
            rest = rest.partition(wanted)[2]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    program_of_debian("prometheus", "prometheus")
    with ExitStack() as stack:
        yield Newcomer(tmp_path, stack)


def test_every_command_does_what_the_page_says(newcomer: Newcomer) -> None:
    for language, text in BLOCKS:
        newcomer.reads(language, text)
    assert sum(language == "sh" for language, _ in BLOCKS) >= 9
    assert (newcomer.folder / "answers.txt").read_text(encoding="utf-8").count("predictions") >= 1
