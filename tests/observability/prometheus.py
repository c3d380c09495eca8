"""A real Prometheus that scrapes servers with the labels of pods, evaluates the chart's rules, and is asked."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from tools.processes import ROOT, ProcessFailed, ask

NAMESPACE = "models"
RELEASE = "observe"
SCRAPE_INTERVAL_S = 1
RULES = ROOT / "charts" / "model-manager" / "files" / "alerts.yaml"
_START_S = 30.0
_STOP_S = 20.0


class QueryFailed(Exception):
    """Prometheus refused a query; the text is what it said."""


class Prometheus:
    """A running Prometheus. `api` is the address of its pages and of its API."""

    def __init__(self, api: str) -> None:
        self.api = api

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of an expression, now. Raises QueryFailed."""
        result: list[dict[str, Any]] = self._get("query", {"query": expression})["result"]
        return result

    def query_range(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The range vector of an expression; times are Unix times and `step` is in seconds. Raises QueryFailed."""
        values = {"query": expression, "start": start, "end": end, "step": step}
        result: list[dict[str, Any]] = self._get("query_range", values)["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as it was last evaluated."""
        return [rule for group in self._get("rules", {})["groups"] for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        try:
            return ask(f"{self.api}/-/ready").status == 200
        except OSError:
            return False

    def _get(self, what: str, parameters: Mapping[str, object]) -> Any:
        answer = ask(f"{self.api}/api/v1/{what}?{urlencode(parameters)}")
        said = json.loads(answer.body)
        if said["status"] != "success":
            raise QueryFailed(f"{said['error']}: {parameters.get('query')}")
        return said["data"]


def require_prometheus() -> None:
    """Raise ProcessFailed unless Prometheus is installed."""
    if shutil.which("prometheus") is None:
        raise ProcessFailed(
            "prometheus is not installed; it is Debian's package prometheus: apt-get install prometheus"
        )


def rendered_rules(namespace: str, fullname: str) -> str:
    """The chart's rules as a file of Prometheus, with the names of a release in them."""
    rules = RULES.read_text().replace("NAMESPACE", namespace).replace("FULLNAME", fullname)
    return yaml.safe_dump({"groups": [{"name": fullname, "rules": yaml.safe_load(rules)}]})


@contextmanager
def prometheus(targets: Mapping[str, str], *, folder: Path, port: int = 0) -> Iterator[Prometheus]:
    """Run Prometheus while the body runs; `targets` are the addresses of the metrics of each track.

    0 picks a free port. Raises ProcessFailed.
    """
    require_prometheus()
    port = port or _free_port()
    (folder / "alerts.yaml").write_text(rendered_rules(NAMESPACE, RELEASE))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets)))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        _wait_until_ready(running, process, log)
        yield running
    finally:
        _stop(process)


def _configuration(targets: Mapping[str, str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": f"{SCRAPE_INTERVAL_S}s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [
            {
                "job_name": "model-manager",
                "static_configs": [
                    {
                        "targets": [urlsplit(address).netloc],
                        "labels": {"namespace": NAMESPACE, "pod": f"{RELEASE}-{track}-0", "track": track},
                    }
                    for track, address in targets.items()
                ],
            }
        ],
    }


def _wait_until_ready(running: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not running.is_ready():
        last: Sequence[str] = log.read_text(errors="replace").splitlines()[-3:]
        if process.poll() is not None:
            raise ProcessFailed("prometheus ended: " + "\n  ".join(last))
        if time.monotonic() > deadline:
            raise ProcessFailed(f"waited {_START_S:g} s for prometheus: " + "\n  ".join(last))
        time.sleep(0.05)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
