"""docs/lifecycle.md from its first command to its last, as a reader runs them: two versions of a CSV file, and back."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.live import LiveServer, wait_until

PAGE = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
pytestmark = pytest.mark.timeout(300)  # some twenty commands, each a process that imports scikit-learn


class Reader:
    """Somebody in an empty folder, who types what the page says."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._server: LiveServer | None = None
        self._printed = ""

    def reads(self, language: str, text: str) -> None:
        """Do what a block says, or hold it against what was printed last."""
        match language:
            case "python":
                subprocess.run([sys.executable, "-c", text], cwd=self.folder, check=True)
            case "yaml":
                (self.folder / "repository" / "models.yaml").write_text(text, encoding="utf-8")
            case "text":
                self._compare(text)
            case _ if text.startswith("model-manager serve"):
                self._serve()
            case _:
                self._run(text)
                self._wait(text)

    def _serve(self) -> None:
        folder = self.folder / "repository"
        self._server = self._stack.enter_context(LiveServer(folder, {"state": str(self.folder / "state")}))
        wait_until(self._server.ready, "the server to be ready")

    def _run(self, command: str) -> None:
        command = re.sub(r"^model-manager", f"{sys.executable} -m model_manager", command, flags=re.MULTILINE)
        if self._server is not None:
            command = command.replace("http://localhost:8080", str(self._server.api.base_url).rstrip("/"))
            command = command.replace("http://localhost:8081", str(self._server.admin.base_url).rstrip("/"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "100", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{command}{done.stdout}{done.stderr}"
        self._printed = done.stdout + done.stderr

    def _wait(self, command: str) -> None:
        """Wait as a person does who looks again: the server follows the folder by itself."""
        if self._server is None:
            return
        server = self._server
        if command.startswith("cp next"):
            wait_until(lambda: server.status("tumour", "2") == ("READY", ""), "version 2 to be ready")
        if command.startswith(("model-manager promote", "model-manager rollback")):
            version = "2" if "promote" in command else "1"
            wait_until(lambda: self._default() == version, "the version to answer")

    def _default(self) -> str:
        assert self._server is not None
        rows = self._server.index().values()
        return next((row["version"] for row in rows if row["parameters"].get("default") == "true"), "")

    def _compare(self, excerpt: str) -> None:
        """Every line of an excerpt was printed, in this order; "…" stands for what differs from time to time."""
        rest = re.sub(r" +", " ", self._printed)
        for line in excerpt.splitlines():
            wanted = ".*?".join(re.escape(part) for part in re.sub(r" +", " ", line.rstrip()).split("…"))
            found = re.search(wanted, rest)
            assert found, f"not printed after what is before it: {line}\n{self._printed}"
            rest = rest[found.end() :]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(tmp_path, stack)


def test_every_command_does_what_the_page_says(reader: Reader) -> None:
    for language, text in BLOCKS:
        reader.reads(language, text)
    assert sum(language == "sh" for language, _ in BLOCKS) >= 11
    assert (reader.folder / "tumour-2.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (reader.folder / "disagreements.csv").is_file()
