"""Everything that is watched: a stable server and a canary, with an OTLP receiver and Prometheus beside them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.samples import SAMPLES, build_sample
from tests.observability.prometheus import Prometheus, watching
from tools.servers import Server, model_manager

BROKEN = ("iris", "broken")  # a version that does not load: to be seen as failed
SHED_ROWS = 16
"""Rows that may wait for the diabetes model: of requests at once with more some are turned away."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs, by track where there is one of each."""

    servers: Mapping[str, Server]
    receiver: Server
    prometheus: Prometheus
    packages: Path  # the repository of the models that are served


@contextmanager
def stage(folder: Path, *, prometheus_port: int = 0) -> Iterator[Stage]:
    """Run all of it while the body runs. Raises ProcessFailed and PackageRefused."""
    packages = folder / "packages"
    for model, (_, versions) in SAMPLES.items():
        for version in versions:
            build_sample(model, version, packages, created=None)
    receive = [sys.executable, "-m", "tools.otlp_receiver", "--port", "0"]
    with (
        Server("otlp receiver", receive) as receiver,
        _track("stable", "1", packages, folder, receiver) as stable,
        _track("canary", "2", packages, folder, receiver) as canary,
    ):
        servers = {"stable": stable, "canary": canary}
        admins = {track: running.addresses["admin"] for track, running in servers.items()}
        with watching(admins, folder=folder, port=prometheus_port) as prometheus:
            yield Stage(servers, receiver, prometheus, packages)


@contextmanager
def _track(track: str, iris: str, packages: Path, folder: Path, receiver: Server) -> Iterator[Server]:
    """A server of the samples; `iris` is its default version of that model."""
    models = folder / f"models-{track}"
    models.mkdir()
    (models / "broken.joblib").write_bytes(b"no artifact")
    (models / "models.yaml").write_text(yaml.safe_dump({"models": _manifest(iris, packages)}))
    flags = ["--records", str(folder / f"records-{track}.jsonl"), "--records-sample", "0.1"]
    flags += ["--feedback-window-s", "2"]  # labels come at once
    flags += ["--artifact-roots", str(packages), "--ledger", str(folder / f"ledger-{track}")]
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.api,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": f"model-manager-{track}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    }
    with model_manager(track, models, flags=flags, environment=environment) as running:
        yield running


def _manifest(iris: str, packages: Path) -> dict[str, object]:
    wanted: dict[str, dict[str, Any]] = {
        model: {
            "versions": {
                version: {"artifact": str(packages / model / version / "model.joblib")} for version in versions
            }
        }
        for model, (_, versions) in SAMPLES.items()
    }
    name, version = BROKEN
    wanted[name]["versions"][version] = {"artifact": "broken.joblib"}
    wanted[name]["default"] = iris
    wanted["diabetes"]["batching"] = {"max_queue_rows": SHED_ROWS}
    return dict(wanted)
