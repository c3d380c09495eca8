"""Servers as processes of their own: started on a core, waited for until they are ready, stopped with SIGTERM.

Each says where it listens in a line of JSON on standard error with the key "api"; model-manager's log does.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tools.cores import pinned

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0
STOP_S = 30.0
_ANSWER_S = 30.0
_LAST_LINES = 5

T = TypeVar("T")


class ProcessFailed(Exception):
    """A process of ours did not start, did not get ready, or ended by itself. The text holds its last words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Process:
    """A running process, and the file that it writes its log to."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        """Return the first value of `condition` that is true. Raises ProcessFailed."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self.check()
            if value := condition():
                return value
            time.sleep(0.02)
        raise ProcessFailed(f"{self.name}: waited {START_S:g} s for it {what}{self._last_words()}")

    def check(self) -> None:
        """Raise ProcessFailed when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise ProcessFailed(f"{self.name} ended with exit code {code}{self._last_words()}")

    def stop(self) -> None:
        """Send SIGTERM and wait; raises ProcessFailed when the exit code is not 0 or the wait was in vain."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessFailed(f"{self.name} did not stop within {STOP_S:g} s{self._last_words()}") from None
        if code != 0:
            raise ProcessFailed(f"{self.name} stopped with exit code {code}{self._last_words()}")

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "".join(f"\n  {line}" for line in lines)


class Server(Process):
    """A running server process. `addresses` is what it said of itself: "api", and "admin" if it has one."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        super().__init__(name, process, log)
        self.addresses: dict[str, str] = self.wait_for(self._announced, "to listen")

    @property
    def api(self) -> str:
        """The address that requests are sent to."""
        return self.addresses["api"]

    def is_ready(self) -> bool:
        """Whether the readiness probe says yes; a server that does not answer it is not ready."""
        try:
            return ask(f"{self.addresses['admin']}/v2/health/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _announced(self) -> dict[str, str] | None:
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                said = json.loads(line)
                if "api" in said:
                    return {key: said[key] for key in ("api", "admin") if key in said}
        return None


def stop_when_told() -> None:
    """Take SIGTERM for an exit, so that what was started is stopped on the way out."""
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))


@contextmanager
def server(
    name: str,
    command: Sequence[str],
    *,
    core: int | None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server while the body runs; its log is `<folder>/<name>.log`. Raises ProcessFailed."""
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as stderr:
        variables = clean_environment() | dict(environment or {})
        process = subprocess.Popen(pinned(command, core), stderr=stderr, cwd=ROOT, env=variables)
    try:
        running = Server(name, process, log)
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def model_manager(
    name: str,
    models: Path,
    *,
    core: int | None,
    folder: Path,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = ("model_manager", "serve"),
) -> Iterator[Server]:
    """Serve a folder of models on free ports of the loopback, with default settings but for `flags`.

    Waits until it is ready, and every version is as fast as it will be. Raises ProcessFailed.
    """
    where = ["--models", str(models), "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"]
    command = [sys.executable, "-m", *program, *where, *flags]
    with server(name, command, core=core, folder=folder, environment=environment) as running:
        running.wait_for(running.is_ready, "to be ready")
        if "off" not in flags:  # --compile off
            running.wait_for(lambda: _is_settled(running.api), "to end its search for faster forms")
        yield running


def clean_environment() -> dict[str, str]:
    """The environment less what configures a server: defaults are what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODEL_MANAGER_", "OTEL_"))}


def ask(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request, POST if there is a body. Raises OSError and http.client.HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_ANSWER_S)
    try:
        target = parts._replace(scheme="", netloc="").geturl()
        connection.request("GET" if body is None else "POST", target, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def ask_json(url: str) -> Any:
    """GET a JSON document. Raises ProcessFailed for any other status than 200."""
    answer = ask(url)
    if answer.status != 200:
        raise ProcessFailed(f"GET {url}: {answer.status} {answer.body[:200].decode(errors='replace')}")
    return json.loads(answer.body)


def _is_settled(api: str) -> bool:
    """Whether no version is still answered by scikit-learn for want of a decision."""
    rows = json.loads(ask(f"{api}/v2/repository/index", b"").body)
    said = [row.get("parameters", {}) for row in rows]
    return all(one.get("form") != "sklearn" or "not_compiled_because" in one for one in said)
