"""All sample packages: where each is trained, and how one is built into a repository."""

import importlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_manager.commands.packages import moment

from models.training import publish

SAMPLES: Final = {
    "iris": ("models.iris.train", ("1", "2")),
    "breast-cancer": ("models.breast_cancer.train", ("1",)),
    "diabetes": ("models.diabetes.train", ("1",)),
    "churn": ("models.churn.train", ("1",)),
}
"""Where each model is trained, and the versions of it that are built."""


@dataclass(frozen=True, slots=True)
class Built:
    """One package that is there now. `seconds` is None for one that was there before."""

    model: str
    version: str
    path: str
    bytes: int
    metrics: dict[str, float]
    seconds: float | None


def build_sample(model: str, version: str, repository: Path, created: int | None) -> Built:
    """Train one sample version unless it is there already; raises PackageRefused."""
    folder = repository / model / version
    seconds = None
    if not folder.exists():
        started = time.perf_counter()
        trained = importlib.import_module(SAMPLES[model][0]).train(version)
        publish(trained, name=model, version=version, repository=repository, created=moment(created))
        seconds = round(time.perf_counter() - started, 2)
    metadata = json.loads((folder / "metadata.json").read_text())
    metrics = (metadata.get("evaluation") or {}).get("metrics", {})
    return Built(model, version, str(folder), metadata["artifact"]["bytes"], metrics, seconds)
