"""What an explanation takes, and what explanations cost predictions: python -m loadtests.benchmark.explaining.

One row of a forest of 100 trees is explained and predicted in turn, over one connection. Then one row of iris is asked
for at half the rate that the same client gets at most, alone, beside so many explanations a second, and beside as many
predictions of the same forest, in turn: what the second costs more than the third is the explaining.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
from model_manager.errors import PackageRefused
from sklearn.datasets import load_breast_cancer

from models.samples import build_sample
from tools.cores import choose_cores, staying_on
from tools.open_loop import Crowd, Outcome
from tools.processes import ProcessFailed, stop_when_told
from tools.servers import model_manager

A_SECOND = 40
"""Explanations, or predictions of the forest, beside iris."""
_WARM_S = 0.5
_CLIENTS = 16
_IRIS = json.dumps({"instances": [[6.0, 2.8, 4.8, 1.6]]}).encode()
_FOREST = json.dumps({"instances": [load_breast_cancer().data[0].tolist()]}).encode()


@dataclass(frozen=True, slots=True)
class Explaining:
    """Milliseconds of one row of the forest, explained and predicted; p99 of iris at `rate`, each figure of a round."""

    explain_p50_ms: float
    predict_p50_ms: float
    rate: float
    alone_p99_ms: Sequence[float]
    beside_explanations_p99_ms: Sequence[float]
    beside_predictions_p99_ms: Sequence[float]

    @property
    def ratio(self) -> float:
        """p99 of iris beside explanations ÷ alone: the median of the rounds."""
        return _ratio(self.beside_explanations_p99_ms, self.alone_p99_ms)

    @property
    def ratio_of_predictions(self) -> float:
        """The same beside as many predictions of the forest."""
        return _ratio(self.beside_predictions_p99_ms, self.alone_p99_ms)


def measure_explaining(folder: Path, *, rounds: int, seconds: float, core: int | None) -> Explaining:
    """Serve both samples and measure; a round has three times `seconds`. Raises ProcessFailed and PackageRefused."""
    for model in ("iris", "breast-cancer"):
        build_sample(model, "1", folder, created=None)
    with model_manager("explaining", folder, core=core) as running:
        return asyncio.run(_measured(running.api, rounds, seconds))


async def _measured(api: str, rounds: int, seconds: float) -> Explaining:
    async with (
        Crowd(api, "/v1/models/iris:predict", _IRIS) as iris,
        Crowd(api, "/v1/models/breast-cancer:predict", _FOREST) as predictions,
        Crowd(api, "/v1/models/breast-cancer:explain", _FOREST) as explanations,
    ):
        for crowd in (predictions, explanations):
            _all_answered(await crowd.loop(1, _WARM_S))
        rate = _all_answered(await iris.loop(_CLIENTS, 2 * _WARM_S))
        half = sum(rate.statuses.values()) / rate.seconds / 2
        alone, explained, predicted, explain, predict = [], [], [], [], []
        for _ in range(rounds):
            explain.append(await _p50_ms(explanations, seconds / 2))
            predict.append(await _p50_ms(predictions, seconds / 2))
            alone.append(await _p99_ms(iris, half, seconds))
            explained.append(await _p99_ms(iris, half, seconds, beside=explanations))
            predicted.append(await _p99_ms(iris, half, seconds, beside=predictions))
    return Explaining(median(explain), median(predict), round(half), alone, explained, predicted)


async def _p50_ms(crowd: Crowd, seconds: float) -> float:
    return _all_answered(await crowd.loop(1, seconds)).quantile(200, 0.5) * 1000


async def _p99_ms(crowd: Crowd, rate: float, seconds: float, *, beside: Crowd | None = None) -> float:
    running = [crowd.run(rate, seconds), *([] if beside is None else [beside.run(A_SECOND, seconds)])]
    outcomes = [_all_answered(outcome) for outcome in await asyncio.gather(*running)]
    return outcomes[0].quantile(200, 0.99) * 1000


def _all_answered(outcome: Outcome) -> Outcome:
    if set(outcome.statuses) != {200}:
        raise ProcessFailed(f"not all requests were answered with 200: {dict(outcome.statuses)}")
    return outcome


def _ratio(values: Sequence[float], alone: Sequence[float]) -> float:
    return median(one / other for one, other in zip(values, alone, strict=True))


@click.command(epilog="Example: python -m loadtests.benchmark.explaining --rounds 5")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Medians are told.")
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="Length of each part.")
def main(rounds: int, seconds: float) -> None:
    """Measure how long an explanation takes, and what explanations cost predictions; two to three minutes."""
    stop_when_told()
    cores = choose_cores()
    try:
        with staying_on(cores.generator), tempfile.TemporaryDirectory(prefix="model-manager-explaining-") as folder:
            found = measure_explaining(Path(folder), rounds=rounds, seconds=seconds, core=cores.server)
    except (ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None
    print(cores.note)
    print(f"one row of the forest: explained in {found.explain_p50_ms:.2f} ms (p50), predicted in "
          f"{found.predict_p50_ms:.2f} ms")  # fmt: skip
    print(f"iris at {found.rate:,.0f} requests/s: p99 {median(found.alone_p99_ms):.2f} ms alone")
    for what, values, ratio in (
        ("explanations", found.beside_explanations_p99_ms, found.ratio),
        ("predictions of the forest", found.beside_predictions_p99_ms, found.ratio_of_predictions),
    ):
        print(f"  beside {A_SECOND} {what} a second {median(values):.2f} ms: {ratio:.2f} of alone in the same round")


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.explaining")
