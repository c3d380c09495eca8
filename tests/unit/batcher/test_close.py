"""Closing a batcher: what waits is told at once, and what runs is neither forgotten nor left without an answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from model_manager.errors import DeadlineExceeded, VersionNotReady
from model_manager.metrics.recording import Metrics

from tests.scrape import value
from tests.unit.batcher.staging import FOREVER, LABELS, OUTPUT, Clock, Model, answered, batcher, dropped, rows, values


async def test_a_running_request_is_told_that_its_time_is_over(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics, clock: Clock
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = [b.submit(rows(1), OUTPUT, clock.soon()), b.submit(rows(2), OUTPUT, FOREVER)]
    await model.running()
    b.close()
    clock.pass_soon()
    with pytest.raises(DeadlineExceeded):
        await answered(running[0])
    assert dropped(metrics) == {"expired_in_batch": 1}
    model.gate.set()
    assert values(await running[1]) == [4]


async def test_nothing_rings_once_all_is_answered(model: Model, executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    idle, busy = batcher(model, executor, metrics), batcher(model, executor, metrics)
    await idle.submit(rows(1), OUTPUT, idle.now() + 1000)
    idle.close()
    running = busy.submit(rows(1), OUTPUT, busy.now() + 1000)
    await asyncio.sleep(0)
    busy.close()
    await running
    assert [b._deadlines.due for b in (idle, busy)] == [inf, inf]


async def test_a_batch_that_ends_after_closing_is_counted(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(1, 2), OUTPUT, FOREVER)
    await model.running()
    b.close()
    model.gate.set()
    await running
    del b
    assert value(metrics.families(), "model_manager_rows_total", **LABELS) == 2


async def test_what_left_the_queue_before_is_counted_by_its_own_reason(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(1), OUTPUT, FOREVER)
    await model.running()
    queued = [b.submit(rows(value), OUTPUT, FOREVER) for value in (2, 3)]
    queued[0].cancel()
    b.close()
    with pytest.raises(VersionNotReady):
        await queued[1]
    assert dropped(metrics) == {"cancelled_in_queue": 1, "unloaded": 1}
    model.gate.set()
    await running


async def test_a_batch_that_no_thread_took_before_the_threads_were_ended_is_answered(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    held = batcher(model, executor, metrics)
    model.gate.clear()
    running = held.submit(rows(1), OUTPUT, FOREVER)
    await model.running()
    b = batcher(model, executor, metrics)
    waiting = [b.submit(rows(value), OUTPUT, FOREVER) for value in (2, 3)]
    await asyncio.sleep(0)
    assert b.busy
    queued = b.submit(rows(4), OUTPUT, FOREVER)
    executor.shutdown(wait=False, cancel_futures=True)
    for future in (*waiting, queued):
        with pytest.raises(VersionNotReady):
            await answered(future)
    assert (b.busy, b.queued_rows, dropped(metrics)) == (False, 0, {"unloaded": 3})
    model.gate.set()
    await running


async def test_a_batch_that_no_thread_can_be_started_for_is_answered(metrics: Metrics) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    b = batcher(Model(), pool, metrics)
    with pytest.raises(VersionNotReady):
        await answered(b.submit(rows(1), OUTPUT, FOREVER))
    assert not b.busy
    assert threading.active_count() >= 1
