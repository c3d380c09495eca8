"""Models of very many columns: the CPU seconds a server takes from its start until it can answer for one.

python -m loadtests.benchmark.wide_models MODELS loads a folder as the server does, and prints what that took.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any, Final

import joblib
from model_manager.serving.system import System
from model_manager.settings import Settings

from tools.processes import ROOT, ProcessFailed
from tools.wide_estimators import classifier_of_columns, classifier_of_words, pipeline_of_words

WORDS: Final = "words"
COLUMNS: Final = "columns"
_TIMEOUT_S: Final = 300
_POLL_S: Final = 0.005


def load_cpu_seconds(folder: Path) -> dict[str, float]:
    """Load every wide model in a process of its own; the dearer of the two that know many words stands for both.

    Raises ProcessFailed.
    """
    builds = {WORDS: (classifier_of_words, pipeline_of_words), COLUMNS: (classifier_of_columns,)}
    return {name: max(_measure(folder / build.__name__, build()) for build in each) for name, each in builds.items()}


def _measure(folder: Path, estimator: Any) -> float:
    version = folder / "wide" / "1"
    version.mkdir(parents=True)
    joblib.dump(estimator, version / "model.joblib")
    command = [sys.executable, "-m", __name__, str(folder)]
    try:
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.SubprocessError as error:
        raise ProcessFailed(f"a wide model cannot be loaded: {error}") from error
    return float(told.stdout)


async def _load(models: Path) -> float:
    system = System(Settings(models=models, compile="off"))
    started = process_time()
    async with system.running(), asyncio.timeout(_TIMEOUT_S):
        while system.registry.waiting_for():  # noqa: ASYNC110 - nothing says from outside when it is ready
            await asyncio.sleep(_POLL_S)
        return process_time() - started


if __name__ == "__main__":
    print(asyncio.run(_load(Path(sys.argv[1]))))
