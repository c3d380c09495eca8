"""Containers of the image, held as tightly as a careful cluster would hold them."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live import LiveServer, wait_until
from tools import leash

BASE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
"""The base that `make image` takes."""
MEMORY = 512 * 1024 * 1024
CPUS = 1
TIMEOUT_S = 900  # the first test of a run waits for the build
measured: list[str] = []
"""What was measured, printed at the end of the run: machines differ, so little of it is asserted."""


def podman(*arguments: str) -> str:
    """Run podman and return what it prints."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def python(image: str, code: str) -> str:
    """Run Python in an image, as root so that it sees everything, and return what it prints."""
    return podman("run", "--rm", "--user=0", "--network=none", "--entrypoint=python", image, "-c", code).strip()


def hardened(empty: Path) -> list[str]:
    """Options of `podman run`; an empty file lies over every shell of the base, so that what needs one fails."""
    return [
        "--network=host",
        "--user=10001:10001",
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/tmp",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--memory={MEMORY}",
        f"--cpus={CPUS}",
        *(f"--volume={empty}:/usr/bin/{shell}:ro" for shell in ("bash", "dash")),
    ]


class Container(LiveServer):
    """The server in a container, attached: podman passes on its log, our signals and its exit code."""

    def __init__(self, image: str, folder: Path, options: Sequence[str]) -> None:
        self.name = f"model-manager-{uuid.uuid4().hex[:8]}"
        self.started = time.monotonic()
        run = ["podman", "run", "--rm", f"--name={self.name}", f"--volume={folder}:/models:ro", *options, image]
        self._remove = ["podman", "rm", "--force", "--ignore", "--time=0", self.name]
        leash.run_at_the_end(self._remove)  # its processes are podman's, and not ours to find
        try:
            super().__init__(Path("/models"), {}, command=run)
        except BaseException:
            subprocess.run(self._remove, capture_output=True)
            raise

    def python(self, code: str) -> str:
        """Run Python beside the server, in its namespaces and limits, and return what it prints."""
        return podman("exec", self.name, "python", "-c", code).strip()

    def kill(self) -> None:
        """End it at once, and see to it that podman keeps nothing of it."""
        subprocess.run(self._remove, capture_output=True)
        super().kill()


@contextmanager
def contained(image: str, folder: Path, options: Sequence[str]) -> Iterator[Container]:
    """Serve a folder from a container that is ready when the body starts, and must stop gracefully after it."""
    with Container(image, folder, options) as server:
        try:
            wait_until(server.ready, "the container to be ready")
            yield server
            assert server.stop() == 0
            assert server.plain == []  # machines read this log: nothing but JSON
        finally:
            print("\n".join([*map(str, server.log), *server.plain]))  # noqa: T201 - pytest shows it with a failure
