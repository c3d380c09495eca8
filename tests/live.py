"""The real server as a process of its own, on free ports: its two ports as clients, its log as records."""

import signal
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tools.patience import LIMIT_S, stretched, wait_until
from tools.processes import without_server_settings
from tools.servers import Server

__all__ = ["COMMAND", "LiveServer", "live_server", "wait_until", "without_server_settings"]
COMMAND = (sys.executable, "-m", "model_manager", "serve")


class LiveServer:
    """A server process with its two ports as clients. As a context manager it is killed after the body."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        command: Sequence[str] = COMMAND,
        limit_s: float = LIMIT_S,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        timeout = stretched(LIMIT_S)
        flags = {"models": folder, "host": "127.0.0.1", "port": 0, "admin-port": 0, "log-format": "json"}
        flags |= {"debug-routes": True, **settings}
        arguments = [
            part
            for name, value in flags.items()
            for part in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
        ]
        self.server = Server("the server", [*command, *arguments], limit_s=limit_s)
        self.process = self.server.popen
        self.api = httpx.Client(base_url=self.server.api, timeout=timeout, verify=verify)
        self.admin = httpx.Client(base_url=self.server.addresses["admin"], timeout=timeout, verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The records of its log."""
        return self.server.records

    @property
    def plain(self) -> list[str]:
        """The lines of its log that are no records."""
        return self.server.plain

    def logged(self, text: str) -> list[dict[str, Any]]:
        """The log records whose message contains a text."""
        return [record for record in self.log if text in record["message"]]

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
        """Signal the process and return its exit code. Raises ProcessFailed when it does not end in time."""
        code = self.server.end(signum)
        self.kill()
        return code

    def kill(self) -> None:
        """End it and all that it started at once, and let go of its ports; a second call changes nothing."""
        self.server.kill()
        self.api.close()
        self.admin.close()


@contextmanager
def live_server(
    folder: Path, *, wait: bool = True, verify: ssl.SSLContext | bool = True, **settings: object
) -> Iterator[LiveServer]:
    """Serve a folder while the body runs; `wait` for readiness first. The stop must be graceful: exit code 0."""
    with LiveServer(
        folder, {name.replace("_", "-"): value for name, value in settings.items()}, verify=verify
    ) as server:
        try:
            if wait:
                wait_until(server.ready, "the server to be ready")
            yield server
        except BaseException:
            server.kill()
            print("\n".join([*map(str, server.log), *server.plain]))  # noqa: T201 - pytest shows it with the failure
            raise
        assert (code := server.stop()) == 0, (code, server.plain)
