"""Where a release comes from and goes to: a checkout that may be committed to, a package index, an OCI registry."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT
from tools import parts
from tools.processes import Process

PARTS = ROOT / "build" / "parts"
IDENTITY = {
    f"GIT_{role}_{what}": f"release-test{at}"
    for role in ("AUTHOR", "COMMITTER")
    for what, at in (("NAME", ""), ("EMAIL", "@localhost"))
}


def run(*command: str | Path, cwd: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run a program that has to succeed, and return what it prints."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | dict(variables or {}), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Checkout:
    """This project as it is now, as the only commit of a repository of its own."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._variables = {
            **IDENTITY,
            "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'server'}",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        changes = folder / "CHANGELOG.md"  # of which nothing may be unreleased just now
        text = changes.read_text(encoding="utf-8").replace("## Unreleased\n", "## Unreleased\n\n- Something.\n", 1)
        changes.write_text(text, encoding="utf-8")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("What there is")

    def git(self, *arguments: str) -> str:
        """What Git prints."""
        return run("git", *arguments, cwd=self.folder, variables=self._variables).strip()

    def commit(self, message: str) -> None:
        """Commit every file as it is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def program(self, name: str) -> Path:
        """A program that releases use."""
        return self._programs / name

    def release(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of tools.release."""
        return subprocess.run(
            [sys.executable, "-m", "tools.release", *arguments],
            cwd=self.folder, env=os.environ | self._variables | variables, capture_output=True, text=True,
        )  # fmt: skip


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry of images and charts; yields its address."""
    config = folder / "registry.yaml"
    storage = {"filesystem": {"rootdirectory": str(folder / "blobs")}}
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": "127.0.0.1:0"}}), "utf-8")
    program = parts.program_of_debian("docker-registry", "docker-registry")
    with Process("the registry", [str(program), "serve", str(config)]) as process:
        yield process.wait_for(lambda: _found(r"listening on (127\.0\.0\.1:\d+)", process), "to listen")
        process.end(signal.SIGTERM)  # which neither program takes for a reason to exit with 0


@contextmanager
def index(folder: Path, wheels: list[Path]) -> Iterator[str]:
    """An index of packages, in the form that every installer reads; yields its URL."""
    for wheel in wheels:
        project = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (folder / project).mkdir(parents=True, exist_ok=True)
        (folder / project / wheel.name).symlink_to(wheel)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with Process("the index", ["sh", "-c", 'exec "$@" 1>&2', "sh", *command]) as process:
        port = process.wait_for(lambda: _found(r"port (\d+)", process), "to listen")
        yield f"http://127.0.0.1:{port}/"
        process.end(signal.SIGTERM)


def _found(pattern: str, process: Process) -> str | None:
    match = re.search(pattern, "\n".join(process.log))
    return match and match[1]
