"""Copies that nobody waits for: in batches of their own, behind whoever does, and counted for nothing."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from model_manager.errors import PredictionFailed
from model_manager.metrics.recording import Metrics

from tests.scrape import value
from tests.unit.batcher.staging import FOREVER, LABELS, OUTPUT, Model, answered, batcher, dropped, rows, values


async def test_copies_share_batches_with_each_other_and_not_with_requests_which_go_first(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    copies = b.submit_copies([(rows(1), OUTPUT), (rows(2), OUTPUT)])
    request = b.submit(rows(3), OUTPUT, FOREVER)
    assert values(await request) == [6]
    assert [values(result) for result in await asyncio.gather(*copies)] == [[2], [4]]
    assert model.batches == [[3], [1, 2]]


async def test_copies_are_in_no_count(model: Model, executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    b = batcher(model, executor, metrics, inline_rows=100)
    await asyncio.gather(*b.submit_copies([(rows(1), OUTPUT)]))
    (failing,) = b.submit_copies([(rows(666), OUTPUT)])
    with pytest.raises(PredictionFailed):
        await failing
    families = metrics.families()
    for name in ("rows_total", "batch_rows_count", "queue_duration_seconds_count", "predict_duration_seconds_count"):
        assert value(families, f"model_manager_{name}", **LABELS) == 0
    await b.submit(rows(1), OUTPUT, FOREVER)
    assert value(metrics.families(), "model_manager_rows_total", **LABELS) == 1


async def test_it_is_idle_only_while_nothing_runs_and_nothing_waits(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    assert b.idle
    model.gate.clear()
    first = b.submit(rows(1), OUTPUT, FOREVER)
    assert (b.idle, b.has_backlog) == (False, False)
    await model.running()
    assert (b.idle, b.has_backlog) == (False, False)
    second = b.submit(rows(2), OUTPUT, FOREVER)
    assert b.has_backlog
    model.gate.set()
    await answered(first)
    await answered(second)
    assert (b.idle, b.has_backlog) == (True, False)
    assert dropped(metrics) == {}
