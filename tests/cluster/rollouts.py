"""What a controller makes of a change: how it ended, what it cost callers, and the way there, moment by moment."""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from model_manager.version import __version__

from tests.cluster import controllers, prometheus
from tests.cluster.controllers import Controller, weight_of_new
from tests.cluster.models import artifacts
from tests.cluster.staging import CHART, IMAGE, Answers, Namespace, Traffic
from tools.patience import Limit

_LONGEST_S: Final = 300.0


@dataclass(frozen=True)
class Release:
    """A release whose weights a controller moves, by what its Prometheus has of it; `major` is its Helm's."""

    namespace: Namespace
    controller: Controller
    prometheus: str
    major: int
    digests: Mapping[str, str]

    def answer_with(self, version: str) -> None:
        """Have another version of iris."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(self._values(version), file)
            file.flush()
            self.namespace.helm("upgrade", "--install", "models", CHART, "--values", file.name, major=self.major)

    def _values(self, version: str) -> dict[str, Any]:
        """One percent first: that is the most of the requests that a bad version is given."""
        artifact = {"artifact": f"iris-{version}.joblib", "sha256": self.digests[f"iris-{version}.joblib"]}
        return {
            **self.controller.values,
            "image": {"repository": IMAGE, "tag": __version__},
            "routing": "istio",
            "progressive": self.controller.progressive,
            "analysis": {
                "serverAddress": self.prometheus,
                "interval": "10s",
                "stepWeights": [1, 25, 50],
            },
            "tracks": {"stable": {"weight": 100, "models": {"iris": {"versions": {version: artifact}}}}},
            "artifacts": {"configMaps": {"artifacts": True}},
        }


@contextmanager
def released(controller: Controller, namespace: Namespace, samples: Path, major: int = 4) -> Iterator[Release]:
    """Version 1 of iris has all the traffic, and the controller watches."""
    files = artifacts(samples)
    data = {name: base64.b64encode(each).decode() for name, each in files.items()}
    digests = {name: hashlib.sha256(each).hexdigest() for name, each in files.items()}
    metadata = {"name": "artifacts", "annotations": {"flagger.app/config-tracking": "disabled"}}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": data})
    seen = prometheus.start(namespace)
    with controllers.running(controller, namespace, seen):
        made = Release(namespace, controller, seen.url, major, digests)
        made.answer_with("1")
        controllers.wait_until_settled(controller, namespace)
        yield made


@dataclass(frozen=True)
class Moment:
    """How things stood: seconds since the change, percent of the new pods, and what was answered since."""

    at_s: float
    weight: int
    requests: int
    new: int
    failed: int


@dataclass(frozen=True)
class Walk:
    """One change: which controller took it up, what it was, how it ended, and the moments in between."""

    controller: str
    change: str
    verdict: str
    moments: list[Moment] = field(default_factory=list)


walks: Final[list[Walk]] = []
"""All that were seen, for the picture."""


def watch(release: Release, traffic: Traffic, version: str, name: str) -> tuple[Walk, Answers]:
    """Change to a version, and follow it to its end; with it, what callers got meanwhile."""
    controller, namespace = release.controller, release.namespace
    before = traffic.so_far()
    release.answer_with(version)
    moments: list[Moment] = []
    begun, verdict, limit = False, "", Limit(_LONGEST_S)
    while not (begun and verdict):
        verdict = controller.verdict(namespace)
        begun = begun or not verdict
        moments.append(_moment(traffic.so_far().since(before), before, weight_of_new(namespace), version))
        if limit.passed():
            raise AssertionError(f"{controller.progressive} has not decided about {name}: {moments[-1]}")
    walk = Walk(controller.progressive, name, verdict, moments)
    walks.append(walk)
    return walk, traffic.so_far().since(before)


def _moment(answers: Answers, before: Answers, weight: int, version: str) -> Moment:
    at_s = round(answers.at - before.at, 2)
    return Moment(at_s, weight, answers.all, answers.of(version=version), answers.failed)


def met(answers: Answers, version: str) -> int:
    """How many met the new version, or failed."""
    return sum(count for (status, its), count in answers.counts.items() if status != 200 or its == version)


def keep() -> None:
    """Write down what was seen where CLUSTER_ROLLOUTS says, for the picture of docs/canary.md."""
    if path := os.environ.get("CLUSTER_ROLLOUTS"):
        Path(path).write_text(json.dumps([asdict(each) for each in walks]) + "\n", encoding="utf-8")
