"""Run the real server as a process of its own, on free ports, and wait for conditions instead of sleeping."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

DEADLINE_S = 30.0
COMMAND = (sys.executable, "-m", "model_manager", "serve")


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first truthy value of `condition`; fail with `what` when none comes in time."""
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        if value := condition():
            return value
        pause.wait(0.01)
    raise AssertionError(f"still waiting for {what} after {DEADLINE_S:g} s")


class LiveServer:
    """A server process: its two ports as clients, its log as records."""

    def __init__(self, folder: Path, settings: Mapping[str, object], command: Sequence[str] = COMMAND) -> None:
        flags = {"models": folder, "host": "127.0.0.1", "port": 0, "admin-port": 0, "log-format": "json", **settings}
        arguments = [
            part
            for name, value in flags.items()
            for part in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
        ]
        self.process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
        self.log: list[dict[str, Any]] = []
        self.plain: list[str] = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        addresses = wait_until(
            lambda: self.logged("serving ") or self.process.poll() is not None, "the server to listen"
        )
        if addresses is True:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.plain}")
        self.api = httpx.Client(base_url=addresses[0]["api"], timeout=DEADLINE_S)
        self.admin = httpx.Client(base_url=addresses[0]["admin"], timeout=DEADLINE_S)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.plain.append(line)

    def logged(self, text: str) -> list[dict[str, Any]]:
        """The log records whose message contains a text."""
        return [record for record in list(self.log) if text in record["message"]]

    def ready(self) -> bool:
        """Whether the readiness probe says yes."""
        return self.admin.get("/v2/health/ready").status_code == 200

    def index(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The repository index, by model and version."""
        rows = self.api.post("/v2/repository/index").json()
        return {(row["name"], row["version"]): row for row in rows}

    def status(self, model: str, version: str) -> tuple[str, str]:
        """State and reason of one version in the index; empty when it is not listed."""
        row = self.index().get((model, version), {"state": "", "reason": ""})
        return row["state"], row["reason"]

    def predict(self, model: str, instances: list[Any], version: str | None = None, **extra: Any) -> httpx.Response:
        """Ask by V1."""
        pinned = f"/versions/{version}" if version is not None else ""
        return self.api.post(f"/v1/models/{model}{pinned}:predict", json={"instances": instances, **extra})

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for line in self.admin.get("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{key}="{text}"' in series for key, text in labels.items()):
                total += float(value)
        return total

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Signal the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.api.close()
        self.admin.close()
        return code


@contextmanager
def live_server(folder: Path, *, wait: bool = True, **settings: object) -> Iterator[LiveServer]:
    """Serve a folder while the body runs; `wait` for readiness first. The stop must be graceful: exit code 0."""
    server = LiveServer(folder, {name.replace("_", "-"): value for name, value in settings.items()})
    try:
        if wait:
            wait_until(server.ready, "the server to be ready")
        yield server
    except BaseException:
        server.process.kill()
        server.stop()
        print("\n".join([*map(str, server.log), *server.plain]))  # noqa: T201 - pytest shows it with the failure
        raise
    assert server.stop() == 0


def without_server_settings() -> dict[str, str]:
    """The environment less what configures a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODEL_MANAGER_", "OTEL_"))}
