"""What metrics and traces cost: one server's rate with them and without, half a second each, over and over."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.benchmark import alternating
from loadtests.benchmark.measuring import require_no_error
from loadtests.benchmark.targets import Stage
from loadtests.benchmark.workloads import Workload
from tools.processes import ProcessFailed
from tools.servers import Server, ask_json, model_manager

_WARM_S = 2


def telemetry_ratios(stage: Stage, workload: Workload, seconds: int) -> list[float]:
    """The rate with metrics on and 1% traced ÷ the rate without either, for every second of so many.

    Raises WrongAnswer, GeneratorFailed and ProcessFailed.
    """
    with _alternating(stage) as (running, log):
        _press(running, stage, workload, _WARM_S)
        warm = len(log.read_text(encoding="utf-8").splitlines())
        _press(running, stage, workload, seconds)
        halves = log.read_text(encoding="utf-8").splitlines()[warm + 1 :]  # without the half that had begun before
    ratios = ratios_of(halves)
    if not ratios:
        raise ProcessFailed("metrics and traces were never switched off and on again")
    return ratios


def _press(running: Server, stage: Stage, workload: Workload, seconds: int) -> None:
    most = max(workload.plan.connections)
    timing = stage.post(workload, running, workload.plan.path, connections=most, seconds=seconds)
    require_no_error(timing, "alternating")


def ratios_of(halves: list[str]) -> list[float]:
    """Rate on ÷ rate off of each pair of halves that follow each other, from the lines that a server wrote."""
    said: list[tuple[bool, int, float]] = [tuple(json.loads(line)) for line in halves]
    if said and not said[0][0]:
        said = said[1:]
    return [
        (answered / seconds) / (answered_off / seconds_off)
        for (_, answered, seconds), (_, answered_off, seconds_off) in zip(said[::2], said[1::2], strict=False)
        if answered_off
    ]


@contextmanager
def _alternating(stage: Stage) -> Iterator[tuple[Server, Path]]:
    """The server that switches, with one request in a hundred recorded and sent to a real receiver; and its log."""
    log = stage.folder / "alternating.jsonl"
    receiver = [sys.executable, "-m", "tools.otlp_receiver", "--port", "0"]
    with Server("collector", receiver, core=stage.cores.generator) as collector:
        environment = {
            alternating.LOG: str(log),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.api,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.01",
        }
        with model_manager(
            "alternating",
            stage.models,
            core=stage.cores.server,
            environment=environment,
            program=[alternating.__name__],
        ) as running:
            yield running, log
        if not ask_json(f"{collector.api}/spans"):  # asked once the server has sent what it had
            raise ProcessFailed("the collector got no spans: tracing was not on")
