"""What batching costs where there is nothing to batch: one server's latency with it and without, by turns."""

from pathlib import Path

import yaml

from loadtests.benchmark.measuring import require_no_error
from loadtests.benchmark.targets import Stage
from loadtests.benchmark.workloads import Workload
from tools.servers import model_manager

_WARM_S = 2
_SECONDS = 1  # long enough for thousands of requests, short enough that the machine stays as it is


def batching_ratios(stage: Stage, workload: Workload, pairs: int) -> list[float]:
    """The median latency at one connection with batching on ÷ off, as often as is asked.

    Two processes of one program differ by more than is measured, so both are models of one server, from the same
    artifacts. Raises WrongAnswer, GeneratorFailed and ProcessFailed.
    """
    model = workload.plan.model
    folder = stage.folder / "batching"
    folder.mkdir()
    _ask_for_both(model, stage.models / model, folder)
    flags = ["--artifact-roots", str(stage.models)]
    with model_manager("batching on and off", folder, flags=flags, core=stage.cores.server) as running:

        def latency(name: str, seconds: int = _SECONDS) -> float:
            path = workload.plan.path.replace(model, name)
            timing = stage.post(workload, running, path, connections=1, seconds=seconds)
            require_no_error(timing, name)
            return timing.p50_ms

        both = (model, _without(model))
        for name in both:
            latency(name, _WARM_S)
        ratios = []
        for _ in range(pairs):
            on, off = map(latency, both)
            ratios.append(on / off)
    return ratios


def _without(model: str) -> str:
    return f"{model}-unbatched"


def _ask_for_both(model: str, artifacts: Path, folder: Path) -> None:
    versions = {path.name: {"artifact": str(path / "model.joblib")} for path in artifacts.iterdir()}
    models = {model: {"versions": versions}, _without(model): {"versions": versions, "batching": {"max_rows": 1}}}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}), encoding="utf-8")
