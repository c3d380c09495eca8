"""A model that a test holds and releases, and a batcher around it."""

import asyncio
import threading
from concurrent.futures import Executor

import numpy as np
from model_manager.inference.cost import InlineLimits
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Results
from model_manager.serving.batcher import Batcher, TellBatch
from model_manager.signature import Array, Rows

from tests.scrape import samples_of, written

OUTPUT = ("predict",)
FOREVER = 1e9
LABELS = {"model_name": "m", "model_version": "1"}


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
        assert self.gate.wait(20)
        if 666 in values:
            raise self.raises("the beast")
        answer = values * 2 if self.lose_a_row_of not in values else values[1:]
        return dict.fromkeys(outputs, answer)

    async def running(self) -> None:
        """Wait until a batch has entered the model."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=20)


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
