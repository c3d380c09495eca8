"""A real Prometheus that scrapes servers with the labels of pods, evaluates the chart's rules, and is asked."""

import json
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from tools.processes import ROOT, Process, ProcessFailed
from tools.servers import ask

NAMESPACE = "models"
RELEASE = "observe"
SCRAPE_INTERVAL_S = 1
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
RULES = ROOT / "charts" / "model-manager" / "files" / "alerts.yaml"


class QueryFailed(Exception):
    """Prometheus refused a query; the text is what it said."""


class Prometheus(Process):
    """A running Prometheus. `api` is the address of its pages and of its API.

    It keeps its data in the folder `prometheus` beside its configuration file; port 0 picks a free one. Raises
    ProcessFailed.
    """

    def __init__(self, configuration: Path, *, port: int = 0, flags: Sequence[str] = ()) -> None:
        require_prometheus()
        address = f"127.0.0.1:{port or _free_port()}"
        self.api = f"http://{address}"
        command = [
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={configuration.with_name('prometheus')}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
            *flags,
        ]
        super().__init__("prometheus", command)
        with self.killed_if_in_vain():
            self.wait_for(self.is_ready, "to be ready")

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

    def page(self, *paths: str) -> str:
        """The address of the first of these pages that it has: its own moved, and Debian's package has the old ones.

        Without any, that of its metrics, which every Prometheus has.
        """
        for path in paths:
            try:
                if ask(f"{self.api}{path}").status < 400:
                    return f"{self.api}{path}"
            except OSError:
                continue
        return f"{self.api}/metrics"

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


def rendered_rules(namespace: str, fullname: str, hour_s: float = 3600) -> str:
    """The chart's rules as a file of Prometheus, with the names of a release in them.

    An hour of them lasts `hour_s`: what they look back over, and how long an alert waits, is shortened alike.
    """
    rules = RULES.read_text(encoding="utf-8").replace("NAMESPACE", namespace).replace("FULLNAME", fullname)
    if hour_s != 3600:
        rules = _in_fast_motion(rules, hour_s)
    return yaml.safe_dump({"groups": [{"name": fullname, "rules": yaml.safe_load(rules)}]})


def _in_fast_motion(rules: str, hour_s: float) -> str:
    def shortened(found: re.Match[str]) -> str:
        seconds = int(found[2]) * _UNITS_S[found[3]] * hour_s / 3600
        return f"{found[1]}{max(1, round(seconds * 1000))}ms"

    return re.sub(r"(\[|\boffset |^ *for: )(\d+)([smhd])\b", shortened, rules, flags=re.MULTILINE)


def watching(targets: Mapping[str, str], *, folder: Path, port: int = 0, hour_s: float = 3600) -> Prometheus:
    """Start Prometheus with the chart's rules; `targets` are the addresses of the metrics of each track.

    `hour_s`: see rendered_rules. Raises ProcessFailed.
    """
    (folder / "alerts.yaml").write_text(rendered_rules(NAMESPACE, RELEASE, hour_s), encoding="utf-8")
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(targets)), encoding="utf-8")
    return Prometheus(configuration, port=port)


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
