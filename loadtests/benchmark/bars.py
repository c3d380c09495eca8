"""The bars: what the project promises of its request path, as ratios within one run, and what a run reached."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtests.benchmark.growth import mb_a_model, rate_kept
from loadtests.benchmark.measuring import Outcome, rows_ratio
from loadtests.benchmark.timing import BARE, SERVER
from loadtests.benchmark.wide_models import COLUMNS, WORDS

BUSY: Final = 64
IDLE: Final = 1


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise. `at_least` tells whether more is better; `reach` is what is hoped for beyond the promise."""

    measure: str
    workload: str
    value_of: Callable[[Outcome], float | None]
    bar: float
    reach: float | None
    at_least: bool = True


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run says of one bar; `value` is None where the workload was not measured."""

    measure: str
    value: float | None
    bar: float
    reach: float | None
    at_least: bool

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None when nobody knows."""
        if self.value is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def _busy(outcome: Outcome) -> float | None:
    return outcome.points.rate_ratio(SERVER, BARE, BUSY, BUSY)


def _best_rows(outcome: Outcome) -> float | None:
    ratios = [rows_ratio(outcome, connections) for connections in outcome.plan.connections]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


BARS: Final = (
    Bar("W1 requests/s at 64 connections ÷ bare uvicorn", "W1", _busy, 1.20, 1.60),
    Bar("W1V2 requests/s at 64 connections ÷ bare uvicorn", "W1V2", _busy, 0.90, 1.20),
    Bar("W1 median latency at 1 connection ÷ bare uvicorn", "W1",
        lambda o: o.points.latency_ratio(SERVER, BARE, IDLE), 1.4, 1.1, at_least=False),
    Bar("W2 requests/s at 64 connections ÷ bare uvicorn", "W2", _busy, 1.00, 1.30),
    Bar("W5 requests/s at 64 connections ÷ bare uvicorn", "W5", _busy, 0.90, 1.10),
    Bar("W3 rows/s ÷ rows/s of in-process predict", "W3", _best_rows, 0.80, 0.90),
    Bar("W4 rows/s ÷ rows/s of in-process predict", "W4", _best_rows, 0.85, 0.90),
    Bar("idle: W1 median latency, batching on ÷ off", "W1",
        lambda o: median(o.batching) if o.batching else None, 1.05, None, at_least=False),
    Bar("W1 requests/s at 64 connections, metrics and 1% tracing on ÷ off", "W1",
        lambda o: median(o.telemetry) if o.telemetry else None, 0.92, 0.96),
    Bar("W1 p99 ÷ p50 at 64 connections, saturated", "W1",
        lambda o: o.points.spread(SERVER, BUSY), 2.0, 1.5, at_least=False),
    Bar("CPU seconds until a model of 20,000 words is ready", "W1",
        lambda o: o.load_cpu.get(WORDS), 3.0, None, at_least=False),
    Bar("CPU seconds until 1,000 columns of a ColumnTransformer are ready", "W1",
        lambda o: o.load_cpu.get(COLUMNS), 2.0, None, at_least=False),
    Bar("MB of memory for one more small model, among 1,000", "W1",
        lambda o: mb_a_model(o.growth), 0.1, None, at_least=False),
    Bar("W1 requests/s at 64 connections, one of 1,000 models ÷ the only one", "W1",
        lambda o: rate_kept(o.growth), 0.9, None),
    Bar("p50 ms of an explanation of one row, 100 trees, at 1 connection", "W1",
        lambda o: o.explaining.explain_p50_ms if o.explaining else None, 5.0, None, at_least=False),
    Bar("W1 p99 at half load, beside 40 explanations/s ÷ alone", "W1",
        lambda o: o.explaining.ratio if o.explaining else None, 1.15, None, at_least=False),
)  # fmt: skip
"""As issue and docs/performance.md state them. "None measurable" is read as: within 5%."""


def hold_against_bars(outcomes: Mapping[str, Outcome]) -> list[Reached]:
    """What a run reached of every bar whose workload was part of it."""
    return [
        Reached(bar.measure, bar.value_of(outcomes[bar.workload]), bar.bar, bar.reach, bar.at_least)
        for bar in BARS
        if bar.workload in outcomes
    ]
