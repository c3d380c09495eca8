"""A model that a test holds and releases, a batcher around it, and a clock that a test puts forward."""

import asyncio
import threading
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np
from model_manager.inference.cost import InlineLimits
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Results
from model_manager.serving.batcher import Batcher, TellBatch
from model_manager.signature import Array, Rows

from tests.scrape import samples_of, written
from tools.patience import Limit, until

OUTPUT = ("predict",)
FOREVER = 1e9
LABELS = {"model_name": "m", "model_version": "1"}
T = TypeVar("T")
_SOON_S = 1000.0


class Model:
    """Doubles its input; records every batch; can be held, and raises for a row holding 666."""

    def __init__(self, raises: type[BaseException] = ValueError) -> None:
        self.raises = raises
        self.batches: list[list[float]] = []
        self.threads: set[int] = set()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.lose_a_row_of: float | None = None

    def __call__(self, rows: Rows, outputs: tuple[str, ...]) -> Results:
        values = rows.blocks[0][:, 0]
        self.batches.append(values.tolist())
        self.threads.add(threading.get_ident())
        self.entered.release()
        limit = Limit()
        while not self.gate.wait(limit.left()):
            assert not limit.passed(), "the test never released the model"
        if 666 in values:
            raise self.raises("the beast")
        answer = values * 2 if self.lose_a_row_of not in values else values[1:]
        return dict.fromkeys(outputs, answer)

    async def running(self) -> None:
        """Wait until a batch has entered the model."""
        await until(lambda: self.entered.acquire(blocking=False), "a batch to enter the model")


class Clock:
    """The running loop's time, which a test puts forward: what has a deadline expires when the test says so."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._time, self._ahead = loop.time, 0.0
        loop.time = self.now  # type: ignore[method-assign]

    def now(self) -> float:
        return self._time() + self._ahead

    def soon(self) -> float:
        """A deadline that passes by `pass_soon` alone."""
        return self.now() + _SOON_S

    def pass_soon(self) -> None:
        """Let the deadlines given so far pass."""
        self._ahead += 2 * _SOON_S


async def answered(future: asyncio.Future[T]) -> T:
    """The answer to a request, which must not be left without one."""
    await until(future.done, "a request to be answered")
    return await future


def rows(*values: float, width: int = 1) -> Rows:
    return Rows((np.repeat(np.array(values, float)[:, None], width, axis=1),))


def inline_up_to(rows: int) -> InlineLimits:
    """Limits that let batches of so many rows be computed on the loop."""
    return InlineLimits({output: {rows: 0.0} for output in ("predict", "transform")})


def batcher(
    model: Model,
    executor: Executor,
    metrics: Metrics,
    *,
    inline_rows: int = 0,
    batching: Batching | None = None,
    tell_batch: TellBatch | None = None,
) -> Batcher:
    return Batcher(
        model,
        batching=batching or Batching(max_rows=4, max_queue_rows=8),
        inline=inline_up_to(inline_rows),
        executor=executor,
        metrics=metrics.servable("m", "1"),
        tell_batch=tell_batch,
    )


def values(results: Results) -> list[float]:
    answer: Array = results["predict"]
    answered: list[float] = answer.tolist()
    return answered


def dropped(metrics: Metrics) -> dict[str, float]:
    """The requests that were right and got no prediction, by reason."""
    return {
        sample.labels["reason"]: sample.value
        for sample in samples_of(written(metrics.families()))
        if "dropped" in sample.name
    }
