"""Requests of more rows than a batch takes: in slices, whole, in order, and never in the way of others."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from model_manager.call import HIGH, LOW, NORMAL
from model_manager.errors import DeadlineExceeded, Overloaded, PredictionFailed, VersionNotReady
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from tests.unit.batcher.staging import FOREVER, OUTPUT, Clock, Model, answered, batcher, dropped, rows, values

MANY = rows(*range(600))  # a first slice of 256 rows, and then as many as are affordable
BATCHING = Batching(max_rows=4, max_queue_rows=8)


@pytest.mark.parametrize("inline_rows", [0, 1000], ids=["on a thread", "on the loop"])
async def test_a_large_request_is_answered_whole_and_in_order(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics, inline_rows: int
) -> None:
    b = batcher(model, executor, metrics, inline_rows=inline_rows, batching=BATCHING)
    answer = await answered(b.submit(MANY, OUTPUT, FOREVER))
    assert values(answer) == [2.0 * value for value in range(600)]
    assert len(model.batches[0]) == 256
    assert [value for batch in model.batches for value in batch] == [*range(600)]
    assert (b.queued_rows, b.queued_requests, b.busy) == (0, 0, False)


async def test_slices_of_a_real_model_answer_as_the_whole_does(executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    many = np.random.default_rng(0).permutation(np.repeat(X, 70, axis=0))[:10_000]

    def predict(part: object, outputs: tuple[str, ...]) -> dict[str, object]:
        return {"predict": forest.predict_proba(part.blocks[0])}  # type: ignore[attr-defined]

    b = batcher(predict, executor, metrics, batching=Batching())  # type: ignore[arg-type]
    answer = await answered(b.submit(type(MANY)((many,)), OUTPUT, FOREVER))
    assert np.array_equal(answer["predict"], forest.predict_proba(many))


async def test_small_ones_have_their_turn_between_slices(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=BATCHING)
    model.gate.clear()
    large = b.submit(MANY, OUTPUT, FOREVER)
    await model.running()
    small = [b.submit(rows(1000 + value), OUTPUT, FOREVER) for value in range(8)]  # a full queue: its own
    with pytest.raises(Overloaded, match="8 rows are waiting"):
        b.submit(rows(9), OUTPUT, FOREVER)
    model.gate.set()
    await answered(asyncio.gather(large, *small))
    assert [min(len(batch), 5) for batch in model.batches][:4] == [5, 4, 5, 4]  # slices are as long as is affordable


async def test_large_ones_are_bounded_by_themselves_and_worked_on_one_after_the_other(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=BATCHING)
    model.gate.clear()
    first = b.submit(MANY, OUTPUT, FOREVER)
    await model.running()
    second = b.submit(MANY, OUTPUT, FOREVER)
    with pytest.raises(Overloaded, match="rows of large requests are waiting"):
        b.submit(MANY, OUTPUT, FOREVER)
    single = b.submit(rows(7), OUTPUT, FOREVER)
    assert (b.queued_rows, b.queued_requests) == (344 + 600 + 1, 3)
    model.gate.set()
    await answered(asyncio.gather(first, second, single))
    assert model.batches[1] == [7]
    assert [value for batch in model.batches if len(batch) > 1 for value in batch] == [*range(600), *range(600)]


async def test_a_slice_that_fails_fails_its_request_alone(executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    model = Model()
    b = batcher(model, executor, metrics, batching=BATCHING)
    guilty = b.submit(rows(*range(700)), OUTPUT, FOREVER)  # 666 is in its last slice
    innocent = b.submit(MANY, OUTPUT, FOREVER)
    with pytest.raises(PredictionFailed):
        await answered(guilty)
    assert values(await answered(innocent)) == [2.0 * value for value in range(600)]
    assert b.queued_rows == 0


async def test_a_client_that_leaves_between_slices_takes_the_rest_along(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=BATCHING)
    model.gate.clear()
    running, waiting = b.submit(MANY, OUTPUT, FOREVER), b.submit(MANY, OUTPUT, FOREVER)
    await model.running()
    running.cancel()
    waiting.cancel()
    assert b.queued_rows == 0
    single = b.submit(rows(1), OUTPUT, FOREVER)
    model.gate.set()
    assert values(await answered(single)) == [2]
    assert [len(batch) for batch in model.batches] == [256, 1]
    assert dropped(metrics) == {"cancelled_in_batch": 1, "cancelled_in_queue": 1}


async def test_a_deadline_that_passes_between_slices_is_told_in_time(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics, clock: Clock
) -> None:
    b = batcher(model, executor, metrics, batching=BATCHING)
    model.gate.clear()
    running, waiting = b.submit(MANY, OUTPUT, clock.soon()), b.submit(MANY, OUTPUT, clock.soon())
    await model.running()
    clock.pass_soon()
    for late in (running, waiting):
        with pytest.raises(DeadlineExceeded):
            await answered(late)
    model.gate.set()
    assert values(await answered(b.submit(rows(1), OUTPUT, FOREVER))) == [2]
    assert [len(batch) for batch in model.batches] == [256, 1]
    assert dropped(metrics) == {"expired_in_batch": 1, "expired_in_queue": 1}


async def test_closing_answers_what_has_rows_left(executor: ThreadPoolExecutor, model: Model, metrics: Metrics) -> None:
    b = batcher(model, executor, metrics, batching=BATCHING)
    model.gate.clear()
    large = [b.submit(MANY, OUTPUT, FOREVER), b.submit(MANY, OUTPUT, FOREVER)]
    await model.running()
    b.close()
    for one in large:
        with pytest.raises(VersionNotReady):
            await answered(one)
    model.gate.set()


async def test_the_more_urgent_leave_first_and_may_be_joined(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=Batching(max_rows=4, max_queue_rows=100))
    model.gate.clear()
    asked = [b.submit(rows(-9), OUTPUT, FOREVER)]
    await model.running()
    for value, priority in ((1, LOW), (2, NORMAL), (3, HIGH), (4, LOW), (5, HIGH), (6, NORMAL)):
        asked.append(b.submit(rows(-value), OUTPUT, FOREVER, priority=priority))
    asked.append(b.submit(MANY, OUTPUT, FOREVER, priority=HIGH))
    asked.append(b.submit(MANY, OUTPUT, FOREVER, priority=LOW))
    model.gate.set()
    await answered(asyncio.gather(*asked))
    left = ["slice" if batch[0] >= 0 else [-value for value in batch] for batch in model.batches]
    assert left[:3] == [[9], "slice", [3, 5, 2, 6]]
    of_low = left.index([1, 4])  # after what is left of the urgent large one, in turns with the other
    assert sum(map(len, model.batches[:of_low])) in (605, 605 + len(model.batches[of_low - 1]))


async def test_an_urgent_request_takes_the_place_of_the_newest_of_the_lowest(
    executor: ThreadPoolExecutor, model: Model, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, batching=Batching(max_rows=4, max_queue_rows=4))
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    asked = {
        value: b.submit(rows(value), OUTPUT, FOREVER, priority=priority)
        for value, priority in ((1, LOW), (2, LOW), (3, NORMAL), (4, NORMAL))
    }
    with pytest.raises(Overloaded):
        b.submit(rows(9), OUTPUT, FOREVER, priority=LOW)
    for value, shed in ((5, 2), (6, 1), (7, 4)):
        asked[value] = b.submit(rows(value), OUTPUT, FOREVER, priority=HIGH)
        with pytest.raises(Overloaded, match="higher priority"):
            await answered(asked.pop(shed))
    with pytest.raises(Overloaded):
        b.submit(rows(*range(4)), OUTPUT, FOREVER, priority=HIGH)
    model.gate.set()
    await answered(asyncio.gather(running, *asked.values()))
    assert model.batches == [[0], [5, 6, 7, 3]]
    assert dropped(metrics) == {"queue_full": 5}
