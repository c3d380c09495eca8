"""What a controller makes of a change: how it ended, what it cost callers, and the way there, moment by moment."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.cluster.controllers import Controller, weight_of_new
from tests.cluster.staging import Answers, Namespace, Traffic
from tools.patience import Limit

_LONGEST_S: Final = 300.0


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


def watch(
    controller: Controller,
    namespace: Namespace,
    traffic: Traffic,
    change: Callable[[], None],
    *,
    name: str,
    version: str,
) -> tuple[Walk, Answers]:
    """Make a change that answers as this version, and follow it to its end; with it, what callers got meanwhile."""
    before = traffic.so_far()
    change()
    moments: list[Moment] = []
    begun, verdict, limit = False, "", Limit(_LONGEST_S)
    while not (begun and verdict):
        verdict = controller.verdict(namespace)
        begun = begun or not verdict
        answers = traffic.so_far().since(before)
        moments.append(_moment(answers, before, weight_of_new(namespace), version))
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
