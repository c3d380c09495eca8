"""Servers as processes of their own, on free ports of the loopback, and how they are asked.

Each says where it listens in a line of JSON on standard error with the key "api"; model-manager's log does.
"""

import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tools.patience import LIMIT_S
from tools.processes import Process, ProcessFailed, without_server_settings

_SETTLE_S = 60.0
_ANSWER_S = 120.0  # for a server that hangs, not for one that is slow


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Server(Process):
    """A running server process. `addresses` is what it said of itself: "api", and "admin" and "grpc" if it has them."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        super().__init__(name, command, core=core, environment=environment)
        with self.killed_if_in_vain():
            self.addresses: dict[str, str] = self.wait_for(self._announced, "to listen", limit_s=limit_s)

    @property
    def api(self) -> str:
        """The address that requests are sent to."""
        return self.addresses["api"]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of its log that are JSON."""
        return [record for line in self.log if (record := _record(line)) is not None]

    @property
    def plain(self) -> list[str]:
        """The lines of its log that are not."""
        return [line for line in self.log if _record(line) is None]

    def is_ready(self) -> bool:
        """Whether the readiness probe says yes; a server that does not answer it is not ready."""
        try:
            return ask(f"{self.addresses['admin']}/v2/health/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _announced(self) -> dict[str, str] | None:
        for said in self.records:
            if "api" in said:
                return {key: said[key] for key in ("api", "admin", "grpc") if key in said}
        return None


def serve_flags(models: Path) -> list[str]:
    """The flags of `model-manager serve` for a folder of models: any free ports of the loopback, a log for machines."""
    return ["--models", str(models), "--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--log-format", "json"]


@contextmanager
def model_manager(
    name: str,
    models: Path,
    *,
    core: int | None = None,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = ("model_manager", "serve"),
    limit_s: float = LIMIT_S,
) -> Iterator[Server]:
    """Serve a folder of models while the body runs, with default settings but for `flags` and `environment`.

    Waits until it is ready, for `limit_s` seconds of a quiet machine at most, and every version is as fast as it will
    be. Raises ProcessFailed.
    """
    command = [sys.executable, "-m", *program, *serve_flags(models), *flags]
    variables = {**without_server_settings(), **(environment or {})}
    with Server(name, command, core=core, environment=variables) as running:
        running.wait_for(running.is_ready, "to be ready", limit_s=limit_s)
        if "off" not in flags:  # --compile off
            running.wait_for(lambda: is_settled(running.api), "to end its search for faster forms", limit_s=_SETTLE_S)
        yield running


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


def _record(line: str) -> dict[str, Any] | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def is_settled(api: str) -> bool:
    """Whether no version is still answered by scikit-learn for want of a decision."""
    rows = json.loads(ask(f"{api}/v2/repository/index", b"").body)
    said = [row.get("parameters", {}) for row in rows]
    return all(one.get("form") != "sklearn" or "not_compiled_because" in one for one in said)
