"""What runs: one server with both versions, and Prometheus with the chart's alerts in fast motion beside it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.demo.customers import CANARY, MODEL, STABLE, build
from tests.demo.traffic import FEEDBACK_WINDOW_S
from tests.observability.prometheus import NAMESPACE, Prometheus, watching
from tools.processes import ROOT
from tools.servers import Server, ask, ask_json, model_manager

HOUR_S: Final = 15
"""So long an hour of the alerts lasts."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `model-manager canary` said: its exit code, and its document."""

    code: int
    said: dict[str, Any]

    @property
    def words(self) -> str:
        """Its verdict, and the checks that are worse."""
        if self.code not in (0, 1, 3):
            return f"cannot say (exit code {self.code})"
        reasons = [f"{one['name']}: {one['why']}" for one in self.said["checks"] if one["outcome"] == "worse"]
        return "; ".join([f"{self.said['verdict']} (exit code {self.code})", *reasons])


@dataclass(frozen=True, slots=True)
class Stage:
    """The server, what watches it, and how both are asked."""

    server: Server
    prometheus: Prometheus

    @property
    def console(self) -> str:
        """The page of the model."""
        return f"{self.server.addresses['admin']}/console/models/{MODEL}"

    @property
    def canary_command(self) -> list[str]:
        """What a pipeline runs to judge the canary."""
        sides = ["--by", "version", "--stable", STABLE, "--canary", CANARY]
        where = ["--prometheus", self.prometheus.api, "--namespace", NAMESPACE]
        patient = ["--max-p99-ratio", "20"]  # what else runs on a laptop is not the canary's fault
        return ["canary", *where, "--model", MODEL, *sides, "--window", "1m", *patient]

    def drifted(self) -> dict[str, list[str]]:
        """By version, the columns that drifted, as the console shows them."""
        told = ask_json(f"{self.server.addresses['admin']}/v2/models/{MODEL}/drift")["versions"]
        return {one["model_version"]: one["drifted"] for one in told}

    def looked_at(self) -> int:
        """The rows that drift has looked at, of the version with the fewest."""
        told = ask_json(f"{self.server.addresses['admin']}/v2/models/{MODEL}/drift")["versions"]
        rows: int = min(one["window_rows"] for one in told)
        return rows

    def accuracy(self) -> dict[str, float]:
        """By version, the share of right answers since it serves, as the console shows it."""
        told = ask_json(f"{self.server.addresses['admin']}/v2/models/{MODEL}/feedback")["versions"]
        return {one["model_version"]: one["total"]["metrics"].get("accuracy", 0.0) for one in told}

    def firing(self) -> dict[str, list[str]]:
        """By name, the summaries of the alerts that fire."""
        return {
            rule["name"]: sorted(one["annotations"]["summary"] for one in rule["alerts"] if one["state"] == "firing")
            for rule in self.prometheus.rules()
            if rule.get("state") == "firing"
        }

    def verdict(self) -> Verdict:
        """What `model-manager canary` says now."""
        command = [sys.executable, "-m", "model_manager", *self.canary_command, "--json"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return Verdict(ran.returncode, json.loads(ran.stdout or "{}"))

    def why(self, row: dict[str, Any]) -> str:
        """What the canary says moved its answer to a row the most."""
        body = json.dumps({"instances": [row], "parameters": {"top_k": 1, "text": True}}).encode()
        url = f"{self.server.api}/v1/models/{MODEL}/versions/{CANARY}:explain"
        told = json.loads(ask(url, body, {"content-type": "application/json"}).body)
        said: str = told["explanations"][0]["text"][0]
        return said


@contextmanager
def stage(folder: Path, *, prometheus_port: int = 0) -> Iterator[Stage]:
    """Train, serve and watch while the body runs. Raises ProcessFailed and PackageRefused."""
    models = folder / "models"
    build(models)
    flags = ["--feedback-window-s", str(FEEDBACK_WINDOW_S), "--ledger", str(folder / "ledger")]
    flags += ["--artifact-roots", str(models)]
    with model_manager("the server", models, flags=flags) as server:
        admins = {"stable": server.addresses["admin"]}
        with watching(admins, folder=folder, port=prometheus_port, hour_s=HOUR_S) as prometheus:
            yield Stage(server, prometheus)
