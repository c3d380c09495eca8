"""What the batcher tells of its work: rows, batches and waits, requests without a prediction, and its last batches."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import get_args

import pytest
from model_manager.errors import DeadlineExceeded, Overloaded, VersionNotReady
from model_manager.metrics.recording import DropReason, Metrics
from model_manager.serving.batch import Observed

from tests.scrape import value
from tests.unit.batcher.staging import FOREVER, LABELS, OUTPUT, Clock, Model, answered, batcher, dropped, rows


async def test_batches_rows_and_waits_are_counted(model: Model, executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    b = batcher(model, executor, metrics, inline_rows=100)
    await asyncio.gather(b.submit(rows(1, 2), OUTPUT, FOREVER), b.submit(rows(3), OUTPUT, FOREVER))
    families = metrics.families()
    assert value(families, "model_manager_rows_total", **LABELS) == 3
    assert value(families, "model_manager_batch_rows_sum", **LABELS) == 3
    for name, count in (("batch_rows", 1), ("queue_duration_seconds", 2), ("predict_duration_seconds", 1)):
        assert value(families, f"model_manager_{name}_count", **LABELS) == count
    batch, predict = (
        value(families, f"model_manager_{name}_duration_seconds_sum", **LABELS) or 0 for name in ("batch", "predict")
    )
    assert batch >= predict > 0


async def test_requests_without_a_prediction_are_counted_by_reason(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics, clock: Clock
) -> None:
    b = batcher(model, executor, metrics)

    model.gate.clear()
    running = [b.submit(rows(value), OUTPUT, deadline) for value, deadline in ((1, FOREVER), (2, clock.soon()))]
    await model.running()
    queued = [b.submit(rows(3), OUTPUT, FOREVER), b.submit(rows(4), OUTPUT, clock.soon())]
    clock.pass_soon()
    for future in (running[1], queued[1]):
        with pytest.raises(DeadlineExceeded):
            await answered(future)
    assert dropped(metrics) == {"expired_in_batch": 1, "expired_in_queue": 1}
    running[0].cancel()
    queued[0].cancel()
    last = b.submit(rows(5, 6, 7, 8), OUTPUT, FOREVER)
    also = b.submit(rows(9), OUTPUT, FOREVER)
    with pytest.raises(Overloaded):
        b.submit(rows(*range(4)), OUTPUT, FOREVER)
    model.gate.set()
    await asyncio.gather(last, also)
    b.close()
    with pytest.raises(VersionNotReady):
        b.submit(rows(6), OUTPUT, FOREVER)
    counted = dropped(metrics)
    assert counted.keys() == set(get_args(DropReason))
    assert set(counted.values()) == {1}


async def test_a_watch_is_told_when_its_batch_left_and_ended(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    told: list[tuple[int, int, int]] = []
    b = batcher(model, executor, metrics, tell_batch=lambda *batch: told.append((len(batch[0]), *batch[1:])))
    observed = Observed()
    before = perf_counter()
    await asyncio.gather(b.submit(rows(1, 2), OUTPUT, FOREVER, observed), b.submit(rows(3), OUTPUT, FOREVER))
    assert before < observed.batch_started < observed.batch_ended < perf_counter()
    assert told == [(1, 3, 2)]
    (seen,) = b.recent
    assert (seen.rows, seen.requests, seen.on, seen.failed) == (3, 2, "thread", 0)
    assert seen.batch_ms >= seen.predict_ms > 0
