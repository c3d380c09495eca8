"""Who is refused because an answer would come too late, and what batches are taken to cost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.call import HIGH, LOW, NORMAL
from model_manager.errors import Overloaded
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batcher import Batcher
from model_manager.serving.pace import Pace, Paces

from tests.unit.batcher.staging import FOREVER, OUTPUT, Model, answered, batcher, dropped, rows

HOURS = 3600.0


@given(fixed=st.floats(0, 1), each=st.floats(1e-6, 0.1), sizes=st.lists(st.integers(1, 256), min_size=30, max_size=60))
def test_seconds_a_batch_and_a_row_are_told_apart_once_sizes_differ(
    fixed: float, each: float, sizes: list[int]
) -> None:
    pace = Pace()
    for size in (1, *sizes, 1, 256):
        pace.learn(size, fixed + each * size)
    for size in (1, 100, 256):
        assert pace.seconds(size) == pytest.approx(fixed + each * size, rel=0.05, abs=1e-3)


def test_before_sizes_differ_rows_cost_all_of_it_and_a_request_has_credit_for_its_own() -> None:
    pace = Pace()
    for _ in range(5):
        pace.learn(1, 0.005)
    assert pace.seconds(100) == pytest.approx(0.5)
    assert pace.own(100) == pytest.approx(0.005)


def test_one_slow_batch_does_not_shut_the_door_and_a_slower_model_is_followed() -> None:
    pace = Pace()
    for _ in range(50):
        pace.learn(10, 0.01)
    pace.learn(10, 5.0)
    assert pace.seconds(10) < 0.02
    for _ in range(20):
        pace.learn(10, 0.1)
    assert pace.seconds(10) > 0.05


def test_another_form_is_learnt_from_its_first_batches() -> None:
    paces = Paces(256)
    for _ in range(50):
        paces.learn(OUTPUT, 10, 0.1)
    paces.doubt()
    for _ in range(3):
        paces.learn(OUTPUT, 10, 0.001)
    assert paces.seconds(OUTPUT, 10) < 0.01


def test_clients_cannot_fill_the_memory_with_outputs() -> None:
    paces = Paces(256)
    for number in range(1000):
        paces.learn((str(number),), 1, 0.1)
    assert len(paces._paces) <= 64


def known(model: Model, executor: ThreadPoolExecutor, metrics: Metrics, max_rows: int = 1) -> Batcher:
    """A batcher that knows a batch to take hours."""
    b = batcher(model, executor, metrics, batching=Batching(max_rows=max_rows, max_queue_rows=10_000))
    b._paces.learn(OUTPUT, 1, HOURS)
    return b


async def test_what_could_not_be_answered_in_time_is_refused_at_once(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = known(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, b.now() + 1)  # an idle model is asked whatever it is known for
    await model.running()
    for ahead in range(3):
        with pytest.raises(Overloaded, match="too busy to answer in time") as refused:
            b.submit(rows(1), OUTPUT, b.now() + (ahead + 2) * HOURS)
        assert refused.value.retry_after_s == 60
        with pytest.raises(Overloaded):
            b.check_room(b.now() + (ahead + 2) * HOURS, NORMAL)
        b.check_room(b.now() + (ahead + 3) * HOURS * 1.25, NORMAL)
        b.submit(rows(1), OUTPUT, b.now() + (ahead + 3) * HOURS * 1.25)
    assert dropped(metrics) == {"queue_full": 6}
    b.close()
    running.cancel()
    model.gate.set()


async def test_large_and_small_ones_count_each_other_by_turns(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = known(model, executor, metrics)
    for size in (2, 1, 2, 1):
        b._paces.learn(OUTPUT, size, HOURS * size)
    model.gate.clear()
    asked = [b.submit(rows(0), OUTPUT, b.now() + 1)]
    await model.running()
    asked.append(b.submit(rows(*range(300)), OUTPUT, FOREVER))
    with pytest.raises(Overloaded):
        b.submit(rows(1), OUTPUT, b.now() + 3 * HOURS)
    asked.append(b.submit(rows(1), OUTPUT, b.now() + 4 * HOURS))
    with pytest.raises(Overloaded):
        b.submit(rows(*range(300)), OUTPUT, b.now() + 700 * HOURS)
    b.close()
    for one in asked:
        one.add_done_callback(lambda one: one.exception())
    model.gate.set()
    await asyncio.wait(asked)


async def test_what_an_urgent_request_leaves_no_time_for_is_refused_then(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = known(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, b.now() + 1)
    await model.running()
    low = b.submit(rows(1), OUTPUT, b.now() + 2.5 * HOURS, priority=LOW)
    patient = b.submit(rows(2), OUTPUT, FOREVER, priority=LOW)
    assert not low.done()
    urgent = [b.submit(rows(3), OUTPUT, FOREVER, priority=HIGH) for _ in range(3)]
    assert (low.done(), patient.done()) == (False, False)  # the newest are asked first: it has all the time
    patient.cancel()
    await asyncio.sleep(0)
    b._waiting.purge()
    urgent.append(b.submit(rows(4), OUTPUT, FOREVER, priority=HIGH))
    with pytest.raises(Overloaded, match="higher priority"):
        await answered(low)
    b.close()
    for one in (running, *urgent):
        one.cancel()
    model.gate.set()


async def test_as_long_as_nothing_was_measured_all_are_let_in(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=Batching(max_rows=1))
    model.gate.clear()
    first = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    hasty = b.submit(rows(1), OUTPUT, b.now() + 60)
    model.gate.set()
    await answered(asyncio.gather(first, hasty))
    assert b._paces.seconds(OUTPUT, 1) < inf
