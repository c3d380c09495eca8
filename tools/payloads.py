"""Valid requests with known answers, drawn from the golden rows of the packages served: no literals to drift."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model_manager.repository.wanted import version_order

_RTOL = 1e-6


@dataclass(frozen=True, slots=True)
class Package:
    """One served version: rows it is known to answer, and the default output's answers to them."""

    model: str
    version: str
    instances: Sequence[Any]
    answers: Sequence[Any]
    by_name: bool  # rows are objects keyed by column


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send, and the predictions that must come back."""

    path: str
    body: str
    version: str
    expected: Sequence[Any]


@cache
def read_packages(repository: Path) -> tuple[Package, ...]:
    """Every package of a repository that has golden rows. Raises OSError, ValueError and KeyError for a broken one."""
    packages = [_read(path) for path in sorted(repository.glob("*/*/metadata.json"))]
    return tuple(package for package in packages if package.instances)


def defaults(packages: Sequence[Package]) -> tuple[Package, ...]:
    """Of every model the version that answers when a request names none: the newest."""
    newest: dict[str, Package] = {}
    for package in packages:
        known = newest.get(package.model)
        if known is None or version_order(package.version) > version_order(known.version):
            newest[package.model] = package
    return tuple(newest.values())


def several_versions(packages: Sequence[Package]) -> tuple[Package, ...]:
    """The packages of models that serve more than one version."""
    models = [package.model for package in packages]
    return tuple(package for package in packages if models.count(package.model) > 1)


def draw(package: Package, *, rows: int, pinned: bool = False) -> Request:
    """Choose rows of a package by chance; `pinned` asks for its version in the path."""
    chosen = random.choices(range(len(package.instances)), k=rows)
    version = f"/versions/{package.version}" if pinned else ""
    return Request(
        path=f"/v1/models/{package.model}{version}:predict",
        body=json.dumps({"instances": [package.instances[row] for row in chosen]}),
        version=package.version,
        expected=[package.answers[row] for row in chosen],
    )


def difference(request: Request, version: str | None, body: bytes) -> str:
    """What is wrong with the answer to a request; empty when nothing is."""
    if version != request.version:
        return f"version {version} answered in place of {request.version}"
    try:
        predictions = json.loads(body)["predictions"]
    except (ValueError, KeyError, TypeError):
        return "the answer is not a V1 answer"
    if len(predictions) != len(request.expected):
        return f"{len(predictions)} predictions to {len(request.expected)} rows"
    pairs = zip(predictions, request.expected, strict=True)
    return "" if all(_same(ours, golden) for ours, golden in pairs) else "predictions differ from the golden ones"


def _read(path: Path) -> Package:
    said = json.loads(path.read_text(encoding="utf-8"))
    golden = said.get("golden") or {"instances": [], "outputs": {}}
    answers = golden["outputs"][said["outputs"][0]["name"]] if golden["instances"] else []
    by_name = bool(golden["instances"]) and isinstance(golden["instances"][0], dict)
    return Package(said["name"], said["version"], golden["instances"], answers, by_name)


def _same(ours: Any, golden: Any) -> bool:
    if isinstance(golden, float) and isinstance(ours, int | float):
        return math.isclose(ours, golden, rel_tol=_RTOL)
    return bool(ours == golden)
